"""COCO json to checked entries, files and shapes; and the one table of rules for whatever is wrong with them."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from ..core.drawing import hex_to_rgb, palette
from ..core.errors import ArtifactError, DataError
from ..core.files import read_json
from ..core.masks import polygons_area, rle_counts

__all__ = ["RULES", "Annotation", "Category", "Coco", "Finding", "ImageEntry", "Problem", "Shape", "choose_colors",
           "finding", "find_file", "read_coco", "read_shape"]

MAX_POINTS = 1_000_000
# The rasteriser takes about 100 bytes for each pixel of an outline.
MAX_OUTLINE = 4_000_000

REFUSE, SKIP_IMAGE, SKIP_REGION, CLIP, KEEP = "refuse", "skip image", "skip region", "clip", "keep"

UNTRUSTED = " Its image is left out: without the region, a defect would be taught as background."

RULES: dict[str, tuple[str, str]] = {
    "json-unreadable": (REFUSE, "The json must be there, whole, and json."),
    "structure": (REFUSE, "images, annotations and categories are lists of objects; ids are whole numbers; every image "
                          "has a file_name, every category a name."),
    "folder-missing": (REFUSE, "img_path must be a folder."),
    "no-images": (REFUSE, "The json must name images."),
    "no-categories": (REFUSE, "The json must name categories."),
    "no-regions": (REFUSE, "At least one region of one image must be usable."),
    "duplicate-image-id": (REFUSE, "Two images may not share an id: whose region it is could not be known."),
    "duplicate-category-id": (REFUSE, "Two categories may not share an id."),
    "duplicate-category-name": (REFUSE, "Two categories may not share a name; Roboflow's unused category 0 may."),
    "unknown-category": (REFUSE, "The category of every annotation must be in the json."),
    "file-missing": (SKIP_IMAGE, "An image without a file under img_path is left out."),
    "path-outside": (SKIP_IMAGE, "A file outside img_path (absolute, '..' or a link) is never read. What its path ends "
                                 "with is looked for inside first."),
    "path-ambiguous": (SKIP_IMAGE, "Images of different paths may not end up at one file; the closest path has it."),
    "size-mismatch": (SKIP_IMAGE, "The size in the json must be that of the file, as stored or as shown (EXIF)."),
    "image-unreadable": (SKIP_IMAGE, "A file that is no image, or a damaged one, is left out."),
    "image-too-large": (SKIP_IMAGE, "An image over the limit of pixels is left out before it is decoded."),
    "rle-invalid": (SKIP_IMAGE, "An RLE must have the image's size, and runs that fill it exactly." + UNTRUSTED),
    "polygon-invalid": (SKIP_IMAGE, "A polygon is x, y, x, y, … of 3 points or more." + UNTRUSTED),
    "polygon-not-finite": (SKIP_IMAGE, "NaN and infinity are no coordinates." + UNTRUSTED),
    "polygon-far-outside": (SKIP_IMAGE, "A point more than an image's size away belongs to another image." + UNTRUSTED),
    "polygon-too-large": (SKIP_IMAGE, f"A polygon has at most {MAX_POINTS:,} points and an outline of {MAX_OUTLINE:,} "
                                      "pixels." + UNTRUSTED),
    "box-only": (SKIP_IMAGE, "A box without an outline tells of a defect, but not where it ends." + UNTRUSTED),
    "unknown-image": (SKIP_REGION, "A region of an image that the json does not name is left out."),
    "region-empty": (SKIP_REGION, "An annotation without outline and box (begun, never drawn) is left out."),
    "region-outside": (SKIP_REGION, "A region wholly outside of its image is left out."),
    "region-no-pixel": (SKIP_REGION, "A region too small or thin to cover a pixel is left out."),
    "region-clipped": (CLIP, "A region that leaves its image by more than a pixel is cut at the border."),
    "path-shortened": (KEEP, "The file was found in img_path without the first folders of its file_name: see that it "
                              "is the right one."),
    "duplicate-annotation-id": (KEEP, "Annotations that share an id are all used."),
    "box-as-region": (KEEP, "A region drawn with the box tool is used as it is: its corners count as defect too."),
    "same-file": (KEEP, "Several images of one file are one image with the regions of all."),
    "identical-copies": (KEEP, "Byte-identical files are all used, on one side of the split."),
    "copies-differ": (KEEP, "Byte-identical files with different regions are all used: one of them is labelled wrong."),
    "class-rare": (KEEP, "A class in fewer than 2 different images is trained; its score cannot be known."),
    "category-unused": (KEEP, "A category without a usable region gets no channel."),
    "unlisted-images": (KEEP, "Image files that the json does not name are not used."),
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or odd: which rule, what was done, where, and what was met against what was expected."""

    code: str
    action: str
    where: str
    detail: str


@dataclass(frozen=True)
class ImageEntry:
    """An image of the json; `size_hw` is None where the json gives no usable size."""

    id: int
    file_name: str
    path: str | None
    size_hw: tuple[int, int] | None


@dataclass(frozen=True)
class FoundFile:
    """A file inside the folder: posix path, the path asked for, how many folders of that are not there."""

    name: str
    asked: str
    dropped: int
    by_file_name: bool


@dataclass(frozen=True)
class Category:
    """A category of the json; a placeholder is Roboflow's id 0, which only groups the others."""

    id: int
    name: str
    color: str | None
    is_placeholder: bool


@dataclass(frozen=True)
class Annotation:
    """An annotation of the json, with all of its `values`."""

    id: int
    image_id: int
    category_id: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Coco:
    """Entries of a json that are whole, in its order."""

    images: tuple[ImageEntry, ...] = ()
    categories: tuple[Category, ...] = ()
    annotations: tuple[Annotation, ...] = ()


@dataclass(frozen=True)
class Shape:
    """Outline of a region: polygons or RLE, its area in pixels, and notes `(code, detail)`."""

    polygons: tuple[tuple[float, ...], ...] | None
    rle: dict[str, Any] | None
    area: int
    notes: tuple[tuple[str, str], ...] = ()


class Problem(Exception):
    """A rule that was broken: its code, and what was met."""

    def __init__(self, code: str, detail: str) -> None:
        self.code, self.detail = code, detail
        super().__init__(f"{code}: {detail}")


def finding(code: str, where: str, detail: str) -> Finding:
    """A finding with the action of its rule."""
    return Finding(code, RULES[code][0], where, detail)


def read_coco(json_path: Path, findings: list[Finding]) -> Coco:
    """Entries of a COCO json; what is wrong is appended to `findings`, and its entry is left out."""
    try:
        value = read_json(json_path)
    except (ArtifactError, OSError) as error:
        detail = error.what if isinstance(error, ArtifactError) else str(error)
        findings.append(finding("json-unreadable", json_path.name, f"{detail}; expected a COCO json"))
        return Coco()
    if not isinstance(value, dict):
        findings.append(finding("structure", json_path.name, f"got {_show(value)}; expected an object with images, "
                                                             "annotations and categories"))
        return Coco()
    images = _rows(value, "images", ("id", "file_name"), findings)
    categories = _rows(value, "categories", ("id", "name"), findings)
    annotations = _rows(value, "annotations", ("id", "image_id", "category_id"), findings)
    known = {row["id"] for row in categories}
    coco = Coco(tuple(_image(row) for row in images), tuple(_category(row) for row in categories),
                tuple(Annotation(row["id"], row["image_id"], row["category_id"], row) for row in annotations
                      if row["category_id"] in known))
    for key in ("images", "categories"):
        if value.get(key) == []:
            findings.append(finding(f"no-{key}", json_path.name, f"{key} is empty; expected at least one"))
    findings.extend(_duplicates(coco))
    if categories:
        strangers = Counter(row["category_id"] for row in annotations if row["category_id"] not in known)
        findings.extend(finding("unknown-category", f"category {number}", f"used by {count} annotation(s); expected "
                                f"one of {_show(sorted(known))}") for number, count in strangers.items())
    return coco


def _rows(value: Mapping[str, Any], key: str, fields: Sequence[str], findings: list[Finding]) -> list[dict[str, Any]]:
    """Objects under `key` whose `fields` are right, ids as int and names stripped."""
    rows = value.get(key)
    if not isinstance(rows, list):
        findings.append(finding("structure", key, f"got {_show(rows)}; expected a list of objects"))
        return []
    good = []
    for index, row in enumerate(rows):
        where = f"{key}[{index}]"
        if not isinstance(row, dict):
            findings.append(finding("structure", where, f"got {_show(row)}; expected an object"))
            continue
        found = {field: _whole(row.get(field)) if field.endswith("id") else _text(row.get(field)) for field in fields}
        wrong = [field for field, item in found.items() if item is None]
        findings.extend(finding("structure", where, f"{field} is {_show(row.get(field))}; expected "
                                + ("a whole number" if field.endswith("id") else "a text")) for field in wrong)
        if not wrong:
            good.append({**row, **found})
    return good


def _image(row: Mapping[str, Any]) -> ImageEntry:
    height, width = _whole(row.get("height")), _whole(row.get("width"))
    return ImageEntry(row["id"], row["file_name"], _text(row.get("path")),
                      (height, width) if height and width else None)


def _category(row: Mapping[str, Any]) -> Category:
    color = row.get("color")
    valid = isinstance(color, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", color)
    return Category(row["id"], row["name"], str(color).lower() if valid else None,
                    row["id"] == 0 and row.get("supercategory") == "none")


def _duplicates(coco: Coco) -> list[Finding]:
    used = {annotation.category_id for annotation in coco.annotations}
    named = [category for category in coco.categories if category.id in used or not category.is_placeholder]
    found = _repeated("duplicate-image-id", [(f"id {item.id}", item.file_name) for item in coco.images])
    found += _repeated("duplicate-category-id", [(f"id {item.id}", item.name) for item in coco.categories])
    found += _repeated("duplicate-category-name", [(item.name, f"category {item.id}") for item in named])
    found += _repeated("duplicate-annotation-id", [(f"id {item.id}", f"image {item.image_id}")
                                                   for item in coco.annotations])
    return found


def _repeated(code: str, pairs: Sequence[tuple[str, str]]) -> list[Finding]:
    places: dict[str, list[str]] = {}
    for key, place in pairs:
        places.setdefault(key, []).append(place)
    return [finding(code, key, f"{len(found)} times: {', '.join(found[:5])}; expected once")
            for key, found in places.items() if len(found) > 1]


def _whole(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value) else None


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _show(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def choose_colors(categories: Sequence[Category]) -> tuple[str, ...]:
    """The json's colours where they are valid and not taken, else those of the palette that lie farthest from all."""
    chosen: dict[int, str] = {}
    for category in categories:
        if category.color and category.color not in chosen.values():
            chosen[category.id] = category.color
    spare = palette(max(12, 2 * len(categories)))
    for category in categories:
        if category.id not in chosen:
            chosen[category.id] = _farthest(spare, chosen.values())
    return tuple(chosen[category.id] for category in categories)


def _farthest(spare: Sequence[str], taken: Iterable[str]) -> str:
    used = np.array([hex_to_rgb(color) for color in taken]).reshape(-1, 1, 3)
    distances = np.linalg.norm(used - np.array([hex_to_rgb(color) for color in spare]), axis=2)
    return spare[int(np.argmax(np.min(distances, axis=0, initial=1e3)))]


def find_file(entry: ImageEntry, root: Path) -> FoundFile:
    """Find an image inside `root` (resolved): by its `path` (coco-annotator's) or `file_name`, or what these end with.

    Raises:
        Problem: file-missing, or path-outside; no file outside is opened.
    """
    leaves = False
    tails: list[tuple[list[str], FoundFile]] = []
    for given in (entry.path, entry.file_name):
        parts, leaves = _parts(given or "")
        least = 1 + max((index for index, part in enumerate(parts) if part == ".."), default=-1)
        tails += [(parts[dropped:], FoundFile("", "/".join(parts), dropped, given is entry.file_name))
                  for dropped in range(least, len(parts))]
    for tail, found in sorted(tails, key=lambda item: -len(item[0])):
        # A Mac names "é" by two characters, the rest of the world by one.
        plain = "/".join(tail)
        for name in dict.fromkeys((plain, *(unicodedata.normalize(form, plain) for form in ("NFC", "NFD")))):
            if os.path.isfile(root / name):
                if not (root / name).resolve().is_relative_to(root):
                    raise Problem("path-outside", f"{name} is a link to a file outside; expected a file in {root}")
                return replace(found, name=name)
    raise Problem("path-outside" if leaves else "file-missing", f"got {entry.file_name!r}; expected a file in {root}")


def _parts(given: str) -> tuple[list[str], bool]:
    """Parts of a path of any system, and whether it leaves its folder."""
    if "?d=" in given:  # Label Studio's local files: /data/local-files/?d=folder/photo.jpg
        given = unquote(given.partition("?d=")[2])
    text = given.replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    return parts, text.startswith("/") or ".." in parts or bool(re.match("[A-Za-z]:/", text))


def read_shape(values: Mapping[str, Any], size_hw: tuple[int, int]) -> Shape:
    """Check the segmentation of an annotation in an image of (height, width); nothing is rasterised before it is sane.

    Args:
        values: the annotation as the json has it: polygons, one flat polygon, or RLE (compressed or not).

    Raises:
        Problem: the rule it breaks.
    """
    given = values.get("segmentation")
    if isinstance(given, Mapping):
        return _read_rle(given, size_hw)
    if isinstance(given, list) and given and not any(isinstance(item, (list, Mapping)) for item in given):
        given = [given]
    if given is not None and not isinstance(given, list):
        raise Problem("polygon-invalid", f"segmentation is {_show(given)}; expected polygons or RLE")
    polygons = tuple(_read_polygon(item, size_hw) for item in given or () if item != [])
    if not polygons:
        if _has_box(values):
            raise Problem("box-only", f"bbox is {_show(values.get('bbox'))}, no segmentation; expected an outline")
        raise Problem("region-empty", "neither segmentation nor bbox")
    area = polygons_area(polygons, size_hw)
    points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in polygons])
    extent = np.array([size_hw[1], size_hw[0]])
    reach = max(float(np.max(-points)), float(np.max(points - extent)))
    if not area:
        inside = any(_touches(np.reshape(polygon, (-1, 2)), extent) for polygon in polygons)
        code = "region-no-pixel" if inside else "region-outside"
        raise Problem(code, f"{len(polygons)} polygon(s), {len(points)} points; expected to cover a pixel")
    notes = [("region-clipped", f"reaches {reach:.1f} px out of the image; expected 0")] if reach > 1 else []
    if values.get("isbbox") is True:
        notes.append(("box-as-region", "isbbox is true; expected an outline"))
    return Shape(polygons, None, area, tuple(notes))


def _has_box(values: Mapping[str, Any]) -> bool:
    box = values.get("bbox")
    numbers = [item for item in box if isinstance(item, (int, float))] if isinstance(box, list) else []
    return (len(numbers) == 4 and numbers[2] > 0 and numbers[3] > 0) or bool(values.get("isbbox"))


def _touches(points: np.ndarray, extent: np.ndarray) -> bool:
    return bool(np.all(points.min(axis=0) < extent) and np.all(points.max(axis=0) > 0))


def _read_polygon(given: Any, size_hw: tuple[int, int]) -> tuple[float, ...]:
    if not isinstance(given, list):
        raise Problem("polygon-invalid", f"a polygon is {_show(given)}; expected a list of numbers")
    if len(given) > 2 * MAX_POINTS:
        raise Problem("polygon-too-large", f"a polygon has {len(given) // 2} points; expected at most {MAX_POINTS}")
    if not all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in given):
        raise Problem("polygon-invalid", f"a polygon is {_show(given)}; expected numbers")
    if len(given) < 6 or len(given) % 2:
        raise Problem("polygon-invalid", f"a polygon has {len(given)} values; expected 6, 8, 10, …")
    try:
        points = np.array([float(item) for item in given]).reshape(-1, 2)
    except OverflowError:
        points = np.array([[np.inf, np.inf]])
    if not np.isfinite(points).all():
        raise Problem("polygon-not-finite", "a polygon holds NaN or infinity; expected coordinates in pixels")
    extent = np.array([size_hw[1], size_hw[0]])
    if np.any(points < -extent) or np.any(points > 2 * extent):
        worst = points[np.argmax(np.max(np.abs(points - extent / 2) / extent, axis=1))]
        raise Problem("polygon-far-outside", f"a point is at x={worst[0]:g}, y={worst[1]:g}; expected it in the image "
                                             f"of {size_hw[0]}x{size_hw[1]} (height x width)")
    outline = float(np.sum(np.max(np.abs(points - np.roll(points, 1, axis=0)), axis=1) + 1))
    if outline > MAX_OUTLINE:
        raise Problem("polygon-too-large", f"an outline is {outline:.0f} px long; expected at most {MAX_OUTLINE}")
    return tuple(points.ravel().tolist())


def _read_rle(given: Mapping[str, Any], size_hw: tuple[int, int]) -> Shape:
    height, width = size_hw
    if given.get("size") != [height, width]:
        raise Problem("rle-invalid", f"RLE size is {_show(given.get('size'))}; expected [{height}, {width}]")
    try:
        runs = rle_counts(given.get("counts", ""))
    except DataError as error:
        raise Problem("rle-invalid", f"{error.what}; expected {error.expected}") from None
    total = sum(runs)
    if total != height * width:
        met = str(total) if total < 10**12 else "more than any image has"
        raise Problem("rle-invalid", f"RLE runs sum to {met}; expected {height} x {width} = {height * width}")
    area = sum(runs[1::2])
    if not area:
        raise Problem("region-no-pixel", "an RLE without a pixel; expected to cover one")
    return Shape(None, {"size": [height, width], "counts": given["counts"]}, area)
