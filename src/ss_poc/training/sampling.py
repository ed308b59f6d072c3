"""Decoded samples, and where in them to look.

A mask is packed when it is drawn (`Sample.bits`) and travels so until a network needs it: see `data.packed`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from ..core.images import resize_image
from ..core.tiles import map_size
from ..data.dataset import Sample
from ..data.packed import bit, bytes_a_pixel

__all__ = ["Draws", "Pair", "Source", "cut", "inside", "resize_nearest", "stacked"]

# Of the crops that are not drawn around an object, this fraction shows a clean image (one without an object). Where
# clean images are rare, it is twice their fraction of all images instead.
CLEAN = 0.6
# Pixels of a class that are remembered in each sample, at most.
SPOTS = 256
# Rare classes are drawn more often than they occur: by the square root of their number of images.
BALANCE = 0.5
# An image and its packed mask, or a batch of both.
Pair = tuple[np.ndarray, np.ndarray]


class Source:
    """Decoded samples at network scale, kept while all of them fit into memory.

    Args:
        samples: photographs with their regions.
        classes: number of classes.
        scale: network pixels for each pixel of the photograph, along a side; 0 to squeeze each into `size_hw`.
        size_hw: (height, width), for scale 0.
        cache_bytes: decoded samples are kept if all of them take no more bytes than this.
    """

    def __init__(self, samples: Sequence[Sample], classes: int, scale: float, size_hw: Sequence[int],
                 cache_bytes: int = 0) -> None:
        self.samples, self.classes, self.scale, self.size_hw = tuple(samples), classes, scale, tuple(size_hw)
        pixels = sum(height * width for height, width in map(self.map_size, range(len(self.samples))))
        self.cached = pixels * (3 + bytes_a_pixel(classes)) <= cache_bytes
        self._kept: dict[int, Pair] = {}
        self._local = threading.local()
        self._spots: dict[tuple[int, int], np.ndarray] = {}

    def map_size(self, number: int) -> tuple[int, int]:
        """(height, width) of a sample at network scale."""
        return map_size(self.samples[number].size_hw, self.scale, self.size_hw)

    def decoded(self, number: int) -> Pair:
        """Decode a sample: (h, w, 3) uint8 RGB and its packed mask (h, w, ceil(C / 8)) uint8, never interpolated.

        Where not all samples are kept, each thread keeps the last one that it asked for.

        Raises:
            ImageError: the photograph cannot be decoded.
            IndexError: it has a region of a class that is not below `classes`.
        """
        if number in self._kept:
            return self._kept[number]
        if getattr(self._local, "number", None) == number:
            return self._local.pair
        sample = self.samples[number]
        image = resize_image(sample.image(), self.map_size(number))
        bits = resize_nearest(sample.bits(self.classes), self.map_size(number))
        if self.cached:
            self._kept[number] = image, bits
        else:
            self._local.number, self._local.pair = number, (image, bits)
        return image, bits

    def spots(self, number: int, channel: int) -> np.ndarray:
        """Up to SPOTS pixels of a class in a sample: (n,) int64 indices into its flattened (h, w), always the same.

        They are kept: to find them, the photograph must be decoded and each of its pixels looked at.
        """
        if (number, channel) not in self._spots:
            byte, alone = bit(channel)
            pixels = np.flatnonzero(self.decoded(number)[1][..., byte] & alone)
            if len(pixels) > SPOTS:
                pixels = np.sort(np.random.default_rng((number, channel)).choice(pixels, SPOTS, replace=False))
            self._spots[number, channel] = pixels.astype(np.int64)
        return self._spots[number, channel]


class Draws:
    """Where to look: at an object (rare classes more often than they occur), at a clean image, or anywhere.

    Args:
        source: the samples.
        sampling: fraction of the draws, 0 to 1, that look at an object.
    """

    def __init__(self, source: Source, sampling: float) -> None:
        self._source, self._sampling = source, sampling
        self._with = [[number for number, sample in enumerate(source.samples) if channel in sample.classes]
                      for channel in range(source.classes)]
        self._clean = [number for number, sample in enumerate(source.samples) if not sample.regions]
        self._clean_fraction = min(CLEAN, 2 * len(self._clean) / max(1, len(source.samples)))
        weights = np.array([len(numbers) for numbers in self._with], float)**BALANCE
        self._weights = weights / max(1.0, weights.sum()) if not weights.sum() else weights / weights.sum()

    def place(self, random: np.random.Generator, otherwise: int, crop_hw: Sequence[int]) -> tuple[int, float, float]:
        """Draw (sample number, y, x), the middle of a crop; `otherwise` is the sample to take where any will do."""
        number, channel = self.subject(random, otherwise)
        return number, *self.middle(random, number, channel, crop_hw)

    def subject(self, random: np.random.Generator, otherwise: int) -> tuple[int, int]:
        """Draw (sample number, channel of the class to look at in it); channel -1: look anywhere."""
        if random.random() < self._sampling and self._weights.sum() > 0:
            channel = int(random.choice(len(self._weights), p=self._weights))
            return int(random.choice(self._with[channel])), channel
        if self._sampling and self._clean and random.random() < self._clean_fraction:
            return int(random.choice(self._clean)), -1
        return otherwise, -1

    def middle(self, random: np.random.Generator, number: int, channel: int,
               crop_hw: Sequence[int]) -> tuple[float, float]:
        """Draw (y, x), the middle of a crop of a sample: near a pixel of the class, or for channel -1 anywhere."""
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
    """Move the middle of a crop so that the crop lies inside the image; the image's middle if the crop is larger."""
    return length / 2 if length <= side else min(max(middle, side / 2), length - side / 2)


def cut(image: np.ndarray, y: float, x: float, size_hw: Sequence[int]) -> np.ndarray:
    """Cut (h, w, K) out of an (H, W, K) image around (y, x): a view where all of it lies inside.

    What lies outside of the image is its reflection; an odd pixel of it comes at the bottom and at the right.
    """
    height, width = int(size_hw[0]), int(size_hw[1])
    top, left = math.floor(y - height / 2 + 0.5), math.floor(x - width / 2 + 0.5)
    rows = slice(max(0, top), min(image.shape[0], top + height))
    columns = slice(max(0, left), min(image.shape[1], left + width))
    inner = image[rows, columns]
    border = rows.start - top, top + height - rows.stop, columns.start - left, left + width - columns.stop
    if not any(border):
        return inner
    return cv2.copyMakeBorder(inner, *border, cv2.BORDER_REFLECT_101).reshape(height, width, -1)


def resize_nearest(mask: np.ndarray, size_hw: Sequence[int]) -> np.ndarray:
    """(H, W, K) uint8 to (h, w, K): each pixel is that of its centre, none is interpolated."""
    height, width = mask.shape[:2]
    if (height, width) == tuple(size_hw):
        return mask
    rows = ((np.arange(size_hw[0]) + 0.5) * height / size_hw[0]).astype(int)
    columns = ((np.arange(size_hw[1]) + 0.5) * width / size_hw[1]).astype(int)
    return np.ascontiguousarray(mask[rows[:, None], columns[None]])


def stacked(pairs: Iterable[Pair]) -> Pair:
    """Stack N images and their packed masks: (N, h, w, 3) and (N, h, w, ceil(C / 8)) uint8."""
    images, bits = zip(*pairs, strict=True)
    return np.stack(images), np.stack(bits)
