"""labelme: a json beside each photograph (github.com/wkentaro/labelme, `label_file.py`)."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ...core.images import encode_image
from ...core.masks import bounding_box, segmentation_mask
from ..labelled import Image, Region, as_segmentation
from .job import Labelled, Losses, write_json

__all__ = ["write_labelme"]

VERSION = "5.5.0"  # labelme draws masks since 5.3


def write_labelme(folder: Path, labelled: Labelled, losses: Losses) -> None:
    """Write a json for each photograph. Holes and overlaps are kept: a region with a hole becomes a mask.

    Args:
        folder: to write to.
        labelled: what to write.
        losses: gets nothing.
    """
    del losses
    for image in labelled.images:
        path = PurePosixPath(image.name)
        write_json(folder / path.with_suffix(".json"), {
            "version": VERSION, "flags": {}, "shapes": [shape for group, region in enumerate(image.regions, 1)
                                                        for shape in _shapes(region, image, group)],
            "imagePath": path.name, "imageData": None, "imageHeight": image.size_hw[0],
            "imageWidth": image.size_hw[1]})


def _shapes(region: Region, image: Image, group: int) -> Iterator[dict[str, Any]]:
    """Shapes of a region: one, or a polygon for each of its pieces, which share a number then."""
    given = region.segmentation
    if isinstance(given, Mapping):
        given = as_segmentation(segmentation_mask(given, image.size_hw))
    common = {"label": region.label, "description": "", "flags": {}}
    if isinstance(given, Mapping):
        yield {**common, **_mask(segmentation_mask(given, image.size_hw)), "group_id": None}
        return
    for polygon in given:
        yield {**common, "points": np.reshape(polygon, (-1, 2)).tolist(), "shape_type": "polygon", "mask": None,
               "group_id": group if len(given) > 1 else None}


def _mask(mask_hw: np.ndarray) -> dict[str, Any]:
    """A mask as labelme keeps it: a PNG of its box, and the first and the last pixel of that box."""
    box = bounding_box(mask_hw) or (slice(0, 1), slice(0, 1))
    picture = encode_image(mask_hw[box].astype(np.uint8) * 255, ".png")
    return {"points": [[box[1].start, box[0].start], [box[1].stop - 1, box[0].stop - 1]], "shape_type": "mask",
            "mask": base64.b64encode(picture).decode("ascii")}
