"""Classes that never share a photograph compete on each: the one that most speaks for holds the others down."""

from __future__ import annotations

import numpy as np

from .masks import row_bands

__all__ = ["compete"]


def compete(probability: np.ndarray) -> np.ndarray:
    """Multiply each class' probabilities, in place, by its share of a photograph: the sum of its squared probabilities
    over that of all classes. A photograph on which one class is likely stays almost as it is.

    Args:
        probability: (h, w, C) float32 or float16 in 0..1, of a whole photograph.

    Returns:
        `probability`.
    """
    squares = np.zeros(probability.shape[-1])
    for rows in row_bands(probability.shape[:2]):
        band = probability[rows].astype(np.float32)
        squares += np.einsum("hwc,hwc->c", band, band)
    shares = (squares / max(squares.sum(), np.finfo(np.float64).tiny)).astype(np.float32)
    for rows in row_bands(probability.shape[:2]):
        probability[rows] *= shares
    return probability
