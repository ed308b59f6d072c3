"""What a model makes of workpieces it has never seen, where a data set shows each on several photographs.

    python benchmarks/unseen.py --img_path ../shared/data/magnetic_tile --number 'num_([0-9]+)' --near 200 --budget 12m

Photographs whose numbers, by which `--number` finds them in a name, lie within `--near` of the next one show the same
workpiece. The workpieces are dealt into four hands; three of these are kept away in turn, the default trains on the
rest and is judged on what was away, with the rules that the run found (`judging.py` says what the columns are). Runs
in the folder of `--keep` are not repeated. Flags that are not known here go to the training, such as `--group`.
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from commands import copied, parted, trained
from judging import head, row

from ss_poc.core.files import read_json
from ss_poc.core.run import RunPaths, find_json

HANDS, AWAY, SHUFFLED = 4, 3, 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img_path", type=Path, required=True)
    parser.add_argument("--number", default="([0-9]+)", help="regular expression with one group, a number")
    parser.add_argument("--near", type=int, default=0)
    parser.add_argument("--budget", default="12m")
    parser.add_argument("--keep", type=Path, help="folder to keep the runs in, and to find those of before")
    options, flags = parser.parse_known_args()
    document = read_json(find_json(options.img_path))
    dealt = hands([image["file_name"] for image in document["images"]], options.number, options.near)
    print(head("away"))
    with tempfile.TemporaryDirectory() as scratch:
        for number, away in enumerate(dealt[:AWAY]):
            root = (options.keep or Path(scratch)) / f"hand_{number}"
            known, unknown = (copied(options.img_path, images, document, root / name) for name, images in
                              zip(("known", "unknown"), parted(document, away.__contains__), strict=True))
            paths = RunPaths(root / "result", "known", "v_1")
            if not paths.rules.is_file():
                trained(paths, known, options.budget, number, *flags)
            print(f"| {number} | {row(paths, unknown)} |", flush=True)


def hands(names: Sequence[str], expression: str, near: int) -> list[set[str]]:
    """Names by hand, photographs of one workpiece in the same: `expression` finds their numbers."""
    numbers = {}
    for name in names:
        found = re.search(expression, name)
        if not found:
            raise SystemExit(f"--number {expression!r} finds no number in {name}")
        numbers[name] = int(found[1])
    workpieces: list[list[str]] = []
    last = 0
    for name, number in sorted(numbers.items(), key=lambda item: item[1]):
        if not workpieces or number - last > near:
            workpieces.append([])
        workpieces[-1].append(name)
        last = number
    dealt: list[set[str]] = [set() for _ in range(HANDS)]
    for place in np.random.default_rng(SHUFFLED).permutation(len(workpieces)):
        min(dealt, key=len).update(workpieces[place])
    return dealt


if __name__ == "__main__":
    main()
