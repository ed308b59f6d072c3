"""How far marks reach below their threshold: one number for a model, found after its rules (docs/optimising.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..core.config import Rule
from ..core.refine import refine
from ..core.scores import dice_of_counts, intersection_union, iou_of_counts

__all__ = ["REACHES", "count_reaches", "find_reach"]

REACHES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # log-odds


def count_reaches(probability: np.ndarray, truth: np.ndarray, rules: Sequence[Rule]) -> np.ndarray:
    """Count the pixels that the rules mark on an image with each of REACHES.

    Args:
        probability: (h, w, C) float32 in 0..1.
        truth: (H, W, C) bool, at the image's size.
        rules: one a channel.

    Returns:
        (reaches, 2, C) int64: pixels in both masks, and in either.
    """
    def mask(reach: float) -> np.ndarray:
        return refine(probability, [dataclasses.replace(rule, reach=reach) for rule in rules], truth.shape[:2])

    return np.array([intersection_union(truth, mask(reach)) for reach in REACHES])


def find_reach(counts: Sequence[np.ndarray]) -> float:
    """The reach of the highest mean IoU of the classes, all pixels together, that does not lower the mean Dice of an
    image; the smallest of equal ones.

    Args:
        counts: of each image, as `count_reaches` gives them; without one the reach is 0.
    """
    if not len(counts):
        return REACHES[0]
    both, either = np.moveaxis(np.stack(counts), 2, 0)
    dices = dice_of_counts(both, both + either).mean(axis=(0, 2))
    ious = np.nan_to_num(iou_of_counts(both.sum(axis=0), either.sum(axis=0))).mean(axis=1)
    return REACHES[int(np.argmax(np.where(dices >= dices[0] - 1e-9, np.round(ious, 9), -1.0)))]
