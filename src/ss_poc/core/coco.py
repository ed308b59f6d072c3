"""Pieces of a COCO document that a model's masks become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .masks import bounding_box, mask_to_polygons

__all__ = ["coco_annotation", "coco_categories", "with_categories", "with_image"]


def coco_annotation(mask_hw: np.ndarray, number: int, image_id: int, category_id: int, color: str) -> dict[str, Any]:
    """Return an (H, W) bool mask as a COCO annotation: polygons in pixels, which have no holes.

    Args:
        mask_hw: of one class.
        number: id of the annotation.
        image_id, category_id: what it belongs to.
        color: `#rrggbb`.
    """
    rows, columns = bounding_box(mask_hw) or (slice(0, 0), slice(0, 0))
    return {"id": number, "image_id": image_id, "category_id": category_id, "segmentation": mask_to_polygons(mask_hw),
            "area": int(np.count_nonzero(mask_hw)),
            "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
            "iscrowd": 0, "isbbox": False, "color": color, "metadata": {}}


def coco_categories(category_ids: Sequence[int], labels: Sequence[str],
                    colors: Sequence[str]) -> list[dict[str, Any]]:
    """Return the categories of a COCO document, one for each class."""
    return [{"id": category_id, "name": label, "supercategory": "", "color": color}
            for category_id, label, color in zip(category_ids, labels, colors, strict=True)]


def with_categories(categories: list[dict[str, Any]], labels: Sequence[str],
                    colors: Sequence[str]) -> list[dict[str, Any]]:
    """Return the categories of a COCO document with those labels added, each once, that are not among them yet."""
    known = {category["name"] for category in categories}
    new = {label: color for label, color in zip(labels, colors, strict=True) if label not in known}
    first = max((category["id"] for category in categories), default=0) + 1
    return categories + coco_categories(range(first, first + len(new)), list(new), list(new.values()))


def with_image(document: Mapping[str, Any], name: str, size_hw: Sequence[int], labels: Sequence[str],
               colors: Sequence[str]) -> tuple[dict[str, Any], int, int]:
    """Return a COCO document with an image anew: without its annotations of before, with the categories of new ones.

    Args:
        document: with `images`, `annotations` and `categories`; it stays as it is.
        name: of the image's file.
        size_hw: its height and width.
        labels, colors: of the annotations that are to come.

    Returns:
        The document; the id of the image; the first id that is free for annotations.
    """
    images = [item for item in document["images"] if item["file_name"] != name]
    kept = {item["id"] for item in images}
    annotations = [item for item in document["annotations"] if item["image_id"] in kept]
    number = max(kept, default=0) + 1
    images.append({"id": number, "file_name": name, "height": size_hw[0], "width": size_hw[1]})
    found = {"images": images, "categories": with_categories(document["categories"], labels, colors),
             "annotations": annotations}
    return found, number, max((item["id"] for item in annotations), default=0) + 1
