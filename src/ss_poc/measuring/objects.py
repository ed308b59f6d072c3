"""The objects of one class, measured in pixels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..core.masks import bounding_box
from .skeleton import length_of

__all__ = ["MOST_MEASURED", "Object", "Objects", "measure"]

# The largest objects of a class are measured one by one; all are counted.
MOST_MEASURED = 1000


@dataclass(frozen=True)
class Object:
    """One object, in pixels.

    Attributes:
        area: pixels that are marked.
        length: along its skeleton, see `length_of`.
        edge: pixels between it and the edge of the region; 0 where it touches it.
        bbox: x, y, width and height.
    """

    area: int
    length: float
    edge: float
    bbox: tuple[int, int, int, int]

    @property
    def width(self) -> float:
        """Its mean width: area / length."""
        return self.area / self.length


@dataclass(frozen=True)
class Objects:
    """The objects of a class.

    Attributes:
        count: number of all objects.
        area: pixels of all objects.
        measured: the MOST_MEASURED largest ones, largest first.
    """

    count: int = 0
    area: int = 0
    measured: tuple[Object, ...] = ()


def measure(mask_hw: np.ndarray, to_edge: np.ndarray) -> Objects:
    """Measure the objects of a class: 8-connected components.

    Args:
        mask_hw: (H, W) bool, of what counts.
        to_edge: (H, W) float32, at each pixel the pixels between it and the edge of the region.
    """
    box = bounding_box(mask_hw)
    if box is None:
        return Objects()
    inside = np.ascontiguousarray(mask_hw[box], np.uint8)
    count, labelled, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    order = sorted(range(1, count), key=lambda number: (-stats[number, cv2.CC_STAT_AREA], *stats[number, :2]))
    measured = []
    for number in order[:MOST_MEASURED]:
        x, y, width, height, area = (int(value) for value in stats[number])
        part = labelled[y:y + height, x:x + width] == number
        x, y = x + box[1].start, y + box[0].start
        edge = float(to_edge[y:y + height, x:x + width][part].min())
        measured.append(Object(area, length_of(part), edge, (x, y, width, height)))
    return Objects(count - 1, int(areas.sum()), tuple(measured))
