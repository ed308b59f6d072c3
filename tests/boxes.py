"""Small labelled inputs for tests: photographs of 96x128 (height x width), each with one box or none.

The box is at x 20 to 60, y 30 to 50: 40 x 20 = 800 pixels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ss_poc.data.dataset import Dataset, Finding, inspect_coco

SIZE_HW = (96, 128)
BOX = [20, 30, 60, 30, 60, 50, 20, 50]
# What a small set always says, and what says only how it was read.
USUAL = {"class-rare", "labels-read"}


def plane() -> np.ndarray:
    """(H, W) bool: the box."""
    mask = np.zeros(SIZE_HW, bool)
    mask[30:50, 20:60] = True
    return mask


def grey(seed: int = 0, box: bool = True) -> np.ndarray:
    """(H, W) uint8: noise of 90 to 129, a box of 30."""
    values = np.random.default_rng(seed).integers(90, 130, SIZE_HW).astype(np.uint8)
    return np.where(plane() & box, np.uint8(30), values)


def photograph(path: Path, seed: int = 0, box: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey(seed, box)).save(path)


def coco(names: Sequence[str], clean: Sequence[str] = (), **image: Any) -> dict[str, Any]:
    """A COCO json: a box of *scratch* on each photograph of `names`, none on those of `clean`."""
    size = {"height": SIZE_HW[0], "width": SIZE_HW[1], **image}
    images = [{"id": number, "file_name": name, **{key: value for key, value in size.items() if value != "left out"}}
              for number, name in enumerate([*names, *clean], 1)]
    regions = [{"id": number, "image_id": number, "category_id": 1, "segmentation": [BOX]}
               for number in range(1, len(names) + 1)]
    return {"images": images, "categories": [{"id": 1, "name": "scratch"}], "annotations": regions}


def save(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


def areas(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Pixels of each label, by photograph."""
    return {sample.name: {label: int(sample.mask(len(dataset.labels))[..., channel].sum())
                          for channel, label in enumerate(dataset.labels) if channel in sample.classes}
            for sample in dataset.samples}


def read(source: Path, photos: Path | None = None) -> tuple[Mapping[str, Mapping[str, int]], list[str]]:
    """Pixels of each label by photograph, and codes of the findings but for USUAL."""
    dataset, findings = inspect_coco(source, photos or source)
    assert dataset is not None, findings
    return areas(dataset), sorted({item.code for item in findings} - USUAL)


def refusal(source: Path, photos: Path | None = None) -> Finding:
    """The first finding that refuses a data set."""
    dataset, findings = inspect_coco(source, photos or source)
    assert dataset is None
    return next(item for item in findings if item.action == "refuse")
