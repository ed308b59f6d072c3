"""Memory of bulk prediction by the number of photographs: a shard, the joining of all, and one run that goes on.

    python benchmarks/bulk_memory.py --photographs 1000 100000

The network takes no time. Only one shard of 50, and the last thousand photographs of the run that goes on, are really
predicted; rows of the others are copied, which takes the same memory and less time.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ss_poc.bulk.parts import merged, part_name, read_info, write_part
from ss_poc.bulk.photographs import Photographs
from ss_poc.bulk.rows import SCHEMA
from ss_poc.bulk.shards import Shard
from ss_poc.bulk.store import Store
from ss_poc.core.images import encode_image

ROOT = Path(__file__).resolve().parents[1]
FOLDERS, SHARDS, PREDICTED = 100, 50, 1000


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "tests"))
    from bright_model import make_run

    print("| photographs | step | seconds | MB at most |\n| ---: | --- | ---: | ---: |")
    for count in options.photographs:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            draw(folder / "photos", count)
            make_run(folder / "result")
            measure(folder, count)


def measure(folder: Path, count: int) -> None:
    """Print the rows of one number of photographs."""
    flags = [str(folder / "photos"), "--img_dir_name", "tiny", "--result", str(folder / "result"), "--no_overlays",
             "--engine", "onnxruntime", "--output"]

    def step(name: str, words: list[str]) -> None:
        seconds, most = measured(words)
        print(f"| {count:,} | {name} | {seconds:.0f} | {most / 1e6:.0f} |", flush=True)

    step(f"shard 1 of {SHARDS}", [*flags, str(folder / "out"), "--shard", f"1/{SHARDS}"])
    copy_rows(folder)
    step("collect", ["collect", str(folder / "out")])
    step(f"one run, {min(count, PREDICTED):,} left", [*flags, str(folder / "whole")])


def copy_rows(folder: Path) -> None:
    """Write the parts of the other shards, and all but the last photographs of one run, with the rows of shard 1."""
    names = Photographs.find(str(folder / "photos")).names
    store, first = Store(str(folder / "out")), f"parts/{part_name(Shard(1, SHARDS))}"
    info = read_info(store, first)
    rows = next(merged(store, {first: info}, SCHEMA.names))
    targets = {Shard(number, SHARDS): folder / "out/parts" / part_name(Shard(number, SHARDS))
               for number in range(2, SHARDS + 1)}
    targets[Shard()] = folder / "whole/.parts" / part_name(Shard(), 1)
    targets[Shard()].parent.mkdir(parents=True)
    for shard, path in targets.items():
        taken = names[:-PREDICTED] if shard == Shard() else [name for name in names if shard.holds(name)]
        write_part(path, ([{**row, "image": name} for row in rows] for name in taken),
                   dataclasses.replace(info, shard=shard))


def draw(folder: Path, count: int) -> None:
    """Write photographs of 32x64 with two dark boxes: one file, and links to it, under names of a usual length."""
    image = np.full((32, 64, 3), 255, np.uint8)
    image[8:12, 4:10] = image[8:12, 20:30] = 0
    folder.mkdir(parents=True)
    source = folder.parent / "one.png"
    source.write_bytes(encode_image(image, ".png"))
    for number in range(count):
        place = folder / f"line-{number % FOLDERS:03d}"
        place.mkdir(exist_ok=True)
        (place / f"2026-11-28T10-15-{number:08d}-camera-2.png").symlink_to(source)


def measured(flags: list[str]) -> tuple[float, int]:
    """Run the command: seconds, and the most bytes of memory it had."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "ss_poc.predict", *flags], stdout=subprocess.DEVNULL,
                               env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
    _, status, used = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{flags} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - started, used.ru_maxrss * 1024


if __name__ == "__main__":
    main()
