"""Draw defects onto good photographs: a network that learns to find them finds what departs from this surface
(Zavrtanik et al. 2021, DRAEM, arXiv 2108.07610; Li et al. 2021, CutPaste, arXiv 2104.04015).

The defects are those of `surfaces`: lines, spots, stains, breaks and patches of other texture.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .surfaces import CLASSES, SIDE

__all__ = ["draw_on"]

# Side of the window in which a defect is drawn, over SIDE: defects of one kind come in sizes 4 to 1.
WINDOWS = (0.5, 0.75, 1.0, 1.5, 2.0)
COUNTS = (1, 1, 1, 2, 2, 3)  # how many on a photograph
TINTED = 0.3  # fraction of the defects on colour photographs that differ in colour as well
# What a defect must differ by, on average: grey values, and deviations of the surface there. Less nobody sees.
FAINTEST, FAINTEST_OF_DEVIATION = 6.0, 0.5
TRIES = 8


def draw_on(image_rgb: np.ndarray, random: np.random.Generator, enlarged: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Draw defects onto a photograph.

    Args:
        image_rgb: (H, W, 3) uint8, which stays as it is.
        random: what they follow from.
        enlarged: how many times larger than on a small photograph they are.

    Returns:
        The photograph with one to three defects, (H, W, 3) uint8; and where they are, (H, W) bool. On a photograph of a
        few pixels there may be none.
    """
    drawn, mask = image_rgb.astype(np.float32), np.zeros(image_rgb.shape[:2], bool)
    colored = bool((image_rgb != image_rgb[..., :1]).any())
    for _ in range(random.choice(COUNTS)):
        for _ in range(TRIES):
            place = _window(mask.shape, int(SIDE * random.choice(WINDOWS) * enlarged), random)
            step, there = _defect(drawn[place].mean(axis=-1), random)
            if _is_seen(step, there, drawn[place]) and not _is_cut(there, place, mask.shape):
                tint = random.normal(1, 0.4, 3) if colored and random.random() < TINTED else np.ones(3)
                drawn[place] += (step[..., None] * tint).astype(np.float32)
                mask[place] |= there
                break
    return np.clip(drawn, 0, 255).astype(np.uint8), mask


def _window(size_hw: Sequence[int], side: int, random: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a square of that side somewhere in the photograph, or as much of it as there is."""
    lengths = [min(side, length) for length in size_hw]
    starts = [int(random.integers(whole - length + 1)) for whole, length in zip(size_hw, lengths, strict=True)]
    return slice(starts[0], starts[0] + lengths[0]), slice(starts[1], starts[1] + lengths[1])


def _defect(grey: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A defect on float32 `grey` (h, w): what it adds, (h, w) float32, and where it is, (h, w) bool."""
    high, wide = grey.shape
    side = max(high, wide)
    square = cv2.copyMakeBorder(grey, 0, side - high, 0, side - wide, cv2.BORDER_REFLECT)
    before = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    kinds = list(CLASSES.values())
    where, after = kinds[int(random.integers(len(kinds)))][1](random, before)
    step = cv2.resize((after - before).astype(np.float32), (side, side))
    there = cv2.resize(where.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST) > 0
    return step[:high, :wide], there[:high, :wide]


def _is_seen(step: np.ndarray, there: np.ndarray, surface: np.ndarray) -> bool:
    """Whether there is a pixel of the defect, and it differs from the surface."""
    return bool(there.any()) and float(np.abs(step[there]).mean()) >= max(
        FAINTEST, FAINTEST_OF_DEVIATION * float(surface.mean(axis=-1).std()))


def _is_cut(there: np.ndarray, place: tuple[slice, slice], size_hw: Sequence[int]) -> bool:
    """Whether a border of the window that is none of the photograph cuts the defect: a straight edge gives it away."""
    rows, columns = place
    return bool((rows.start > 0 and there[0].any()) or (rows.stop < size_hw[0] and there[-1].any())
                or (columns.start > 0 and there[:, 0].any()) or (columns.stop < size_hw[1] and there[:, -1].any()))
