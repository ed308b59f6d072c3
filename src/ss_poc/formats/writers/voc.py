"""Pascal VOC: masks with a palette in `SegmentationClass`, and CVAT's `labelmap.txt`, which names the colours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image as Picture

from ...core.drawing import hex_to_rgb
from ...core.errors import DataError
from ...core.masks import segmentation_mask
from ...core.text_table import counted
from ..labelled import Image, Labels
from .job import Labelled, Losses, write_file

__all__ = ["write_voc"]

MOST_LABELS = 254  # of 256 numbers, 0 is the background, and 255 counts for no class


def write_voc(folder: Path, labelled: Labelled, losses: Losses) -> None:
    """Write a mask for each photograph, `labelmap.txt`, and the list of the photographs.

    Args:
        folder: to write to.
        labelled: what to write.
        losses: gets overlaps: a pixel has one class.

    Raises:
        DataError: there are more labels than numbers.
    """
    used = {region.label for image in labelled.images for region in image.regions}
    labels = {label: color for label, color in labelled.labels.items() if label in used or label != "background"}
    if len(labels) > MOST_LABELS:
        raise DataError(f"there are {len(labels)} labels", f"at most {MOST_LABELS} in masks of Pascal VOC",
                        "choose another format")
    colors = _colors(labels)
    numbers = {label: number for number, label in enumerate(colors, 1)}
    for image in labelled.images:
        mask, hidden = _mask(image, numbers)
        if hidden:
            losses.add("where classes overlap, only the smaller region is kept, as a pixel has one class",
                       image.name, counted(hidden, "pixel"))
        picture = Picture.fromarray(mask).convert("P")
        picture.putpalette([0, 0, 0, *(value for color in colors.values() for value in color)])
        path = folder / "SegmentationClass" / PurePosixPath(image.name).with_suffix(".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    write_file(folder / "labelmap.txt", "".join(
        f"{label}:{','.join(map(str, color))}::\n" for label, color in [("background", (0, 0, 0)), *colors.items()]))
    write_file(folder / "ImageSets" / "Segmentation" / "default.txt", "".join(
        f"{PurePosixPath(image.name).with_suffix('').as_posix()}\n" for image in labelled.images))


def _mask(image: Image, numbers: Mapping[str, int]) -> tuple[np.ndarray, int]:
    """(H, W) uint8 numbers of classes, small regions above large ones; and how many pixels more than one class has."""
    planes = [(numbers[region.label], segmentation_mask(region.segmentation, image.size_hw))
              for region in image.regions]
    mask, several = np.zeros(image.size_hw, np.uint8), np.zeros(image.size_hw, bool)
    for number, plane in sorted(planes, key=lambda item: -np.count_nonzero(item[1])):
        several |= plane & (mask > 0) & (mask != number)
        mask[plane] = number
    return mask, int(np.count_nonzero(several))


def _colors(labels: Labels) -> dict[str, tuple[int, ...]]:
    """RGB of each label, no two alike and none black, which is the background: its own, or one of Pascal VOC."""
    taken: dict[str, tuple[int, ...]] = {}
    for label, color in labels.items():
        wanted = (hex_to_rgb(color),) if color else ()
        taken[label] = next(item for item in (*wanted, *map(_voc_color, range(1, MOST_LABELS + 2)))
                            if any(item) and item not in taken.values())
    return taken


def _voc_color(number: int) -> tuple[int, ...]:
    """The colour that Pascal VOC gives a number: every third bit of it is one of red, green or blue, highest first."""
    return tuple(sum((number >> 3 * place + part & 1) << 7 - place for place in range(3)) for part in range(3))
