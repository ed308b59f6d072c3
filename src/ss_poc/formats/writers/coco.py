"""COCO json: `_annotations.coco.json` beside the photographs, which pycocotools, CVAT, Roboflow and FiftyOne read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..labelled import outline
from .job import Labelled, Losses, write_json

__all__ = ["write_coco"]


def write_coco(folder: Path, labelled: Labelled, losses: Losses) -> None:
    """Write one json. Holes and overlaps are kept: a region with a hole becomes an RLE.

    Args:
        folder: to write to.
        labelled: what to write.
        losses: gets nothing.
    """
    del losses
    numbers = {label: number for number, label in enumerate(labelled.labels, 1)}
    found: dict[str, list[dict[str, Any]]] = {"images": [], "categories": [], "annotations": []}
    found["categories"] = [{"id": number, "name": label, "supercategory": "", "color": labelled.labels[label]}
                           for label, number in numbers.items()]
    for number, image in enumerate(labelled.images, 1):
        found["images"].append({"id": number, "file_name": image.name, "height": image.size_hw[0],
                                "width": image.size_hw[1]})
        found["annotations"] += [
            {"id": len(found["annotations"]) + place, "image_id": number, "category_id": numbers[region.label],
             **outline(region.segmentation, image.size_hw), "iscrowd": 0}
            for place, region in enumerate(image.regions, 1)]
    write_json(folder / "_annotations.coco.json", found)
