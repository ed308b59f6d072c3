"""Masks: a picture beside each photograph whose pixels name the class.

* Pascal VOC: `SegmentationClass` beside `JPEGImages`; a palette, 255 for the rim that counts for no class.
* CVAT "Segmentation mask": the same with colours, and `labelmap.txt` that names them.
* MVTec AD: `ground_truth/LABEL/000_mask.png` for `test/LABEL/000.png`; photographs under `good` are clean.
* A folder for each label: `masks/LABEL/000.png`, where no photograph lies in a folder of that name.
* Index masks (0, 1, 2, …) and masks of one class (0 and any other value) in a folder `masks` beside `images`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from ...core.errors import ArtifactError, ImageError
from ...core.images import header, images_below, turn
from ...core.masks import encode_rle
from ..coco import Coco
from ..coco_rules import Finding, Problem, finding
from ..collect import Collected, text_of
from .mask_pairs import FOLDERS, label_folders, pair_masks

__all__ = ["find_masks", "read_masks"]

# Masks of single objects, which VOC and CVAT write beside those of classes.
OBJECTS = "SegmentationObject"
VOID = 255
MOST_CLASSES = 64


def find_masks(folder: Path) -> Path | None:
    """Return the folder that holds masks by its name, `folder` itself or one in it, if there is one."""
    places = [*(folder / name for name in FOLDERS), *([folder] if folder.name in FOLDERS else ())]
    return next((place for place in places if place.is_dir() and images_below(place)), None)


def read_masks(source: Path, photos: Path, findings: list[Finding], labels: Sequence[str] = ()) -> Coco:
    """Read a folder of masks, and `labelmap.txt` in it or beside it.

    Args:
        source: the folder of the masks.
        photos: folder of the photographs; masks among them are told from photographs by their folder.
        findings: gets masks without a photograph, and those that do not fit.
        labels: in the order of their pixel values, or names of the folders of their masks; else those are told from
            the files.

    Raises:
        ArtifactError: masks are colour pictures, and nothing names their colours; or they hold more values than labels.
    """
    colors = _labelmap(source)
    pictures = _pictures(photos)
    objects = [photos / name for name in pictures if OBJECTS in PurePosixPath(name).parts]
    shown = [name for name in pictures
             if OBJECTS not in PurePosixPath(name).parts and source not in (photos / name).parents]
    files = _pictures(source)
    folders = label_folders(source.name, files, shown, labels)
    guessed = bool(folders) and not labels and source.name != "ground_truth"
    clean = [name for name in shown if source.name == "ground_truth" and "good" in PurePosixPath(name).parts]
    masks = {**dict.fromkeys(clean, ()), **pair_masks(files, shown, folders, findings)}
    photographs = []
    for name in sorted(masks):
        try:
            photographs.append(_read(photos / name, name, [source / mask for mask in masks[name]],
                                     source if folders else None, colors, guessed))
        except (ImageError, Problem) as error:
            found = error if isinstance(error, Problem) else Problem("image-unreadable", error.what)
            findings.append(finding(found.code, name, found.detail))
    coco = _named(photographs, colors, labels, findings)
    return replace(coco, masks=frozenset([*objects, *(source / name for name in files)]))


@dataclass(frozen=True)
class _Photo:
    """A photograph with an RLE for each label, or for each number where nothing names it."""

    name: str
    size_hw: tuple[int, int]
    planes: tuple[tuple[str | int, dict[str, Any]], ...]


def _named(photographs: Sequence[_Photo], colors: Mapping[tuple[int, ...], str], labels: Sequence[str],
           findings: list[Finding]) -> Coco:
    """Put photographs together. What a number means follows from `labels`, or from the numbers of all masks."""
    met = {label for photo in photographs for label, _ in photo.planes if isinstance(label, int)}
    classes = met - {VOID} or met  # 255 beside others is VOC's rim around each object
    found = Collected({**dict.fromkeys(labels, ""),
                       **{name: f"#{bytes(color).hex()}" for color, name in colors.items() if any(color)}})
    for photo in photographs:
        image = found.image(photo.name, photo.size_hw)
        for label, rle in photo.planes:
            if isinstance(label, int) and label not in classes:
                findings.append(finding("void-pixels", photo.name, f"pixels are {VOID}; expected the number of a "
                                                                   "class"))
            else:
                name = label if isinstance(label, str) else _name(label, classes, labels, photo.name)
                found.region(image, name, segmentation=rle)
    return found.coco()


def _name(number: int, classes: Collection[int], labels: Sequence[str], photo: str) -> str:
    """The label of a number. A single label has all of them."""
    if labels and len(labels) > 1 and number > len(labels):
        raise ArtifactError(f"the mask of {photo} holds the value {number}",
                            f"0 and 1 to {len(labels)}, for {', '.join(labels)}",
                            "name all labels in the order of their values")
    if labels:
        return labels[0 if len(labels) == 1 else number - 1]
    return "defect" if len(classes) == 1 else f"class {number}"


def _pictures(folder: Path) -> list[str]:
    """Posix paths of the pictures below a folder."""
    return [path.relative_to(folder).as_posix() for path in images_below(folder)]


def _labelmap(source: Path) -> dict[tuple[int, ...], str]:
    """Names by colour, from CVAT's `labelmap.txt`: name:r,g,b:parts:actions."""
    files = (place / "labelmap.txt" for place in (source, source.parent))
    path = next((file for file in files if file.is_file()), None)
    colors = {}
    for line in text_of(path).splitlines() if path else ():
        name, *rest = line.rsplit(":", 3)
        values = rest[0].split(",") if len(rest) == 3 else []
        if len(values) == 3 and all(value.strip().isdigit() for value in values):  # not the line that names the columns
            colors[tuple(int(value) for value in values)] = name
    return colors


def _read(path: Path, name: str, masks: Sequence[Path], labels_in: Path | None, colors: Mapping[tuple[int, ...], str],
          guessed: bool) -> _Photo:
    """Read the masks of a photograph. `labels_in` holds the folders that are named for labels, or seem to be.

    Raises:
        Problem: a mask cannot be read, or has another size.
        ImageError: the photograph cannot be read.
    """
    size_hw, orientation = header(path)
    upright_hw = size_hw[::-1] if orientation > 4 else size_hw
    planes: list[tuple[str | int, np.ndarray]] = []
    for mask in masks:
        values = _values(mask, bool(colors))
        if values.shape[:2] != upright_hw and values.shape[:2] == size_hw:
            values = turn(values, orientation)  # it was drawn before the photograph was turned
        if values.shape[:2] != upright_hw:
            raise Problem("size-mismatch", f"the mask {mask.name} is {values.shape[0]}x{values.shape[1]}, the "
                                           f"photograph {upright_hw[0]}x{upright_hw[1]} (height x width); expected "
                                           "the same")
        if guessed and len(np.unique(values)) > 2:
            raise Problem("file-unreadable", f"the mask {mask.name} holds several numbers, in a folder that seems to "
                                             "be named for one label; expected 0 and another one")
        if labels_in:
            planes.append((mask.relative_to(labels_in).parts[0], values > 0))
        else:
            planes += _by_color(mask, values, colors) if values.ndim == 3 else _by_value(mask, values)
    return _Photo(name, upright_hw, tuple((label, encode_rle(plane)) for label, plane in planes if plane.any()))


def _by_color(path: Path, values: np.ndarray,
              colors: Mapping[tuple[int, ...], str]) -> Iterator[tuple[str, np.ndarray]]:
    known = np.zeros(values.shape[:2], bool)
    for color, label in colors.items():
        plane = np.all(values == color, axis=2)
        known |= plane
        if any(color):
            yield label, plane
    if not known.all():
        met = values[~known][0].tolist()
        raise Problem("file-unreadable", f"the mask {path.name} holds the colour {met}, which labelmap.txt "
                                         "does not name")


def _by_value(path: Path, values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    met = [value for value in np.unique(values).tolist() if value]
    if len(met) > MOST_CLASSES:
        raise Problem("file-unreadable", f"the mask {path.name} holds {len(met)} values; expected 0 and the numbers "
                                         "of classes")
    if met == [VOID] and values.all():
        raise Problem("mask-whole", f"the mask {path.name} is {VOID} in every pixel; expected 0 where nothing is")
    for value in met:
        yield value, values == value


def _values(path: Path, colored: bool) -> np.ndarray:
    """Pixels of a mask: (H, W) numbers of classes, or (H, W, 3) colours where a labelmap names them."""
    try:
        with Image.open(path) as picture:
            if colored:
                return np.array(picture.convert("RGB"))
            if picture.mode in ("P", "L", "1", "I", "I;16"):
                values = np.array(picture).astype(np.int32)
            else:
                values = _grey(np.array(picture.convert("RGBA")), path)
            return (values > 127).astype(np.int32) if picture.format in ("JPEG", "MPO") else values
    except (OSError, UnidentifiedImageError) as error:
        raise Problem("file-unreadable", f"the mask {path.name}: {error}") from error


def _grey(values: np.ndarray, path: Path) -> np.ndarray:
    """Numbers of a colour picture: of its alpha where that alone differs, of its red where all colours are grey."""
    red, green, blue, alpha = np.moveaxis(values.astype(np.int32), -1, 0)
    if np.ptp(red) == np.ptp(green) == np.ptp(blue) == 0 and alpha.min() < VOID:
        return alpha
    noise = 2 if path.suffix.lower() in (".jpg", ".jpeg") else 0
    if max(np.abs(red - green).max(), np.abs(red - blue).max()) > noise:
        raise ArtifactError(f"the mask {path} is a colour picture", "numbers of classes in grey, or a labelmap.txt "
                            "that names the colours",
                            "export \"Segmentation mask\" of CVAT with its labelmap.txt, or COCO")
    return red
