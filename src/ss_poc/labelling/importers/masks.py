"""PNG masks, in one of two forms.

* One folder, with a mask for each photograph under the same name: a pixel is 0 for background, and 1, 2, … for the
  labels in their order; with a single label, every other value means that label.
* A folder for each label, with masks in which a pixel of that label is not 0.

`a/1.png` is the mask of `a/1.jpg`. `1.png` is too, where no other photograph is called 1, and that one has no mask of
its own path.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image as Picture
from PIL import UnidentifiedImageError

from ...core.errors import DataError
from ...core.images import header, turn
from ...core.masks import encode_rle
from ..folder import photographs_of, upright_size
from ..model import Image, Labels, Region
from .moved import Copier, Moved

__all__ = ["move_masks"]


def move_masks(opened: Path, folder: Path, labels: Labels, photos: Path | None, exif_labels: str = "auto") -> Moved:
    """Read masks, and copy their photographs into the folder of a data set.

    Args:
        opened: folder of the masks.
        folder: of the data set.
        labels: in the order of their pixel values.
        photos: where the photographs are; None for `folder`.
        exif_labels: one of EXIF_LABELS of `core.config`.

    Raises:
        DataError: no labels are named, no mask belongs to a photograph, or a mask does not fit its photograph.
    """
    if not labels:
        raise DataError(f"{opened} holds no COCO json", "one, or PNG masks and the names of their values",
                        "--labels scratch,pit for masks in which 1 is scratch and 2 is pit")
    place, copier = photos or folder, Copier(folder)
    album = {name: path for name, path in photographs_of(place).items() if opened not in path.parents}
    images: list[Image] = []
    masks, left_out = _masks(opened, labels)
    unsure = []
    for name, files in masks.items():
        found = _photographs(name, album, masks)
        if len(found) != 1:
            left_out.append(f"{name}.png: " + (f"{len(found)} photographs have that name, {', '.join(found)}" if found
                                               else f"no photograph of that name in {place}"))
            continue
        photo = album[found[0]]
        regions = [Region(label, encode_rle(mask), f"{name} {label}")
                   for label, mask in _by_label(files, photo, labels, exif_labels).items() if mask.any()]
        if regions and _two_frames(photo):
            unsure.append(photo.name)
        images.append(Image(copier.take(photo), upright_size(photo), tuple(regions)))
    if not images:
        raise DataError("; ".join([f"no mask in {opened} belongs to a photograph in {place}", *left_out[:1]]),
                        "masks named like their photographs", "--photos names the folder they are in")
    notes = [f"{len(unsure)} photograph(s), such as {unsure[0]}: masks are taken as drawn on them as shown. "
             "--exif_labels shown or stored decides"] if unsure and exif_labels == "auto" else []
    return Moved(dict(labels), images, copier.copied, left_out, notes)


def _two_frames(photo: Path) -> bool:
    """Whether size cannot tell masks drawn on the photograph as shown from those drawn on it as stored."""
    stored_hw, orientation = header(photo)
    return orientation > 1 and stored_hw == upright_size(photo)


def _masks(opened: Path, labels: Labels) -> tuple[dict[str, dict[str, Path]], list[str]]:
    """Find the masks.

    Returns:
        By posix path without its ending the files of a mask by label, or one under "" that holds values of all; and a
        sentence for each folder of masks that belongs to no label.
    """
    folders = {label: opened / label for label in labels if (opened / label).is_dir()} or {"": opened}
    found: dict[str, dict[str, Path]] = {}
    for label, top in folders.items():
        for path in top.rglob("*.png"):
            found.setdefault(path.relative_to(top).with_suffix("").as_posix(), {})[label] = path
    others = sorted({path.parent.relative_to(opened).as_posix() for path in opened.rglob("*.png")
                     if not any(top in path.parents for top in folders.values())})
    return dict(sorted(found.items())), [f"the masks in {other}/: no label is called so" for other in others]


def _photographs(name: str, album: Mapping[str, Path], masks: Container[str]) -> list[str]:
    """Names of the photographs that a mask may belong to: of its own path, else of its name and without a mask."""
    paths = {photo: PurePosixPath(photo).with_suffix("") for photo in album}
    return [photo for photo, path in paths.items() if path.as_posix() == name] or \
        [photo for photo, path in paths.items() if path.name == name and path.as_posix() not in masks]


def _by_label(files: Mapping[str, Path], photo: Path, labels: Labels, exif_labels: str) -> dict[str, np.ndarray]:
    """Return the (H, W) bool mask of each label, of a photograph with these files (see `_masks`)."""
    if "" in files:
        return _by_value(files[""], photo, labels, exif_labels)
    return {label: _mask(path, photo, exif_labels) != 0 for label, path in files.items()}


def _by_value(path: Path, photo: Path, labels: Labels, exif_labels: str) -> dict[str, np.ndarray]:
    mask = _mask(path, photo, exif_labels)
    values = set(np.unique(mask).tolist()) - {0}
    if len(labels) == 1:
        return {next(iter(labels)): mask != 0}
    if values - set(range(1, len(labels) + 1)):
        raise DataError(f"{path.name} holds the values {sorted(values)}",
                        f"0 and 1 to {len(labels)}, for {', '.join(labels)}",
                        "name all labels in the order of their values")
    return {label: mask == value for value, label in enumerate(labels, start=1)}


def _mask(path: Path, photo: Path, exif_labels: str) -> np.ndarray:
    """Read a mask as (H, W) int32 or uint8, with palette indices as they are.

    A mask that was drawn on the photograph before its EXIF turned it is turned likewise; `exif_labels` decides where
    size cannot tell.
    """
    try:
        with Picture.open(path) as picture:
            values = np.array(picture if picture.mode in ("P", "L", "1", "I", "I;16") else picture.convert("L"))
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path} cannot be read: {error}", "a PNG mask", "write it again") from error
    size_hw = upright_size(photo)
    as_stored = values.shape == size_hw[::-1] if values.shape != size_hw else \
        exif_labels == "stored" and _two_frames(photo)
    if as_stored:
        values = turn(values, header(photo)[1])
    if values.shape != size_hw:
        raise DataError(f"{path.name} is {values.shape[1]}x{values.shape[0]}", f"the size of its photograph, "
                        f"{size_hw[1]}x{size_hw[0]}", "write the mask at full size")
    return values.astype(np.int32) if values.dtype != bool else values.astype(np.uint8)
