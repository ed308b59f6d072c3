"""Folders of photographs that show workpieces several times: each has its pattern, each photograph its light."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from coco_folder import CocoFolder
from PIL import Image

from ss_poc.data.dataset import Dataset, load_coco

SIZE_HW = (48, 72)


def photograph(workpiece: int, light: int) -> np.ndarray:
    """(H, W, 3) uint8: the pattern of a workpiece, in some light."""
    blobs = np.random.default_rng(workpiece).integers(0, 256, (6, 9)).astype(np.uint8)
    pattern = cv2.resize(blobs, SIZE_HW[::-1], interpolation=cv2.INTER_CUBIC).astype(np.float32)
    random = np.random.default_rng([workpiece, light])
    seen = pattern * random.uniform(0.4, 0.7) + random.uniform(10, 60) + random.normal(0, 3, SIZE_HW)
    return np.repeat(np.clip(seen, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def folder_of(root: Path, shown: dict[str, int], classes: Sequence[str] = ("scratch",),
              taken: dict[str, str] | None = None, class_of: dict[str, int] | None = None) -> CocoFolder:
    """A data set of photographs, whose names tell here which workpiece each shows.

    Args:
        root: new folder.
        shown: number of the workpiece, by the photograph's name.
        classes: names of the classes.
        taken: EXIF times, by name.
        class_of: the one class that a photograph has; without it, every third photograph is clean, the others have the
            first class.
    """
    folder = CocoFolder(root, good=0)
    folder.value["categories"] = [{"id": number + 1, "name": name} for number, name in enumerate(classes)]
    for number, (name, workpiece) in enumerate(shown.items()):
        image_id = folder.image(name, SIZE_HW, draw=False)
        path = folder.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        if taken:
            exif[0x8769] = {0x9003: taken[name]}
        Image.fromarray(photograph(workpiece, number)).save(path, exif=exif)
        if class_of or number % 3:
            folder.region(image_id, category_id=class_of[name] + 1 if class_of else 1)
    return folder


def set_of(root: Path, shown: dict[str, int], **options) -> Dataset:
    """The data set of `folder_of`."""
    folder = folder_of(root, shown, **options)
    return load_coco(folder.save(), folder.root)
