"""How long labels of many photographs take to be read: labelme's files, one for each photograph.

    python benchmarks/label_reading.py
    python benchmarks/label_reading.py --files 2000 --points 400

Writes --files files of one polygon of --points points each, told in fractions of a pixel as labelme does, then reads
them as a training does: the format is told, each file is read, and each region is checked. Photographs are not decoded.
Peak memory is what the process took beyond what it had before.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np

from ss_poc.core.host import cores
from ss_poc.formats.labels import read_labels
from ss_poc.formats.regions import read_shape

SIDE = 1000
OUTLINES = 100  # different ones: to write them takes longer than to read them


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--points", type=int, default=400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        written = sum(write(folder / f"{number:06}.json", options.points, number) for number in range(options.files))
        before, began, worked = peak(), time.perf_counter(), time.process_time()
        coco = read_labels(folder, folder, [])
        told = time.perf_counter() - began
        area = sum(read_shape(annotation.values, (SIDE, SIDE)).area for annotation in coco.annotations)
        seconds, busy = time.perf_counter() - began, time.process_time() - worked
    print(f"{len(coco.images)} files of {options.points} points, {written / 1e6:.0f} MB, on {cores()} cores: read in "
          f"{told:.1f} s, with regions checked in {seconds:.1f} s ({busy:.1f} s of one core); "
          f"{peak() - before:.0f} MB; mean area {area / len(coco.images):.0f} px")


def write(path: Path, points: int, seed: int) -> int:
    """Write a file with an outline around the middle, as a tool follows an edge, and return its size in bytes."""
    return path.write_text(text(points, seed % OUTLINES).replace("photograph", path.stem))


@cache
def text(points: int, seed: int) -> str:
    """What labelme writes of one photograph."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    random = np.random.default_rng(seed)
    radius = 0.3 * SIDE * (1 + 0.2 * np.sin(3 * angle + random.uniform(0, 7))) + random.uniform(-1, 1, points)
    outline = np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None] + SIDE / 2
    shape = {"label": "scratch", "points": outline.tolist(), "group_id": None, "shape_type": "polygon", "flags": {}}
    return json.dumps({"version": "5.5.0", "flags": {}, "shapes": [shape], "imagePath": "photograph.png",
                       "imageData": None, "imageHeight": SIDE, "imageWidth": SIDE}, indent=2)


def peak() -> float:
    """Most memory that this process had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
