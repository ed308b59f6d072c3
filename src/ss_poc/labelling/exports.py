"""What training reads: labels of a data set as COCO json, `.exports/coco-<time>.json`, as coco-annotator writes it."""

from __future__ import annotations

import os
import shutil
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import ArtifactError
from ..core.files import read_json, write_json
from ..formats.coco_rules import RULES, Problem
from ..formats.labelled import outline
from ..formats.regions import read_shape
from .folder import EXPORTS
from .model import Image, Region

__all__ = ["document", "read_document", "regions_of", "usable", "write_export"]


def usable(images: Iterable[Image]) -> tuple[list[Image], list[str]]:
    """Leave out what a tool kept by mistake, by the rules that training has: a stray click costs itself alone.

    Args:
        images: as a tool gives them.

    Returns:
        The images, without those that have a region that cannot be trusted; and a sentence for each thing left out.
    """
    kept, left_out = [], []
    for image in images:
        regions: list[Region] = []
        trusted = True
        for region in image.regions:
            where = f"{image.name}, {region.label}"
            try:
                shape = read_shape({"segmentation": region.segmentation}, image.size_hw)
            except Problem as problem:
                trusted = trusted and RULES[problem.code][0] != "skip image"
                left_out.append(f"{where}: {problem.detail} ({problem.code})")
                continue
            strays = [f"{where}: {detail}" for code, detail in shape.notes if code == "stray-point"]
            left_out += strays
            whole = [list(polygon) for polygon in shape.polygons or ()]
            regions.append(replace(region, segmentation=whole) if strays else region)
        if trusted:
            kept.append(replace(image, regions=tuple(regions)))
        else:
            left_out.append(f"{image.name}: the photograph, as a region of it cannot be trusted")
    return kept, left_out


def document(folder: Path, categories: Sequence[Mapping[str, Any]], images: Iterable[Image]) -> dict[str, Any]:
    """Return labelled images as a COCO document, in the shape that coco-annotator writes.

    The id of a region stays the same from one export to the next as long as the tool keeps the key of the region.

    Args:
        folder: of the data set.
        categories: as `keep_labels` returns them; they hold every label of the images.
        images: the finished ones.
    """
    ids = {item["name"]: item for item in categories}
    found: dict[str, Any] = {"images": [], "categories": list(categories), "annotations": []}
    taken: set[int] = set()
    for number, image in enumerate(images, start=1):
        height, width = image.size_hw
        image_id = image.id or number
        found["images"].append({
            "id": image_id, "dataset_id": 1, "path": f"/datasets/{folder.name}/{image.name}", "file_name": image.name,
            "width": width, "height": height, "num_annotations": len(image.regions),
            "category_ids": sorted({ids[region.label]["id"] for region in image.regions})})
        for place, region in enumerate(image.regions):
            key = zlib.crc32(f"{image.name} {region.key or place}".encode()) or 1
            while key in taken:
                key += 1
            taken.add(key)
            category = ids[region.label]
            found["annotations"].append({"id": key, "image_id": image_id, "category_id": category["id"],
                                         **outline(region.segmentation, image.size_hw), "iscrowd": False,
                                         "isbbox": False, "color": category["color"], "metadata": {}})
    return found


def regions_of(found: Mapping[str, Any]) -> dict[int, tuple[Region, ...]]:
    """Return the regions of a COCO document by the id of their image; images without regions are left out."""
    names = {item["id"]: item["name"] for item in found["categories"]}
    regions: dict[int, list[Region]] = {}
    for item in found["annotations"]:
        region = Region(names[item["category_id"]], item["segmentation"], str(item["id"]))
        regions.setdefault(item["image_id"], []).append(region)
    return {image_id: tuple(items) for image_id, items in regions.items()}


def read_document(path: Path) -> list[Image]:
    """Read a COCO json that `write_export` or `predict --rank` wrote.

    Raises:
        ArtifactError: it cannot be read, or is no such json.
    """
    value = read_json(path)
    try:
        regions = regions_of(value)
        return [Image(item["file_name"], (item["height"], item["width"]), regions.get(item["id"], ()))
                for item in value["images"]]
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{path} is no COCO json of ours: {error!r}",
                            "images, categories and annotations") from None


def write_export(folder: Path, found: Mapping[str, Any]) -> Path:
    """Write a COCO document to `.exports/coco-<time>.json`, and return its path.

    The file is written whole or not at all, and never over one that another export writes at the same time.
    """
    exports = folder / EXPORTS
    exports.mkdir(parents=True, exist_ok=True)
    draft = exports / f".{os.getpid()}-{time.monotonic_ns()}"
    try:
        write_json(draft, found)
        while True:
            path = exports / f"coco-{time.time()}.json"
            try:
                os.link(draft, path)
                return path
            except FileExistsError:
                continue
            except OSError:  # a file system without links
                if not path.exists():
                    shutil.move(draft, path)
                    return path
    finally:
        draft.unlink(missing_ok=True)
