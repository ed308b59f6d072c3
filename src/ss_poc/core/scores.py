"""Dice and IoU of masks."""

from __future__ import annotations

import numpy as np

__all__ = ["dice", "intersection_union"]


def dice(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Dice of an image, class by class: 2|A∩B| / (|A|+|B|); 1 where both are empty.

    Args:
        true, predicted: (H, W, C) bool.

    Returns:
        (C,) float64.
    """
    both = np.count_nonzero(true & predicted, axis=(0, 1))
    total = np.count_nonzero(true, axis=(0, 1)) + np.count_nonzero(predicted, axis=(0, 1))
    return np.where(total == 0, 1.0, 2 * both / np.maximum(total, 1))


def intersection_union(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in both and in either, (C,) each; IoU of a data set is sum of the first over sum of the second."""
    return (np.count_nonzero(true & predicted, axis=(0, 1)), np.count_nonzero(true | predicted, axis=(0, 1)))
