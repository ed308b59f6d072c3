"""A robot that clicks as a careful person would: in the middle of the region, then of what is most wrong."""

from __future__ import annotations

import cv2
import numpy as np

from .guidance import Box, Click

__all__ = ["box_around", "middle_of", "next_click"]


def middle_of(mask: np.ndarray) -> tuple[int, int] | None:
    """Find the pixel of a mask that is farthest from its edge; edges of the picture count as edges.

    Args:
        mask: (H, W) bool.

    Returns:
        (x, y); None where the mask is empty. Of several such pixels the first, by rows.
    """
    if not mask.any():
        return None
    depth = cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)


def next_click(true: np.ndarray, found: np.ndarray) -> Click | None:
    """Click in the middle of the largest error: the robot user of the field (Sofiiuk et al. 2022, section 4).

    Args:
        true: (H, W) bool, the region meant.
        found: (H, W) bool, the mask so far; an empty one before the first click.

    Returns:
        A positive click where most is missing, a negative one where most is too much, whichever lies deeper; None
        where the masks are the same.
    """
    best: tuple[float, Click] | None = None
    for wrong, positive in ((true & ~found, True), (found & ~true, False)):
        depth = cv2.distanceTransform(np.pad(wrong, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        if wrong.any() and (best is None or depth.max() > best[0]):
            y, x = np.unravel_index(int(depth.argmax()), depth.shape)
            best = float(depth.max()), Click(int(x), int(y), positive)
    return best[1] if best else None


def box_around(mask: np.ndarray) -> Box | None:
    """Find the smallest box around a bool mask (H, W); None where it is empty."""
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
