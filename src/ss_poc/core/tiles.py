"""Large images in windows of one size: where they lie, and how their overlapping answers become one map."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import cv2
import numpy as np

__all__ = ["OVERLAP", "blend", "map_size", "origins", "window_count", "windows", "windows_along"]

# Pixels that neighbouring windows share at least: what lies at the edge of one is well inside the other.
OVERLAP = 64
# Probabilities of huge maps are kept to 3 digits: five classes of 100 megapixels then take 1 GB.
HALF_ABOVE = 100_000_000


def overlap_of(side: int) -> int:
    """Pixels that neighbouring windows of that side share at least: OVERLAP, or a quarter of a small window."""
    return min(OVERLAP, side // 4)


def windows_along(length: int, side: int) -> int:
    """How many windows of that side cover a length."""
    return 1 if length <= side else 1 + -(-(length - side) // (side - overlap_of(side)))


def window_count(map_hw: Sequence[int], size_hw: Sequence[int]) -> int:
    """How many windows of that size cover a map."""
    return windows_along(int(map_hw[0]), int(size_hw[0])) * windows_along(int(map_hw[1]), int(size_hw[1]))


def origins(length: int, side: int) -> list[int]:
    """Where windows of that side begin: evenly spread, the first at 0, the last ending with the length."""
    count = windows_along(length, side)
    return [round(number * (length - side) / (count - 1)) for number in range(count)] if count > 1 else [0]


def map_size(image_hw: Sequence[int], scale: float, size_hw: Sequence[int]) -> tuple[int, int]:
    """(height, width) of an image's probability map: `size_hw` where scale is 0, else the image's size times scale."""
    if not scale:
        return int(size_hw[0]), int(size_hw[1])
    return max(1, round(image_hw[0] * scale)), max(1, round(image_hw[1] * scale))


def windows(image: np.ndarray, size_hw: Sequence[int]) -> Iterator[tuple[int, int, np.ndarray]]:
    """(top, left, window) of every window of an image; one smaller than the window is continued by reflection."""
    height, width = int(size_hw[0]), int(size_hw[1])
    image = reflect_to(image, (height, width))
    for top in origins(image.shape[0], height):
        for left in origins(image.shape[1], width):
            yield top, left, image[top:top + height, left:left + width]


def reflect_to(image: np.ndarray, size_hw: Sequence[int]) -> np.ndarray:
    """An image of at least that size: continued at its bottom and right by reflection where it is smaller."""
    missing = max(0, size_hw[0] - image.shape[0]), max(0, size_hw[1] - image.shape[1])
    if not any(missing):
        return image
    return cv2.copyMakeBorder(image, 0, missing[0], 0, missing[1], cv2.BORDER_REFLECT_101)


def blend(image: np.ndarray, size_hw: Sequence[int], run: Callable[[np.ndarray], np.ndarray],
          batch_size: int = 4) -> np.ndarray:
    """Probability map of an image of any size.

    Where windows overlap their answers are averaged, each weighing less towards its own edge. Rows are finished from
    top to bottom, so that beside the map itself only one row of windows is in memory.

    Args:
        image: (H, W, 3) uint8.
        size_hw: of a window.
        run: (N, h, w, 3) float32 in 0..255 to (N, h, w, C) float32.
        batch_size: windows a call at most.

    Returns:
        (H, W, C) float32; float16 where the map has more than HALF_ABOVE values.
    """
    height, width = image.shape[:2]
    if height <= size_hw[0] and width <= size_hw[1]:
        return run(reflect_to(image, size_hw)[None].astype(np.float32))[0, :height, :width]
    image = reflect_to(image, size_hw)
    tops, lefts = (origins(image.shape[axis], int(size_hw[axis])) for axis in (0, 1))
    weight_hw = np.outer(ramp(int(size_hw[0])), ramp(int(size_hw[1])))[..., None]
    # The windows form a grid, so what they weigh together at a pixel is a product of its row's and its column's sum.
    along = [_weight_along(image.shape[axis], starts, int(size_hw[axis])) for axis, starts in ((0, tops), (1, lefts))]
    places = [(top, left) for top in tops for left in lefts]
    found = band = np.zeros(0, np.float32)
    reached = 0  # rows above this one are finished; `band` holds the sums of those from here on

    def finish(end: int) -> None:
        nonlocal reached
        ready = end - reached
        band[:ready] /= (along[0][reached:end, None] * along[1])[..., None]
        found[reached:end] = band[:ready]
        band[:len(band) - ready] = band[ready:]  # in place: of a flat image the band is as large as the map
        band[len(band) - ready:] = 0
        reached = end

    for begin in range(0, len(places), batch_size):
        group = places[begin:begin + batch_size]
        answers = run(np.stack([image[top:top + size_hw[0], left:left + size_hw[1]] for top, left in group]
                               ).astype(np.float32))
        if not found.size:
            shape = (*image.shape[:2], answers.shape[-1])
            found = np.empty(shape, np.float16 if np.prod(shape) > HALF_ABOVE else np.float32)
            band = np.zeros((int(size_hw[0]), *shape[1:]), np.float32)
        for (top, left), answer in zip(group, answers, strict=True):
            if top > reached:
                finish(top)
            band[:, left:left + size_hw[1]] += answer * weight_hw
    finish(image.shape[0])
    return np.ascontiguousarray(found[:height, :width])


def _weight_along(length: int, starts: Sequence[int], side: int) -> np.ndarray:
    """What windows that begin at `starts` weigh together at each place along a side, (length,) float32."""
    total = np.zeros(length, np.float32)
    for start in starts:
        total[start:start + side] += ramp(side)
    return total


@cache
def ramp(side: int) -> np.ndarray:
    """Weights along a window's side, (side,) float32: rising over the overlap from near 0 to 1, and falling again."""
    distance = np.minimum(np.arange(side), np.arange(side)[::-1]) + 0.5
    return np.minimum(1.0, distance / max(1, overlap_of(side))).astype(np.float32)
