"""When is an image called defective? Thresholds a class, chosen by what a missed defect and a false alarm cost.

An image's score for a class is the highest probability among the pixels marked as that class, 0 where none is. It is
called defective where the score of any class reaches that class' threshold (`inference.Prediction.scores`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["NEVER", "Point", "choose", "curve"]

# A threshold that no score reaches.
NEVER = 2.0
# Thresholds that are tried of each class: more would follow chance.
LEVELS = 32


@dataclass(frozen=True)
class Point:
    """One way to decide.

    Attributes:
        thresholds: of each class; NEVER for one that is not looked at.
        missed: defective images that are called clean.
        false_alarms: clean images that are called defective.
    """

    thresholds: tuple[float, ...]
    missed: int
    false_alarms: int


def curve(scores: np.ndarray, defective: np.ndarray) -> list[Point]:
    """From calling nothing defective to calling everything so that is marked at all.

    Each step lowers the threshold of one class, by what finds most defective images for each clean one flagged.

    Args:
        scores: (N, C), of each image and class.
        defective: (N,) bool, whether an image has any label.

    Returns:
        Points of falling `missed` and rising `false_alarms`.
    """
    classes = scores.shape[1]
    levels = [_levels(scores[:, channel]) for channel in range(classes)]
    thresholds = np.full(classes, NEVER)
    flagged = np.zeros(len(scores), bool)
    points = [_point(thresholds, flagged, defective)]
    while True:
        steps = [(channel, level) for channel in range(classes) for level in levels[channel]
                 if level < thresholds[channel]]
        if not steps:
            return points
        channel, level = max(steps, key=lambda step: _worth(scores[:, step[0]] >= step[1], flagged, defective, step))
        thresholds[channel] = level
        flagged |= scores[:, channel] >= level
        points.append(_point(thresholds, flagged, defective))


def _levels(scores: np.ndarray) -> np.ndarray:
    """Thresholds worth trying: halfway between scores that occur, so that no image lies on one."""
    found = np.unique(scores[scores > 0])
    if not len(found):
        return found
    if len(found) > LEVELS:
        found = np.unique(np.quantile(found, np.linspace(0, 1, LEVELS), method="nearest"))
    return np.concatenate([[found[0] / 2], (found[1:] + found[:-1]) / 2])


def _worth(reached: np.ndarray, flagged: np.ndarray, defective: np.ndarray,
           step: tuple[int, float]) -> tuple[float, ...]:
    new = reached & ~flagged
    hits, alarms = int((new & defective).sum()), int((new & ~defective).sum())
    # Steps that flag no clean image come first; of equal ones the smallest, by the highest threshold.
    return (hits / (alarms + 1e-3) if hits else -float(alarms), hits, step[1], -step[0])


def _point(thresholds: np.ndarray, flagged: np.ndarray, defective: np.ndarray) -> Point:
    return Point(tuple(map(float, thresholds)), int((defective & ~flagged).sum()), int((flagged & ~defective).sum()))


def choose(points: Sequence[Point], clean: int, miss_cost: float = 0.0, max_false_alarm: float = 1.0) -> Point:
    """The point to work at.

    Args:
        points: of a curve.
        clean: number of clean images.
        miss_cost: what a missed defect costs, in false alarms; 0 where only the false alarms are limited.
        max_false_alarm: fraction of the clean images that may be flagged, 0..1.

    Returns:
        The cheapest point within the limit; of equals the one with fewer false alarms.
    """
    allowed = [point for point in points if point.false_alarms <= max_false_alarm * clean + 1e-9]
    if miss_cost:
        return min(allowed, key=lambda point: (miss_cost * point.missed + point.false_alarms, point.false_alarms))
    return min(allowed, key=lambda point: (point.missed, point.false_alarms))
