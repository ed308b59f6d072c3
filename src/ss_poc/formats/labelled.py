"""Labelled images, whichever format or tool they come from or go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.masks import bounding_box, encode_rle, mask_to_polygons, polygons_to_mask, segmentation_mask

__all__ = ["Image", "Labels", "Region", "as_segmentation", "outline", "polygons_of"]

Labels = Mapping[str, str]
"""Names of classes in their order, each with its `#rrggbb` colour."""


@dataclass(frozen=True)
class Region:
    """A labelled region.

    Attributes:
        label: name of its class.
        segmentation: polygons [[x, y, …], …] in pixels, or a COCO RLE.
        key: the tool's name for it, unique in its image, "" where it has none.
    """

    label: str
    segmentation: Any
    key: str = ""


@dataclass(frozen=True)
class Image:
    """A photograph whose labelling is finished; without regions it shows no defect.

    Attributes:
        name: posix path in the folder of the data set.
        size_hw: (height, width) in pixels, as a browser shows it.
        regions: all of its regions.
        id: the tool's number for it, 0 where it has none.
    """

    name: str
    size_hw: tuple[int, int]
    regions: tuple[Region, ...] = field(default=())
    id: int = 0


def polygons_of(region: Region, size_hw: tuple[int, int]) -> tuple[list[list[float]], int]:
    """Return a region as polygons.

    Args:
        region: with polygons, which stay as they are, or with an RLE.
        size_hw: (height, width) of its image.

    Returns:
        The outlines [[x, y, …], …] in pixels; and the number of pixels in holes, which outlines cannot hold.
    """
    if not isinstance(region.segmentation, Mapping):
        return region.segmentation, 0
    mask = segmentation_mask(region.segmentation, size_hw)
    polygons = mask_to_polygons(mask)
    return polygons, int(np.count_nonzero(polygons_to_mask(polygons, size_hw) & ~mask))


def as_segmentation(mask_hw: np.ndarray) -> Any:
    """Return an (H, W) bool mask as polygons where they hold every pixel of it, else as a COCO RLE."""
    polygons = mask_to_polygons(mask_hw)
    if np.array_equal(polygons_to_mask(polygons, mask_hw.shape), mask_hw):
        return polygons
    return encode_rle(mask_hw)


def outline(segmentation: Any, size_hw: Sequence[int]) -> dict[str, Any]:
    """Return `segmentation`, `area` in pixels and `bbox` [x, y, width, height] as an annotation of COCO has them.

    Args:
        segmentation: polygons [[x, y, …], …] in pixels, or a COCO RLE.
        size_hw: (height, width) of the image.
    """
    mask = segmentation_mask(segmentation, size_hw)
    rows, columns = bounding_box(mask) or (slice(0, 0), slice(0, 0))
    box = [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]
    given = encode_rle(mask) if isinstance(segmentation, Mapping) else segmentation
    return {"segmentation": given, "area": int(np.count_nonzero(mask)), "bbox": box}
