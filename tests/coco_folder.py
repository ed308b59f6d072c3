"""Small labelled folders for tests: images are drawn, the json is put together entry by entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ss_poc.data.dataset import Dataset, Finding, Sample, inspect_coco, load_coco

DATA = Path(__file__).parent / "files"

MIDDLE = ["......", ".###..", ".###..", "......"]
CORNER = ["##....", "......", "......", "......"]
LOWER_RIGHT = ["......", "......", "....##", "....##"]
NOTHING = ["......"] * 4


def box(left: float, top: float, right: float, bottom: float) -> list[float]:
    """A rectangle as a COCO polygon."""
    return [left, top, right, top, right, bottom, left, bottom]


def noise(size_hw: tuple[int, int], seed: int) -> np.ndarray:
    """(H, W, 3) uint8 that no other seed gives."""
    return np.random.default_rng(seed).integers(0, 256, (*size_hw, 3)).astype(np.uint8)


def save_noise(path: Path, size_hw: tuple[int, int] = (4, 6), seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(size_hw, seed)).save(path)


def picture_of(mask: np.ndarray) -> list[str]:
    """(H, W) bool as rows of '#' and '.'."""
    return ["".join("#" if pixel else "." for pixel in row) for row in mask]


def channels(sample: Sample, classes: int) -> list[list[str]]:
    """Mask of a sample, a picture a channel."""
    mask = sample.mask(classes)
    return [picture_of(mask[..., channel]) for channel in range(classes)]


class CocoFolder:
    """A COCO json under construction, with two good images of class Crack that no rule complains about."""

    def __init__(self, root: Path, good: int = 2) -> None:
        self.root = root / "line1"
        self.root.mkdir()
        self.value: dict[str, Any] = {"images": [], "categories": [{"id": 1, "name": "Crack"}], "annotations": []}
        for number in range(good):
            self.region(self.image(f"good{number}.png"))

    def image(self, name: str, size_hw: tuple[int, int] = (4, 6), draw: bool = True, **fields: Any) -> int:
        number = len(self.value["images"]) + 1
        if draw:
            save_noise(self.root / name, size_hw, number)
        self.value["images"].append({"id": number, "file_name": name, "height": size_hw[0], "width": size_hw[1],
                                     **fields})
        return number

    def region(self, image_id: int, segmentation: Any = None, category_id: int = 1, **fields: Any) -> None:
        segmentation = [box(1, 1, 4, 3)] if segmentation is None else segmentation
        self.value["annotations"].append({"id": len(self.value["annotations"]) + 1, "image_id": image_id,
                                          "category_id": category_id, "segmentation": segmentation, "iscrowd": 0,
                                          **fields})

    def save(self) -> Path:
        path = self.root.parent / "coco.json"
        path.write_text(json.dumps(self.value))
        return path

    def load(self) -> Dataset:
        return load_coco(self.save(), self.root)

    def inspect(self) -> tuple[Dataset | None, tuple[Finding, ...]]:
        return inspect_coco(self.save(), self.root)

    def codes(self) -> list[str]:
        return [item.code for item in self.inspect()[1]]

    def names(self) -> list[str]:
        return [sample.name for sample in self.load().samples]
