"""YOLO segmentation, as Ultralytics reads it: data.yaml, and a txt for each photograph, in `labels` beside `images`."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ...core.errors import ArtifactError, ImageError
from ...core.images import open_image
from ..coco import Coco
from ..coco_rules import Finding, finding, show
from ..collect import Collected, text_of
from ..find_file import Photographs

__all__ = ["find_yolo", "read_yolo"]

CLASSES = ("classes.txt", "obj.names")


def find_yolo(folder: Path) -> Path | None:
    """Return the folder where it holds labels of YOLO: names of the classes, and txt files in a folder `labels`."""
    named = [*folder.glob("*.yaml"), *folder.glob("*.yml"), *(folder / name for name in CLASSES)]
    if any(path.is_file() for path in named) and any(_label_files(folder)):
        return folder
    return None


def read_yolo(source: Path, photos: Path, findings: list[Finding]) -> Coco:
    """Read a folder of YOLO's labels, or its data.yaml. A photograph without a txt is clean, as YOLO takes it.

    Args:
        source: the folder, or the yaml in it.
        photos: folder of the photographs, which tell their sizes.
        findings: gets what is left out.

    Raises:
        ArtifactError: the names of the classes cannot be read.
    """
    folder = source if source.is_dir() else source.parent
    names = _names(source)
    found = Collected(dict.fromkeys(names.values(), ""))
    texts = {_key(path.relative_to(folder)): path for path in _label_files(folder)}
    files = Photographs(photos)
    top = folder.resolve() if files.root.is_relative_to(folder.resolve()) else files.root
    for photo in (files.root / name for name in files.names):
        text = texts.pop(_key(photo.relative_to(top)), None)
        if not text:
            findings.append(finding("taken-as-clean", photo.name, "it has no txt; expected one, empty if it is clean"))
        try:
            size_hw = open_image(photo).upright_hw  # Ultralytics turns photographs as their EXIF says
        except ImageError as error:
            findings.append(finding("image-unreadable", photo.name, error.what))
            continue
        try:
            rows = text_of(text).splitlines() if text else ()
        except ArtifactError as error:
            findings.append(finding("file-unreadable", text.name if text else "", error.what))
            continue
        image = found.image(photo.relative_to(files.root).as_posix(), size_hw)
        for row in rows:
            if row.strip():
                label, values = _region(row.split(), names, size_hw)
                found.region(image, label, **values)
    findings.extend(finding("file-missing", path.name, "its photograph is not there") for path in texts.values())
    return found.coco()


def _label_files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*.txt")) if "labels" in path.relative_to(folder).parts[:-1])


def _key(path: Path) -> tuple[str, ...]:
    """What a photograph and its txt share: their folders, less `images` or `labels`, and their stem."""
    return (*(step for step in path.parts[:-1] if step not in ("images", "labels")), path.stem)


def _names(source: Path) -> dict[int, str]:
    """Names of the classes by their number."""
    folder = source if source.is_dir() else source.parent
    yamls = [source] if source.is_file() else sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")])
    for path in yamls:
        try:
            value = yaml.safe_load(text_of(path))
        except yaml.YAMLError as error:
            raise ArtifactError(f"{path} is no yaml: {error}", "the data.yaml of a YOLO export") from error
        names = value.get("names") if isinstance(value, Mapping) else None
        rows = dict(enumerate(names)) if isinstance(names, list) else names
        if isinstance(rows, Mapping):
            # Lists in lists, by aliases of yaml, would be written out to gigabytes.
            if not all(isinstance(name, (str, int, float)) and str(number).isdigit() for number, name in rows.items()):
                raise ArtifactError(f"`names` in {path} are not a name for each number", "names: [scratch, pit]",
                                    "export it as YOLO segmentation again, with its data.yaml")
            return {int(number): str(name) for number, name in rows.items()}
    for path in (folder / name for name in CLASSES):
        if path.is_file():
            return dict(enumerate(text_of(path).splitlines()))
    raise ArtifactError(f"{folder} names no classes", "`names` in its data.yaml, or a classes.txt",
                        "export it as YOLO segmentation again, with its data.yaml")


def _region(words: Sequence[str], names: Mapping[int, str], size_hw: Sequence[int]) -> tuple[str, dict[str, Any]]:
    """Label and values of a row: the number of its class, then x and y of each corner in fractions of the image."""
    try:
        number, *fractions = int(float(words[0])), *(float(word) for word in words[1:])
    except ValueError:
        return show(words[0]), {"segmentation": " ".join(words)[:60]}
    label = names.get(number, f"class {number}")
    pixels = array("d", (value * size_hw[1 - index % 2] for index, value in enumerate(fractions)))
    if len(pixels) == 4:
        x, y, width, height = pixels
        return label, {"bbox": [x - width / 2, y - height / 2, width, height]}
    return label, {"segmentation": [pixels]}
