"""YOLO segmentation, as Ultralytics reads it: `data.yaml`, and in `labels` a txt for each photograph in `images`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from ...core.text_table import counted
from ..labelled import polygons_of
from .job import Labelled, Losses, write_file

__all__ = ["write_yolo"]

SPLITS = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}


def write_yolo(folder: Path, labelled: Labelled, losses: Losses) -> None:
    """Write data.yaml and a txt for each photograph, empty where it has no region.

    Args:
        folder: to write to.
        labelled: what to write.
        losses: gets holes, which are filled.
    """
    numbers = {label: number for number, label in enumerate(labelled.labels)}
    for image in labelled.images:
        rows, holes = [], []
        for region in image.regions:
            polygons, lost = polygons_of(region, image.size_hw)
            holes += [lost] * bool(lost)
            rows += [f"{numbers[region.label]} {_fractions(polygon, image.size_hw)}\n" for polygon in polygons]
        write_file(folder / "labels" / PurePosixPath(image.name).with_suffix(".txt"), "".join(rows))
        if holes:
            losses.add("holes in regions are filled, as YOLO has none", image.name,
                       counted(len(holes), "region") + ", " + counted(sum(holes), "pixel"))
    write_file(folder / "data.yaml", _yaml([image.name for image in labelled.images], numbers))


def _fractions(polygon: Sequence[float], size_hw: tuple[int, int]) -> str:
    points = np.reshape(polygon, (-1, 2)) / (size_hw[1], size_hw[0])
    return " ".join(f"{value:.8g}" for value in points.ravel())


def _yaml(names: Sequence[str], numbers: dict[str, int]) -> str:
    """data.yaml, with the splits that the folders of the photographs name; else all train and validate.

    It names no `path`: Ultralytics then looks beside it.
    """
    first = {PurePosixPath(name).parts[0] for name in names if "/" in name}
    found = {split: f"images/{folder}" for split, folders in SPLITS.items() for folder in folders if folder in first}
    note = ""
    if not {"train", "val"} <= set(found):
        found = {"train": "images", "val": "images"}
        note = "# All photographs train and validate: put those that shall validate into folders of their own.\n"
    return note + yaml.safe_dump({**found, "names": {number: label for label, number in numbers.items()}},
                                 allow_unicode=True, sort_keys=False)
