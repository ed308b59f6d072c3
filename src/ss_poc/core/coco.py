"""Pieces of a COCO document that a model's masks become."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .masks import bounding_box, mask_to_polygons

__all__ = ["coco_annotation", "coco_categories", "with_categories"]


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
