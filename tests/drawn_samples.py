"""Labelled samples whose pixels tell where they come from, and the sources that hand them out."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import albumentations
import numpy as np
from coco_folder import CocoFolder
from PIL import Image

from ss_poc.core.masks import encode_rle
from ss_poc.data.dataset import Sample
from ss_poc.training.sampling import Source

PLENTY = 10**9


def coded(size_hw: tuple[int, int], number: int) -> np.ndarray:
    """(H, W, 3) uint8 whose pixels tell row, column and number."""
    rows, columns = np.mgrid[:size_hw[0], :size_hw[1]]
    return np.stack([rows, columns, rows * 0 + number], axis=-1).astype(np.uint8)


def boxes(size_hw: tuple[int, int], classes: int, *places: tuple[int, int, int, int, int]) -> np.ndarray:
    """(H, W, C) bool mask with a rectangle a (channel, top, left, height, width)."""
    mask = np.zeros((*size_hw, classes), bool)
    for channel, top, left, height, width in places:
        mask[top:top + height, left:left + width, channel] = True
    return mask


def labelled(root: Path, images: list[np.ndarray], masks: list[np.ndarray]) -> tuple[Sample, ...]:
    """The samples of a folder of these images, read through its json; every class must be in one of them."""
    folder = CocoFolder(root, good=0)
    classes = masks[0].shape[-1]
    folder.value["categories"] = [{"id": channel + 1, "name": f"class {channel}"} for channel in range(classes)]
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        name = f"{number:03}.png"
        image_id = folder.image(name, image.shape[:2], draw=False)
        Image.fromarray(image).save(folder.root / name)
        for channel in np.flatnonzero(mask.any(axis=(0, 1))):
            folder.region(image_id, encode_rle(mask[..., channel]), int(channel) + 1)
    return folder.load().samples


def whole(samples, classes: int = 1, cache_bytes: int = PLENTY, scale: float = 1.0) -> Source:
    return Source(samples, classes, scale, (32, 64), cache_bytes)


def as_they_are() -> albumentations.Compose:
    """A pipeline of the user's that changes nothing; unlike none at all, it has the samples shuffled."""
    return albumentations.Compose([])


def flip_only() -> albumentations.Compose:
    return albumentations.Compose([albumentations.HorizontalFlip(p=1.0)])


def equal(left, right) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(left, right, strict=True))


def kept_bytes(work) -> int:
    """Bytes that are still taken after `work`, by what it made."""
    work()  # whatever is loaded on first use
    tracemalloc.start()
    try:
        made = work()
        taken, _ = tracemalloc.get_traced_memory()
        del made
        return taken
    finally:
        tracemalloc.stop()
