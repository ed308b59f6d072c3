"""Labels from elsewhere, as images and regions of ours.

COCO json of CVAT, Label Studio, Roboflow, and labelme's own converter (labelme2coco.py): a file, the folder or the zip
it came in. Masks as PNG: a folder of them named like their photographs, in which pixels hold 0 for background and 1,
2 … for the labels (or any other value for a single one); or a folder for each label, with masks in which it is not 0.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from PIL import UnidentifiedImageError

from ..core.errors import DataError
from ..core.files import atomic_path
from ..core.images import header, turn
from ..core.masks import decode_rle, encode_rle
from ..core.run import find_json
from ..data.dataset import Dataset, Sample, load_coco
from ..formats.coco import Problem, find_file, read_coco
from .model import Image, Labels, Region, photographs_of, upright_size

__all__ = ["Moved", "move_in"]

ANNOTATIONS = ("annotations/instances_*.json", "_annotations.coco.json", "*/_annotations.coco.json", "result.json",
               "annotations.json", "*.json")


@dataclass(frozen=True)
class Moved:
    """What came in: labels, images by name in the folder, how many photographs were copied, and what was left out."""

    labels: dict[str, str]
    images: list[Image]
    copied: int
    left_out: list[str]


def move_in(source: Path, folder: Path, labels: Labels, photos: Path | None = None) -> Moved:
    """Read labels from elsewhere, and copy the photographs they belong to into a data set's folder.

    Args:
        source: a COCO json, or a zip or folder that holds one; or a folder of masks.
        folder: of the data set.
        labels: of masks, in the order of their values.
        photos: where the photographs are (default: beside the labels, else in `folder`).

    Raises:
        DataError: nothing in there can be used.
        ConfigError, ArtifactError: as reading COCO raises them.
    """
    with _opened(source) as opened:
        found = _find_jsons(opened)
        if not found:
            return _masks(opened, folder, labels, photos)
        moved = Moved({}, [], 0, [])
        for json_path in found:
            moved = _add(moved, load_coco(json_path, photos or _place(json_path, opened, folder)), folder)
        return moved


def _add(moved: Moved, dataset: Dataset, folder: Path) -> Moved:
    names = _copy(dataset, folder)
    images = [Image(name, sample.size_hw, tuple(_regions(sample, dataset)))
              for sample, name in zip(dataset.samples, names, strict=True)]
    copied = sum(1 for sample in dataset.samples if folder not in sample.path.parents)
    left_out = [f"{item.where}: {item.detail}" for item in dataset.findings if item.action.startswith("skip")]
    return Moved({**dict(zip(dataset.labels, dataset.colors, strict=True)), **moved.labels}, [*moved.images, *images],
                 moved.copied + copied, [*moved.left_out, *left_out])


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[Path]:
    """A file or folder as it is, a zip unpacked for as long."""
    if not source.exists():
        raise DataError(f"there is no {source}", "a COCO json, a zip or a folder", "check the path")
    if source.suffix.lower() != ".zip":
        yield source
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            with zipfile.ZipFile(source) as archive:
                archive.extractall(scratch)  # leaves no file outside: see zipfile's own checks
        except zipfile.BadZipFile as error:
            raise DataError(f"{source} is no zip: {error}", "the file as it was downloaded",
                            "download it again") from error
        yield Path(scratch)


def _find_jsons(opened: Path) -> list[Path]:
    """The newest one of a data set of ours; of others, all that the tool wrote (Roboflow: one for each part)."""
    if opened.is_file():
        return [opened]
    if any(opened.glob(".exports/*.json")):
        return [find_json(opened)]
    return next((paths for pattern in ANNOTATIONS if (paths := sorted(opened.glob(pattern)))), [])


def _place(json_path: Path, opened: Path, folder: Path) -> Path:
    """The folder in which most of the photographs are found that a json names."""
    images = read_coco(json_path, []).images
    places = [place for place in (opened / "images", json_path.parent, json_path.parent / "images", opened, folder)
              if place.is_dir()]

    def count(place: Path) -> int:
        found = 0
        for entry in images:
            with contextlib.suppress(Problem):
                find_file(entry, place.resolve())
                found += 1
        return found

    return max(places, key=count)


def _copy(dataset: Dataset, folder: Path) -> list[str]:
    """Photographs into the folder, under their own names; a name that is taken by another photograph gets a number."""
    names, taken = [], {name.casefold(): path for name, path in photographs_of(folder).items()}
    for sample in dataset.samples:
        if folder in sample.path.parents:
            names.append(sample.path.relative_to(folder).as_posix())
            continue
        name, number = sample.path.name, 1
        while name.casefold() in taken and taken[name.casefold()].read_bytes() != sample.path.read_bytes():
            number += 1
            name = f"{sample.path.stem}_{number}{sample.path.suffix}"
        if name.casefold() not in taken:
            with atomic_path(folder / name) as temporary:
                shutil.copyfile(sample.path, temporary)
            taken[name.casefold()] = folder / name
        names.append(name)
    return names


def _regions(sample: Sample, dataset: Dataset) -> Iterator[Region]:
    """Regions in the upright image, as people see it."""
    for region in sample.regions:
        given = [list(polygon) for polygon in region.polygons] if region.polygons else region.rle
        if sample.frame == "stored" and sample.orientation > 1:
            mask = Sample(**{**vars(sample), "regions": (region,)}).mask(region.channel + 1)[..., region.channel]
            given = encode_rle(mask)
        elif region.rle:
            given = encode_rle(decode_rle(region.rle, sample.size_hw))
        yield Region(dataset.labels[region.channel], given, str(region.annotation_id))


def _masks(opened: Path, folder: Path, labels: Labels, photos: Path | None) -> Moved:
    if not labels:
        raise DataError(f"{opened} holds no COCO json", "one, or PNG masks and the names of their values",
                        "--labels scratch,pit for masks in which 1 is scratch and 2 is pit")
    place = photos or folder
    by_stem = {path.stem: path for path in photographs_of(place).values() if opened not in path.parents}
    apart = {label: opened / label for label in labels if (opened / label).is_dir()}
    images: list[Image] = []
    left_out, copied = [], 0
    stems = sorted({path.stem for path in opened.rglob("*.png")})
    for stem in stems:
        if stem not in by_stem:
            left_out.append(f"{stem}.png: no photograph of that name in {place}")
            continue
        photo = by_stem[stem]
        size_hw = upright_size(photo)
        values = {label: _mask(mask / f"{stem}.png", photo, size_hw) != 0 for label, mask in apart.items()
                  if (mask / f"{stem}.png").is_file()} if apart else _by_value(opened / f"{stem}.png", photo, labels)
        regions = [Region(label, encode_rle(mask), f"{stem} {label}") for label, mask in values.items() if mask.any()]
        if folder not in photo.parents:
            with atomic_path(folder / photo.name) as temporary:
                shutil.copyfile(photo, temporary)
            photo, copied = folder / photo.name, copied + 1
        images.append(Image(photo.relative_to(folder).as_posix(), size_hw, tuple(regions)))
    if not images:
        raise DataError(f"no mask in {opened} belongs to a photograph in {place}", "masks named like their photographs",
                        "--photos names the folder they are in")
    return Moved(dict(labels), images, copied, left_out)


def _by_value(path: Path, photo: Path, labels: Sequence[str] | Labels) -> dict[str, np.ndarray]:
    mask = _mask(path, photo, upright_size(photo))
    values = set(np.unique(mask).tolist()) - {0}
    if len(labels) == 1:
        return {next(iter(labels)): mask != 0}
    if values - set(range(1, len(labels) + 1)):
        raise DataError(f"{path.name} holds the values {sorted(values)}",
                        f"0 and 1 to {len(labels)}, for {', '.join(labels)}",
                        "name all labels in the order of their values")
    return {label: mask == value for value, label in enumerate(labels, start=1)}


def _mask(path: Path, photo: Path, size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W) of a mask, palette indices as they are, turned as its photograph where it was drawn on it unturned."""
    try:
        with Picture.open(path) as picture:
            values = np.array(picture if picture.mode in ("P", "L", "1", "I", "I;16") else picture.convert("L"))
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path} cannot be read: {error}", "a PNG mask", "write it again") from error
    if values.shape != size_hw and values.shape == size_hw[::-1]:
        values = turn(values, header(photo)[1])
    if values.shape != size_hw:
        raise DataError(f"{path.name} is {values.shape[1]}x{values.shape[0]}", f"the size of its photograph, "
                        f"{size_hw[1]}x{size_hw[0]}", "write the mask at full size")
    return values.astype(np.int32) if values.dtype != bool else values.astype(np.uint8)
