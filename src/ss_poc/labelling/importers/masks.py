"""PNG masks, in one of two forms.

* One folder, with a mask for each photograph under the same name: a pixel is 0 for background, and 1, 2, … for the
  labels in their order; with a single label, every other value means that label.
* A folder for each label, with masks in which a pixel of that label is not 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as Picture
from PIL import UnidentifiedImageError

from ...core.errors import DataError
from ...core.images import header, turn
from ...core.masks import encode_rle
from ..folder import photographs_of, upright_size
from ..model import Image, Labels, Region
from .moved import Moved, copy_photograph

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
    place = photos or folder
    by_stem = {path.stem: path for path in photographs_of(place).values() if opened not in path.parents}
    images: list[Image] = []
    left_out, copied, unsure = [], 0, []
    for stem in sorted({path.stem for path in opened.rglob("*.png")}):
        if stem not in by_stem:
            left_out.append(f"{stem}.png: no photograph of that name in {place}")
            continue
        photo = by_stem[stem]
        found = _by_label(opened, f"{stem}.png", photo, labels, exif_labels)
        regions = [Region(label, encode_rle(mask), f"{stem} {label}") for label, mask in found.items() if mask.any()]
        if regions and _two_frames(photo):
            unsure.append(photo.name)
        if folder not in photo.parents:
            photo, copied = copy_photograph(photo, folder / photo.name), copied + 1
        images.append(Image(photo.relative_to(folder).as_posix(), upright_size(photo), tuple(regions)))
    if not images:
        raise DataError(f"no mask in {opened} belongs to a photograph in {place}", "masks named like their photographs",
                        "--photos names the folder they are in")
    notes = [f"{len(unsure)} photograph(s), such as {unsure[0]}: masks are taken as drawn on them as shown. "
             "--exif_labels shown or stored decides"] if unsure and exif_labels == "auto" else []
    return Moved(dict(labels), images, copied, left_out, notes)


def _two_frames(photo: Path) -> bool:
    """Whether size cannot tell masks drawn on the photograph as shown from those drawn on it as stored."""
    stored_hw, orientation = header(photo)
    return orientation > 1 and stored_hw == upright_size(photo)


def _by_label(opened: Path, name: str, photo: Path, labels: Labels, exif_labels: str) -> dict[str, np.ndarray]:
    """Return the (H, W) bool mask of each label, of a photograph whose masks are files of this name."""
    folders = {label: opened / label for label in labels if (opened / label).is_dir()}
    if not folders:
        return _by_value(opened / name, photo, labels, exif_labels)
    return {label: _mask(folder / name, photo, exif_labels) != 0 for label, folder in folders.items()
            if (folder / name).is_file()}


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
