"""Several COCO files that are one data set, as tools write one for each split: Roboflow, CVAT, COCO itself."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import ArtifactError
from ..core.files import read_json
from .coco import Annotation, Category, Coco, ImageEntry, read_coco
from .coco_rules import Finding, Problem, finding
from .find_file import Photographs

__all__ = ["find_coco_sets", "is_coco", "read_coco_sets"]

PATTERNS = ("_annotations.coco.json", "*/_annotations.coco.json", "annotations/*.json", "*.json", "*/*.json")
INSTANCES = "instances_"
# Every split has these where it has no photograph or no label; the set has them only where all splits have.
OF_ALL = ("no-images", "no-categories")


def is_coco(value: Any) -> bool:
    """Whether a json is COCO's, or was meant to be."""
    return isinstance(value, dict) and ("images" in value or "annotations" in value)


def find_coco_sets(folder: Path, first: Path) -> dict[Path, Any]:
    """Return the COCO files of a folder that belong to one of them, those that the same pattern finds, with what they
    hold.

    Args:
        folder: of the labels.
        first: a COCO file in it.
    """
    files = next((found for pattern in PATTERNS if first in (found := sorted(folder.glob(pattern)))), [first])
    # COCO's own folder also holds captions and key points of the same photographs.
    instances = [path for path in files if path.name.startswith(INSTANCES)]
    sets = {}
    for path in instances or files:
        with contextlib.suppress(ArtifactError):  # it may be no label file: `first` can be read
            value = None if path.name.startswith(".") else read_json(path)
            if is_coco(value):
                sets[path] = value
    return sets


def read_coco_sets(sources: Mapping[Path, Any], photos: Path, findings: list[Finding]) -> Coco:
    """Read several COCO files as one set. Categories are the same where they have the same name.

    Args:
        sources: the files, at least one, with what they hold.
        photos: folder of the photographs, which tells those of one name in several splits apart.
        findings: gets what is wrong or odd, and `sets-overlap` where two files name the same photograph.
    """
    files, sets, found = Photographs(photos), [], []
    for path, value in sources.items():
        mine: list[Finding] = []
        coco = read_coco(path, mine, value)
        sets.append((path, replace(coco, images=tuple(_placed(coco.images, path, files)))))
        found.append(mine)
    everywhere = set.intersection(*({item.code for item in mine} for mine in found))
    for path, mine in zip(sources, found, strict=True):
        findings.extend(replace(item, where=f"{path.parent.name}/{path.name}: {item.where}") for item in mine
                        if item.code not in OF_ALL or item.code in everywhere)
    findings.extend(_overlaps(sets))
    return _joined([coco for _, coco in sets])


def _placed(entries: Sequence[ImageEntry], path: Path, files: Photographs) -> Iterator[ImageEntry]:
    """Entries by the names of their files: a file beside the labels, else in a folder named like the split, comes
    first."""
    beside = path.parent.relative_to(files.root) if path.parent.is_relative_to(files.root) else None
    split = path.stem.removeprefix(INSTANCES)
    for entry in entries:
        if beside is not None and (files.root / beside / entry.file_name).is_file():
            yield replace(entry, file_name=(beside / entry.file_name).as_posix(), path=None)
            continue
        try:
            yield replace(entry, file_name=files.find(replace(entry, file_name=f"{split}/{entry.file_name}")).name,
                          path=None)
        except Problem:
            yield entry


def _overlaps(sets: Sequence[tuple[Path, Coco]]) -> Iterator[Finding]:
    names: dict[str, Path] = {}
    for path, coco in sets:
        shared = next((entry.file_name for entry in coco.images if names.get(entry.file_name, path) != path), None)
        if shared:
            yield finding("sets-overlap", path.name, f"{names[shared].name} names {shared} too; expected files of "
                                                     "different photographs, or one file: --json_path names the one "
                                                     "that counts")
        names.update(dict.fromkeys((entry.file_name for entry in coco.images), path))


def _joined(sets: Sequence[Coco]) -> Coco:
    """One set, with ids of its own where two files use the same."""
    images: list[ImageEntry] = []
    categories: dict[tuple[str, bool], Category] = {}
    annotations: list[Annotation] = []
    for coco in sets:
        ids = _ids(coco.categories, categories)
        image_step = max((entry.id for entry in images), default=0) - min((0, *(item.id for item in coco.images))) + 1
        step = max((item.id for item in annotations), default=0) - min((0, *(item.id for item in coco.annotations))) + 1
        images += [replace(entry, id=entry.id + image_step) for entry in coco.images]
        annotations += [replace(item, id=item.id + step, image_id=item.image_id + image_step,
                                category_id=ids[item.category_id]) for item in coco.annotations]
    return Coco(tuple(images), tuple(categories.values()), tuple(annotations))


def _ids(categories: Sequence[Category], known: dict[tuple[str, bool], Category]) -> dict[int, int]:
    """For each category's id the one in the whole set; new categories join `known`, with their own id if it is free."""
    ids = {}
    for category in categories:
        key = (category.name, category.is_placeholder)
        taken = {item.id for item in known.values()}
        free = category.id if category.id not in taken else max(taken) + 1
        ids[category.id] = known.setdefault(key, replace(category, id=free)).id
    return ids
