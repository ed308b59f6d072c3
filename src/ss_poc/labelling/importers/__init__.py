"""Labels from elsewhere, as images and regions of ours. One module reads one kind of labels; `move_in` chooses it.

* `coco`: COCO json of CVAT, Label Studio, Roboflow, and labelme's own converter (labelme2coco.py).
* `masks`: PNG masks.

An importer for another kind returns a `Moved`, and is called here.
"""

from __future__ import annotations

import contextlib
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from ...core.errors import DataError
from ..model import Labels
from .coco import find_jsons, move_coco
from .masks import move_masks
from .moved import Moved

__all__ = ["Moved", "move_in"]


def move_in(source: Path, folder: Path, labels: Labels, photos: Path | None = None, exif_labels: str = "auto") -> Moved:
    """Read labels from elsewhere, and copy the photographs they belong to into the folder of a data set.

    Args:
        source: a COCO json, or a zip or folder that holds one; or a folder or zip of masks.
        folder: of the data set.
        labels: of masks, in the order of their pixel values.
        photos: where the photographs are (default: beside the labels, else in `folder`).
        exif_labels: one of EXIF_LABELS of `core.config`.

    Raises:
        DataError: nothing in `source` can be used.
        ConfigError, ArtifactError: as reading COCO raises them.
    """
    with _opened(source) as opened:
        found = find_jsons(opened)
        if found:
            return move_coco(found, opened, folder, photos, exif_labels)
        return move_masks(opened, folder, labels, photos, exif_labels)


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[Path]:
    """Yield a file or folder as it is, and a zip as the folder it was unpacked into, which is removed afterwards."""
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
