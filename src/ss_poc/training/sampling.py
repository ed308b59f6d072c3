"""Decoded samples, and where in them to look.

Masks travel as packed bits (one byte for eight classes): warping, stacking and copying them costs an eighth.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import cv2
import numpy as np

from ..core.images import resize_image
from ..core.tiles import map_size
from ..data.dataset import Sample

__all__ = ["Draws", "Pair", "Source", "cut", "inside", "resize_nearest"]

# Of the crops not drawn around an object, so many show an image without any: this part, or where such images are rare,
# twice their part of all.
CLEAN = 0.6
# Pixels of an object class that are remembered of each sample.
SPOTS = 256
# Rare classes are drawn more often than they occur: by the square root of their number of images.
BALANCE = 0.5
Pair = tuple[np.ndarray, np.ndarray]


class Source:
    """Decoded samples at network scale, kept while all of them fit into memory.

    Args:
        samples: photographs with their regions.
        classes: number of classes.
        scale: network pixels a pixel of the photograph; 0 to squeeze each into `size_hw`.
        size_hw: (height, width), for scale 0.
        cache_bytes: decoded samples are kept if all fit into this.
    """

    def __init__(self, samples: Sequence[Sample], classes: int, scale: float, size_hw: Sequence[int],
                 cache_bytes: int = 0) -> None:
        self.samples, self.classes, self.scale, self.size_hw = tuple(samples), classes, scale, tuple(size_hw)
        pixels = sum(height * width for height, width in map(self.map_size, range(len(self.samples))))
        self.cached = pixels * (3 + -(-classes // 8)) <= cache_bytes
        self._kept: dict[int, Pair] = {}
        self._local = threading.local()
        self._spots: dict[tuple[int, int], np.ndarray] = {}

    def map_size(self, number: int) -> tuple[int, int]:
        """(height, width) of a sample at network scale."""
        return map_size(self.samples[number].size_hw, self.scale, self.size_hw)

    def decoded(self, number: int) -> Pair:
        """(h, w, 3) uint8 RGB and (h, w, ceil(C / 8)) uint8, the classes as bits; masks are not interpolated.

        Where not all are kept, each thread keeps the last one it asked for.
        """
        if number in self._kept:
            return self._kept[number]
        if getattr(self._local, "number", None) == number:
            return self._local.pair
        sample = self.samples[number]
        image = resize_image(sample.image(), self.map_size(number))
        bits = resize_nearest(self._bits(sample), self.map_size(number))
        if self.cached:
            self._kept[number] = image, bits
        else:
            self._local.number, self._local.pair = number, (image, bits)
        return image, bits

    def _bits(self, sample: Sample) -> np.ndarray:
        """The regions as bits, (H, W, ceil(C / 8)) uint8, as np.packbits has them but in a fraction of its time.

        Raises:
            IndexError: there are too few classes.
        """
        if max(sample.classes, default=0) >= self.classes:
            raise IndexError(f"{sample.name} has a region of class {max(sample.classes)}, of {self.classes} in all")
        bits = np.zeros((*sample.size_hw, -(-self.classes // 8)), np.uint8)
        for channel in sample.classes:
            bits[..., channel // 8] |= sample.plane(channel) * np.uint8(128 >> channel % 8)
        return bits

    def spots(self, number: int, channel: int) -> np.ndarray:
        """Up to SPOTS pixels of a class in a sample, as indices into its flattened (h, w); the same every time.

        They are kept: finding them takes a decoded photograph, and a look at each of its pixels.
        """
        if (number, channel) not in self._spots:
            pixels = np.flatnonzero(self.decoded(number)[1][..., channel // 8] & (128 >> channel % 8))
            if len(pixels) > SPOTS:
                pixels = np.sort(np.random.default_rng((number, channel)).choice(pixels, SPOTS, replace=False))
            self._spots[number, channel] = pixels.astype(np.int64)
        return self._spots[number, channel]


class Draws:
    """Where to look: an object of a class drawn in balance, a clean image, or anywhere."""

    def __init__(self, source: Source, sampling: float) -> None:
        self._source, self._sampling = source, sampling
        self._with = [[number for number, sample in enumerate(source.samples) if channel in sample.classes]
                      for channel in range(source.classes)]
        self._clean = [number for number, sample in enumerate(source.samples) if not sample.regions]
        self._clean_part = min(CLEAN, 2 * len(self._clean) / max(1, len(source.samples)))
        weights = np.array([len(numbers) for numbers in self._with], float)**BALANCE
        self._weights = weights / max(1.0, weights.sum()) if not weights.sum() else weights / weights.sum()

    def place(self, random: np.random.Generator, otherwise: int, crop_hw: Sequence[int]) -> tuple[int, float, float]:
        """(sample, y, x) of the middle of a crop; `otherwise` is the sample to take where chance decides on any."""
        number, channel = self.subject(random, otherwise)
        return number, *self.middle(random, number, channel, crop_hw)

    def subject(self, random: np.random.Generator, otherwise: int) -> tuple[int, int]:
        """(sample, channel of the class to look at in it); channel -1: anywhere."""
        if random.random() < self._sampling and self._weights.sum() > 0:
            channel = int(random.choice(len(self._weights), p=self._weights))
            return int(random.choice(self._with[channel])), channel
        if self._sampling and self._clean and random.random() < self._clean_part:
            return int(random.choice(self._clean)), -1
        return otherwise, -1

    def middle(self, random: np.random.Generator, number: int, channel: int,
               crop_hw: Sequence[int]) -> tuple[float, float]:
        """(y, x) of the middle of a crop of a sample, near a pixel of a class or, for channel -1, anywhere."""
        height, width = self._source.map_size(number)
        y, x = random.random() * height, random.random() * width
        if channel >= 0:
            pixels = self._source.spots(number, channel)
            if len(pixels):  # an object thinner than a pixel may be lost where images are shrunk
                pixel = int(pixels[random.integers(len(pixels))])
                y = pixel // width + (random.random() - 0.5) * 0.7 * crop_hw[0]
                x = pixel % width + (random.random() - 0.5) * 0.7 * crop_hw[1]
        return inside(y, crop_hw[0], height), inside(x, crop_hw[1], width)


def inside(middle: float, side: int, length: int) -> float:
    """A crop's middle moved so that the crop lies inside the image; the image's middle where it cannot."""
    return length / 2 if length <= side else min(max(middle, side / 2), length - side / 2)


def cut(image: np.ndarray, y: float, x: float, size_hw: Sequence[int]) -> np.ndarray:
    """(h, w, …) around a middle; what lies outside of the image is its reflection, at its bottom and right first."""
    height, width = int(size_hw[0]), int(size_hw[1])
    top, left = math.floor(y - height / 2 + 0.5), math.floor(x - width / 2 + 0.5)
    rows = slice(max(0, top), min(image.shape[0], top + height))
    columns = slice(max(0, left), min(image.shape[1], left + width))
    part = image[rows, columns]
    border = rows.start - top, top + height - rows.stop, columns.start - left, left + width - columns.stop
    if not any(border):
        return part
    return cv2.copyMakeBorder(part, *border, cv2.BORDER_REFLECT_101).reshape(height, width, -1)


def resize_nearest(mask: np.ndarray, size_hw: Sequence[int]) -> np.ndarray:
    """(H, W, K) uint8 to (h, w, K): each pixel is that of its centre, none is interpolated."""
    height, width = mask.shape[:2]
    if (height, width) == tuple(size_hw):
        return mask
    rows = ((np.arange(size_hw[0]) + 0.5) * height / size_hw[0]).astype(int)
    columns = ((np.arange(size_hw[1]) + 0.5) * width / size_hw[1]).astype(int)
    return np.ascontiguousarray(mask[rows[:, None], columns[None]])
