"""What somebody points at, as maps that the network reads beside the colours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

__all__ = ["CHANNELS", "RADIUS", "Box", "Click", "guidance", "joined"]

# Of the guidance: positive clicks, negative clicks, the mask so far, the box.
CHANNELS = 4
# Of the disk that stands for a click, in pixels of the network's input.
RADIUS = 5


class Click(NamedTuple):
    """A place in a photograph, in pixels from its top left corner; `positive`: it belongs to the region meant."""

    x: float
    y: float
    positive: bool = True


class Box(NamedTuple):
    """A rectangle around the region meant, in pixels; `right` and `bottom` are the first pixels outside."""

    left: float
    top: float
    right: float
    bottom: float


def joined(boxes: Iterable[Box]) -> Box:
    """The smallest box around boxes, one at least."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def guidance(size_hw: Sequence[int], clicks: Sequence[Click], box: Box | None = None,
             previous: np.ndarray | None = None) -> np.ndarray:
    """Draw clicks as disks (Sofiiuk et al. 2022, arXiv 2102.06583, section 3.2) and a box as its area.

    Args:
        size_hw: (height, width) of the maps.
        clicks, box: in pixels of the maps; those outside are cut off.
        previous: (h, w) float32, 0..1, the probability so far; None for none.

    Returns:
        (h, w, CHANNELS) float32, 0..1.
    """
    maps = np.zeros((CHANNELS, size_hw[0], size_hw[1]), np.float32)
    for click in clicks:
        cv2.circle(maps[0 if click.positive else 1], (int(click.x), int(click.y)), RADIUS, 1.0, cv2.FILLED)
    if previous is not None:
        maps[2] = previous
    if box is not None:
        left, top, right, bottom = (int(round(max(0.0, value))) for value in box)
        maps[3, top:bottom, left:right] = 1
    return np.ascontiguousarray(maps.transpose(1, 2, 0))
