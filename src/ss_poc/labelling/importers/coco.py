"""COCO json from elsewhere: a file, or the folder or the zip in which a tool wrote it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...core.masks import decode_rle, encode_rle
from ...core.run import find_json
from ...data.dataset import Dataset, Sample, load_coco
from ...formats.coco import read_coco
from ...formats.coco_rules import Problem
from ...formats.find_file import Photographs
from ..folder import EXPORTS
from ..model import Image, Region
from .moved import Copier, Moved

__all__ = ["find_jsons", "move_coco"]

ANNOTATIONS = ("annotations/instances_*.json", "_annotations.coco.json", "*/_annotations.coco.json", "result.json",
               "annotations.json", "*.json")


def find_jsons(opened: Path) -> list[Path]:
    """Return the COCO files in a folder: the newest export of a data set of ours, else all files that the tool wrote.

    Roboflow writes one file for each split. An empty list: there is no json.
    """
    if opened.is_file():
        return [opened]
    if any(opened.glob(f"{EXPORTS}/*.json")):
        return [find_json(opened)]
    return next((paths for pattern in ANNOTATIONS if (paths := sorted(opened.glob(pattern)))), [])


def move_coco(found: Sequence[Path], opened: Path, folder: Path, photos: Path | None,
              exif_labels: str = "auto") -> Moved:
    """Read COCO files, and copy their photographs into the folder of a data set.

    Args:
        found: the files, as `find_jsons` returns them.
        opened: where they were found.
        folder: of the data set.
        photos: where the photographs are; None to look for them beside the files, then in `folder`.
        exif_labels: one of EXIF_LABELS of `core.config`.

    Raises:
        ConfigError, ArtifactError, DataError: as `load_coco` raises them.
    """
    moved, copier = Moved({}, [], 0, []), Copier(folder)
    for json_path in found:
        place = photos or _place(json_path, opened, folder)
        moved = _add(moved, load_coco(json_path, place, exif_labels=exif_labels), copier)
    return moved


def _add(moved: Moved, dataset: Dataset, copier: Copier) -> Moved:
    images = [Image(copier.take(sample.path), sample.size_hw, tuple(_regions(sample, dataset)))
              for sample in dataset.samples]
    left_out = [f"{item.where}: {item.detail}" for item in dataset.findings if item.action.startswith("skip")]
    notes = [f"{item.where}: {item.detail}" for item in dataset.findings if item.code == "exif-unsure"]
    return Moved({**dict(zip(dataset.labels, dataset.colors, strict=True)), **moved.labels}, [*moved.images, *images],
                 copier.copied, [*moved.left_out, *left_out], [*moved.notes, *notes])


def _place(json_path: Path, opened: Path, folder: Path) -> Path:
    """Return the folder that holds most of the photographs that the json names."""
    images = read_coco(json_path, []).images
    places = [place for place in (opened / "images", json_path.parent, json_path.parent / "images", opened, folder)
              if place.is_dir()]

    def count(place: Path) -> int:
        found, photographs = 0, Photographs(place)
        for entry in images:
            with contextlib.suppress(Problem):
                photographs.find(entry)
                found += 1
        return found

    return max(places, key=count)


def _regions(sample: Sample, dataset: Dataset) -> Iterator[Region]:
    """Yield the regions of a sample in the upright image, as a person sees it."""
    for region in sample.regions:
        given = [list(polygon) for polygon in region.polygons] if region.polygons else region.rle
        if sample.frame == "stored" and sample.orientation > 1:
            mask = Sample(**{**vars(sample), "regions": (region,)}).mask(region.channel + 1)[..., region.channel]
            given = encode_rle(mask)
        elif region.rle:
            given = encode_rle(decode_rle(region.rle, sample.size_hw))
        yield Region(dataset.labels[region.channel], given, str(region.annotation_id))
