"""How far marks reach below their threshold: one number for a model, found after its rules (docs/optimising.md)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..core.config import Rule
from ..core.refine import below, extend, refine, resize_probability
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
    size_hw = truth.shape[:2]
    mask = refine(probability, [dataclasses.replace(rule, reach=0.0) for rule in rules], size_hw)
    counts = np.zeros((len(REACHES), 2, len(rules)), np.int64)
    for channel, rule in enumerate(rules):
        marks, real = np.ascontiguousarray(mask[..., channel]), truth[..., channel : channel + 1]
        large = resize_probability(probability[..., channel], size_hw) if marks.any() else None
        for number, reach in enumerate(REACHES):
            if large is not None and reach:  # what grew to a higher threshold grows on
                extend(marks, large, below(rule.proba, reach))
            counts[number, :, channel] = np.ravel(intersection_union(real, marks[..., None]))
    return counts


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
