"""What both annotators have in common: data set folders, classes that keep their ids, exports, COCO as it is passed.

    datasets/photos/          the photographs
    datasets/photos/.labels.json      classes: id, name, colour; an id is never given to another name
    datasets/photos/.exports/coco-<time>.json      what training reads, in the shape coco-annotator writes
"""

from __future__ import annotations

import os
import re
import shutil
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..core.config import NAME_PATTERN
from ..core.drawing import palette
from ..core.errors import ArtifactError, ConfigError
from ..core.files import read_json, write_json
from ..core.images import header
from ..core.masks import decode_rle, encode_rle, polygons_to_mask

__all__ = ["Annotator", "Image", "Labels", "Region", "document", "keep_labels", "new_folder", "parse_labels",
           "photographs", "photographs_of", "read_document", "upright_size", "write_export"]

LABELS_FILE = ".labels.json"
# What a browser can show; TIFF it cannot.
SHOWN = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif")
Labels = Mapping[str, str]
"""Names of classes in their order, each with its `#rrggbb` colour."""


@dataclass(frozen=True)
class Region:
    """A labelled region: its class, polygons [[x, y, …], …] in pixels or an RLE, and what tells it from others."""

    label: str
    segmentation: Any
    key: str = ""


@dataclass(frozen=True)
class Image:
    """A photograph that was labelled: no regions, nothing is wrong with it.

    Attributes:
        name: posix path in the data set's folder.
        size_hw: (height, width), as a browser shows it.
        regions: all of them.
        id: of the annotator, or 0.
    """

    name: str
    size_hw: tuple[int, int]
    regions: tuple[Region, ...] = field(default=())
    id: int = 0


class Annotator(Protocol):
    """What an annotator can be told to do. All raise AnnotatorError where it refuses or does not answer."""

    def create(self, name: str, labels: Labels) -> str:
        """Make a project on the folder of that name, or add labels to it; its address."""

    def scan(self, name: str) -> int:
        """Take in photographs that were copied into the folder; how many there are now."""

    def export(self, name: str) -> tuple[dict[str, str], list[Image], int]:
        """Labels, what was labelled so far, and how many photographs were not."""

    def load(self, name: str, images: Sequence[Image]) -> int:
        """Add regions that can be edited; to how many photographs."""

    def propose(self, name: str, images: Sequence[Image], model: str) -> int:
        """Show regions of a model as proposals; on how many photographs."""

    def assist(self, name: str, service: str) -> None:
        """Let a service propose regions when a photograph is opened."""


def new_folder(datasets: Path, name: str) -> Path:
    """Folder of a data set, made if need be. ConfigError: not a name for one."""
    if not NAME_PATTERN.fullmatch(name):
        raise ConfigError(f"NAME is {name!r}", "letters, digits, '.', '_' and '-', at most 100 of them",
                          "choose another name; it becomes a folder name")
    folder = datasets / name
    (folder / ".exports").mkdir(parents=True, exist_ok=True)
    return folder


def parse_labels(text: str) -> dict[str, str]:
    """`scratch,pit:#00ff00` to labels; colours that are not named come from the palette.

    Raises:
        ConfigError: no label, one twice, or a colour that is none.
    """
    found: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        label, _, color = item.partition(":")
        if label in found or (color and not re.fullmatch(r"#[0-9a-fA-F]{6}", color)):
            raise ConfigError(f"--labels has {item!r}", "each label once, with a colour such as #00ff00 or without",
                              "--labels scratch,pit:#00ff00")
        found[label] = color.lower()
    if not found:
        raise ConfigError("--labels is empty", "at least one label", "--labels scratch,pit")
    spare = iter(color for color in palette(len(found)) if color not in found.values())
    return {label: color or next(spare) for label, color in found.items()}


def keep_labels(folder: Path, labels: Labels) -> list[dict[str, Any]]:
    """COCO categories of a folder's labels. A label seen before keeps its id; a new one gets one never used."""
    path = folder / LABELS_FILE
    known: list[dict[str, Any]] = read_json(path) if path.is_file() else []
    by_name = {item["name"]: item for item in known}
    for label, color in labels.items():
        if label in by_name:
            by_name[label]["color"] = color or by_name[label]["color"]
        else:
            by_name[label] = {"id": 1 + max((item["id"] for item in by_name.values()), default=0), "name": label,
                              "color": color or palette(12)[len(by_name) % 12]}
    if [*by_name.values()] != (read_json(path) if path.is_file() else None):
        write_json(path, [*by_name.values()])
    return [{**by_name[label], "supercategory": "", "metadata": {}} for label in labels]


def photographs(folder: Path) -> list[Path]:
    """Photographs of a data set that a browser can show, in its subfolders too; hidden ones are left out."""
    return [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SHOWN and path.is_file()
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def photographs_of(folder: Path) -> dict[str, Path]:
    """The same, by posix path in the folder."""
    return {path.relative_to(folder).as_posix(): path for path in photographs(folder)}


def upright_size(path: Path) -> tuple[int, int]:
    """(height, width) of a photograph as a browser shows it. ImageError: it cannot be read."""
    (height, width), orientation = header(path)
    return (width, height) if orientation >= 5 else (height, width)


def document(folder: Path, categories: Sequence[Mapping[str, Any]], images: Iterable[Image]) -> dict[str, Any]:
    """COCO in the shape coco-annotator writes. Ids of regions stay the same as long as the annotator keeps theirs."""
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
                                         **_outline(region.segmentation, image.size_hw), "iscrowd": False,
                                         "isbbox": False, "color": category["color"], "metadata": {}})
    return found


def _outline(segmentation: Any, size_hw: tuple[int, int]) -> dict[str, Any]:
    mask = (decode_rle(segmentation, size_hw) if isinstance(segmentation, Mapping)
            else polygons_to_mask(segmentation, size_hw))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1] if rows.size else [0] * 4
    given = encode_rle(mask) if isinstance(segmentation, Mapping) else segmentation
    return {"segmentation": given, "area": int(np.count_nonzero(mask)), "bbox": box}


def read_document(path: Path) -> list[Image]:
    """Images of a COCO json of ours. ArtifactError: it is none."""
    value = read_json(path)
    try:
        names = {item["id"]: item["name"] for item in value["categories"]}
        regions: dict[int, list[Region]] = {}
        for item in value["annotations"]:
            regions.setdefault(item["image_id"], []).append(
                Region(names[item["category_id"]], item["segmentation"], str(item["id"])))
        return [Image(item["file_name"], (item["height"], item["width"]), tuple(regions.get(item["id"], ())))
                for item in value["images"]]
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{path} is no COCO json of ours: {error!r}",
                            "images, categories and annotations") from None


def write_export(folder: Path, found: Mapping[str, Any]) -> Path:
    """Write `.exports/coco-<time>.json`: whole or not at all, and never over that of somebody who exports as well."""
    exports = folder / ".exports"
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
