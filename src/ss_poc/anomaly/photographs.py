"""Which photographs of a folder are good, and which show a labelled defect."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..core.bit_depth import Values, find_levels
from ..core.errors import ArtifactError, DataError, ImageError
from ..core.images import images_below, open_image
from ..core.levels import Levels
from ..core.text_table import counted
from ..data.dataset import Sample, inspect_coco
from ..formats.coco_rules import Problem
from ..formats.find_file import Photographs
from ..formats.labels import LabelSource, find_labels, read_labels

__all__ = ["FEWEST", "Found", "Good", "find_good"]

FEWEST = 2  # one trains, one validates
MOST_GOOD, MOST_LABELLED = 2000, 50


@dataclass(frozen=True)
class Good:
    """A good photograph: its file, its name in the user's folder, its SHA-256, the values of a file with more than 8
    bits, and (height, width) in pixels, upright."""

    path: Path
    name: str
    digest: str
    values: Values | None
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class Found:
    """What a folder holds: good photographs, each file once; what becomes black and white in those of more than 8 bits;
    and photographs with labelled defects, of `classes` classes."""

    good: tuple[Good, ...]
    levels: Levels
    labelled: tuple[Sample, ...]
    classes: int


def find_good(folder: Path) -> Found:
    """Tell the photographs of a folder apart. A line is printed for what is left out.

    Args:
        folder: of photographs. All are good; where there are labels, those without a region are.

    Raises:
        DataError: fewer than FEWEST different good photographs can be read.
    """
    source = _labels_in(folder)
    names = _clean_names(source, folder) if source else [path.relative_to(folder).as_posix()
                                                         for path in images_below(folder)]
    found: dict[str, Good] = {}
    unread: list[str] = []
    for name in tqdm(names, desc="looking at good photographs", unit="image", disable=None):
        try:
            data = (folder / name).read_bytes()
            opened = open_image(data)
            opened.verify()
        except (ImageError, OSError) as error:
            unread.append(f"{name}: {str(error).splitlines()[0]}")
            continue
        digest = hashlib.sha256(data).hexdigest()
        found.setdefault(digest, Good(folder / name, name, digest, opened.values, opened.upright_hw))
    for line in unread:
        print(f"note: not read: {line}", flush=True)
    again = len(names) - len(unread) - len(found)
    if again:
        print(f"note: {counted(again, 'photograph')} left out, the same files as others", flush=True)
    if len(found) < FEWEST:
        raise DataError(f"{folder} holds {counted(len(found), 'different photograph')} that can be read"
                        + (" and is good, by the labels there" if source else ""),
                        f"at least {FEWEST}, better 20: some train, others validate",
                        "put more photographs of good workpieces into the folder")
    levels = find_levels(item.values for item in found.values() if item.values)
    labelled, classes = _labelled(source, folder, levels) if source else ((), 0)
    return Found(_spread(list(found.values())), levels, labelled, classes)


def _labels_in(folder: Path) -> LabelSource | None:
    try:
        return find_labels(folder)
    except ArtifactError:
        return None


def _clean_names(source: LabelSource, folder: Path) -> list[str]:
    """Photographs on which the labels mark nothing."""
    coco = read_labels(source, folder, [])
    with_regions, photographs = {item.image_id for item in coco.annotations}, Photographs(folder)
    clean = []
    for entry in coco.images:
        try:
            clean += [photographs.find(entry).name] if entry.id not in with_regions else []
        except Problem:
            continue
    print(f"the labels there mark nothing on {len(clean)} of {counted(len(coco.images), 'photograph')}: these are good",
          flush=True)
    return sorted(clean)


def _labelled(source: LabelSource, folder: Path, levels: Levels) -> tuple[tuple[Sample, ...], int]:
    """Photographs with regions that can be trusted, MOST_LABELLED at most, and how many classes these have."""
    dataset, _ = inspect_coco(source, folder, levels=levels)
    samples = [sample for sample in dataset.samples if sample.regions] if dataset else []
    if dataset and samples:
        print(f"{counted(min(len(samples), MOST_LABELLED), 'photograph')} with labelled defects validate, and do not "
              f"train", flush=True)
    return _first(samples, MOST_LABELLED), len(dataset.labels) if dataset else 0


def _spread(good: list[Good]) -> tuple[Good, ...]:
    if len(good) > MOST_GOOD:
        print(f"note: {MOST_GOOD} of {len(good)} good photographs are used", flush=True)
    return _first(good, MOST_GOOD)


def _first(items: list[Any], most: int) -> tuple[Any, ...]:
    """At most so many of them, by chance that follows from their content; by name."""
    return tuple(sorted(sorted(items, key=lambda item: item.digest)[:most], key=lambda item: item.name))
