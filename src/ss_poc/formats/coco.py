"""A COCO json as entries: images, categories and annotations that are whole, and findings about the others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.drawing import hex_to_rgb, palette
from ..core.errors import ArtifactError
from ..core.files import read_json
from .coco_rules import Finding, finding, sentence, show

__all__ = ["Annotation", "Category", "Coco", "ImageEntry", "choose_colors", "read_coco"]


@dataclass(frozen=True)
class ImageEntry:
    """An image of the json: `size_hw` is (height, width) in pixels, None where the json gives no usable size."""

    id: int
    file_name: str
    path: str | None
    size_hw: tuple[int, int] | None


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
    """Entries of a json that are whole, in its order; `masks`: image files that are labels, not photographs."""

    images: tuple[ImageEntry, ...] = ()
    categories: tuple[Category, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    masks: frozenset[Path] = frozenset()


def read_coco(json_path: Path, findings: list[Finding], value: Any = None) -> Coco:
    """Read the entries of a COCO json. Entries that break a rule are left out, and appended to `findings`.

    Args:
        json_path: the file.
        findings: gets what is wrong or odd.
        value: what the file holds, where it was read already.
    """
    try:
        value = read_json(json_path) if value is None else value
    except (ArtifactError, OSError) as error:
        findings.append(finding("json-unreadable", json_path.name, sentence(error)))
        return Coco()
    if not isinstance(value, dict):
        findings.append(finding("structure", json_path.name, f"got {show(value)}; expected an object with images, "
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
                                f"one of {show(sorted(known))}") for number, count in strangers.items())
    return coco


def _rows(value: Mapping[str, Any], key: str, fields: Sequence[str], findings: list[Finding]) -> list[dict[str, Any]]:
    """Objects under `key` whose `fields` are right, ids as int and names stripped."""
    rows = value.get(key)
    if not isinstance(rows, list):
        findings.append(finding("structure", key, f"got {show(rows)}; expected a list of objects"))
        return []
    good = []
    for index, row in enumerate(rows):
        where = f"{key}[{index}]"
        if not isinstance(row, dict):
            findings.append(finding("structure", where, f"got {show(row)}; expected an object"))
            continue
        found = {field: _whole(row.get(field)) if field.endswith("id") else _text(row.get(field)) for field in fields}
        wrong = [field for field, item in found.items() if item is None]
        findings.extend(finding("structure", where, f"{field} is {show(row.get(field))}; expected "
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
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
        return int(value)
    return int(value) if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", value) else None


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def choose_colors(categories: Sequence[Category]) -> tuple[str, ...]:
    """Choose a `#rrggbb` colour for each category, all different.

    A category keeps its colour of the json unless one before it has the same. The others get the colours of the palette
    that differ most from those that are taken.
    """
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
