"""Labels from elsewhere, as images and regions of ours. One module reads one kind of labels; `move_in` chooses it.

* `coco`: COCO json of CVAT, Label Studio, Roboflow, and labelme's own converter (labelme2coco.py).
* `masks`: PNG masks.

An importer for another kind returns a `Moved`, and is called here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...formats.archives import as_given, opened
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
    with opened(source) as place:
        found = find_jsons(place)
        moved = move_coco(found, place, folder, photos, exif_labels) if found else \
            move_masks(place, folder, labels, photos, exif_labels)
        return replace(moved, left_out=[*map(as_given, moved.left_out)], notes=[*map(as_given, moved.notes)])
