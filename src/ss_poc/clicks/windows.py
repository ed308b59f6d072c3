"""What is looked at: a square window of a photograph, enlarged or reduced to the size that the network takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

__all__ = ["OUTSIDE", "Window", "cut", "paste"]

# What lies outside of a photograph: a grey that the network scales to 0, as its own edges are.
OUTSIDE = 128


class Window(NamedTuple):
    """A square of `side` pixels whose top left corner is at (left, top); it may reach beyond the photograph."""

    left: int
    top: int
    side: int

    def inside(self, size_hw: Sequence[int]) -> tuple[slice, slice]:
        """The rows and columns of a photograph of this size that the window covers."""
        return (slice(max(0, self.top), max(0, min(size_hw[0], self.top + self.side))),
                slice(max(0, self.left), max(0, min(size_hw[1], self.left + self.side))))


def cut(picture: np.ndarray, window: Window, size: int, outside: float = OUTSIDE) -> np.ndarray:
    """Cut a window out of a picture, (H, W) or (H, W, C) float32 or uint8, as (size, size[, C])."""
    rows, columns = window.inside(picture.shape)
    content = picture[rows, columns]
    above, before = rows.start - window.top, columns.start - window.left
    rest = window.side - content.shape[0] - above, window.side - content.shape[1] - before
    if above or before or any(rest):
        content = cv2.copyMakeBorder(content, above, rest[0], before, rest[1], cv2.BORDER_CONSTANT,
                                     value=(outside,) * 3)
    return _resized(content, size)


def paste(whole: np.ndarray, window: Window, content: np.ndarray) -> None:
    """Put what was found in a window, (size, size) float32, into a map of the photograph, (H, W), in place."""
    rows, columns = window.inside(whole.shape)
    full = _resized(content, window.side)
    whole[rows, columns] = full[rows.start - window.top:rows.stop - window.top,
                                columns.start - window.left:columns.stop - window.left]


def _resized(picture: np.ndarray, side: int) -> np.ndarray:
    if picture.shape[0] == side:
        return picture
    how = cv2.INTER_AREA if side < picture.shape[0] else cv2.INTER_LINEAR
    return cv2.resize(picture, (side, side), interpolation=how)
