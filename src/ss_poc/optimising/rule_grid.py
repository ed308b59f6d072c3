"""Which post-processing rule serves a class best: every rule of a grid on every image, counted exactly and fast.

One pass over the images counts, for each rule, how many pixels it marks and how many of them are right; everything
else follows from these numbers.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from ..core.config import Rule
from ..core.masks import bounding_box
from ..core.refine import resize_probability, scaled_rule, threshold_and_pad
from ..core.scores import bootstrap_weights, dice_of_counts, interval_of

__all__ = ["Found", "Grid", "Tally", "count_grid", "find_rule", "grid_of", "held_out"]

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
PADS = (0, 1, 2)
# Minimum areas to try, as fractions of the area that 95 % of the labelled components of the class exceed.
SMALL, AREA_FRACTIONS = 0.05, (0.125, 0.25, 0.5, 1.0)
# Bootstrap samples of the images, and the fraction of them in which a rule must beat a simpler one to be taken.
RESAMPLES, CONFIDENCE = 1000, 0.8
# What marking an image without defects, or without this class, costs; measured in docs/training-tried.md.
CLEAN, ABSENT = 3.0, 1.5


@dataclass(frozen=True)
class Grid:
    """Values to try for one class, ascending; lengths and areas are pixels of the probability map.

    The plain rule, threshold 0.5 and nothing else, is among them.
    """

    thresholds: tuple[float, ...]
    pads: tuple[int, ...]
    areas: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(thresholds, pads, areas, hull or not)."""
        return len(self.thresholds), len(self.pads), len(self.areas), 2

    @property
    def plain(self) -> tuple[int, int, int, int]:
        """Where in an array of `shape` the plain rule lies."""
        return self.thresholds.index(0.5), self.pads.index(0), self.areas.index(0), 0


@dataclass(frozen=True)
class Found:
    """The rule taken for a class, and why.

    Attributes:
        rule: the one taken.
        best: the one of the highest score, which may be no better than `rule` but by chance.
        gain: score of `best` less that of the plain rule; `low` and `high` bound it with 95 % (bootstrap over images).
        sure: fraction of the bootstrap samples in which `best` scores higher than `rule`; 1 where they are the same.
    """

    rule: Rule
    best: Rule
    gain: float
    low: float
    high: float
    sure: float


def grid_of(areas: Sequence[float]) -> Grid:
    """The grid for a class whose labelled components have these areas, in pixels of the probability map."""
    small = float(np.quantile(areas, SMALL)) if len(areas) else 0.0
    return Grid(THRESHOLDS, PADS, tuple(sorted({0, *(int(small * part) for part in AREA_FRACTIONS)} - {1})))


class Tally:
    """What the rules of a grid did to one class, image by image.

    Args:
        grid: the rules.
        looks: how often each image is added, one after the other: first as it is, then in other light or mirrored.
    """

    def __init__(self, grid: Grid, looks: int = 1) -> None:
        self.grid, self._looks = grid, looks
        self._counts: list[np.ndarray] = []
        self._true: list[int] = []
        self._clean: list[bool] = []

    def add(self, counts: np.ndarray, true: int, clean: bool) -> None:
        """Take a look at an image in.

        Args:
            counts: what `count_grid` found.
            true: pixels of the class in the truth.
            clean: whether the image has no label at all.
        """
        self._counts.append(counts.reshape(-1, 2).astype(np.int32))
        self._true.append(true)
        self._clean.append(clean)

    def without(self, images: Sequence[bool]) -> Tally:
        """The same of all other images: `images` says of each whether it is left out."""
        rest = Tally(self.grid, self._looks)
        for index, (counts, true, clean) in enumerate(zip(self._counts, self._true, self._clean, strict=True)):
            if not images[index // self._looks]:
                rest.add(counts, true, clean)
        return rest

    def mean_dice(self) -> np.ndarray:
        """`grid.shape`, mean Dice of an image as it is, 1 where truth and mask are both empty."""
        return self._images(slice(None))[0][::self._looks].mean(axis=0).reshape(self.grid.shape)

    def score(self) -> np.ndarray:
        """`grid.shape`, what the search maximises over all looks: mean Dice of an image + Dice of all pixels together
        - CLEAN times the fraction of the images without any label that are marked - ABSENT times the same fraction of
        the images without this class. -inf where the mean Dice of the images as they are is below that of the plain
        rule.

        The first alone gives up rare classes: finding nothing scores 1 on every image without them. The second alone
        does not mind that clean images are flagged.
        """
        value = self._scores(slice(None), np.ones((1, len(self._true))))[0].reshape(self.grid.shape)
        mean = self.mean_dice()
        return np.where(mean >= mean[self.grid.plain] - 1e-9, value, -np.inf)

    def resampled(self, rules: Sequence[int], seed: int = 0) -> np.ndarray:
        """Scores of some rules, given by their flat index, on bootstrap samples of the images, (RESAMPLES, rules)."""
        count = len(self._true) // self._looks
        weights = bootstrap_weights(count, RESAMPLES, seed)
        # Looks at one image come together or not at all: they are no images of their own.
        return self._scores(list(rules), np.repeat(weights, self._looks, axis=1))

    def _images(self, rules: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Dice, marked and right pixels of each image and rule, (N, rules), and true pixels, (N, 1)."""
        counts = np.stack([image[rules] for image in self._counts])
        true = np.array(self._true)[:, None]
        predicted, hit = counts[..., 0], counts[..., 1]
        return dice_of_counts(hit, predicted + true), predicted, hit, true

    def _scores(self, rules: Any, weights: np.ndarray) -> np.ndarray:
        """Scores of rules on weighted images: weights (B, N) to (B, rules)."""
        dices, predicted, hit, true = self._images(rules)
        alarms = [weights @ (without * (predicted > 0)) / np.maximum(weights @ without, 1)
                  for without in (np.array(self._clean, float)[:, None], (true == 0).astype(float))]
        return weights @ dices / weights.sum(axis=1, keepdims=True) + dice_of_counts(
            weights @ hit, weights @ predicted + weights @ true) - CLEAN * alarms[0] - ABSENT * alarms[1]


def find_rule(plain: Rule, tally: Tally) -> Found:
    """The rule of the highest score, or a simpler one that it does not beat but by chance.

    Simpler are the plain rule, and the best of those that only set the threshold. Among rules of equal score the
    plainest is taken: no hull, no area, no dilation, nearest 0.5.
    """
    grid, score, mean = tally.grid, tally.score(), tally.mean_dice()

    def rule_at(place: tuple[int, ...]) -> Rule:
        return dataclasses.replace(plain, proba=grid.thresholds[place[0]], pad=grid.pads[place[1]],
                                   reduce_size=grid.areas[place[2]], convex=bool(place[3]), dice=float(mean[place]))

    def rank(place: tuple[int, ...]) -> tuple[float, ...]:
        rule = rule_at(place)
        return (-round(float(score[place]), 9), rule.convex, rule.reduce_size, rule.pad, abs(rule.proba - 0.5))

    best = min(itertools.product(*map(range, grid.shape)), key=rank)
    only_threshold = min(((number, *grid.plain[1:]) for number in range(len(grid.thresholds))), key=rank)
    ladder = [grid.plain, only_threshold, best]
    samples = tally.resampled([int(np.ravel_multi_index(place, grid.shape)) for place in ladder])
    sure = [float((samples[:, 2] > samples[:, step]).mean()) if place != best else 1.0
            for step, place in enumerate(ladder)]
    taken = next(step for step, place in enumerate(ladder) if place == best or sure[step] < CONFIDENCE)
    low, high = interval_of(samples[:, 2] - samples[:, 0])
    return Found(rule_at(ladder[taken]), rule_at(best), float(score[best] - score[grid.plain]), low, high, sure[taken])


def held_out(plain: Rule, tally: Tally, folds: Sequence[int]) -> dict[int, Rule]:
    """For each fold the rule of a class that is found without the images of that fold.

    Args:
        plain: the plain rule of the class.
        tally: of all images.
        folds: of each image; where there is only one, nothing is left out.
    """
    several = len(set(folds)) > 1
    return {fold: find_rule(plain, tally.without([other == fold for other in folds]) if several else tally).rule
            for fold in set(folds)}


def count_grid(probability_hw: np.ndarray, truth_hw: np.ndarray, grid: Grid) -> np.ndarray:
    """Pixels that every rule of a grid marks in one class of one image, exactly as `core.refine.refine` would.

    Only the part of the image where anything is above the threshold is looked at. Components are found once
    for each threshold and dilation, and taken largest first: the mask of each minimum area is then one already seen
    plus some components, so its counts are running sums.

    Args:
        probability_hw: (h, w) float32, the probability map.
        truth_hw: (H, W) bool, at image size.
        grid: values to try, in pixels of the map.

    Returns:
        (*grid.shape, 2) int64: pixels of the mask, and those of them in the truth.
    """
    counts = np.zeros((*grid.shape, 2), np.int64)
    if probability_hw.max() < 0.99 * grid.thresholds[0]:  # enlarging makes nothing higher
        return counts
    rules = [scaled_rule(pad, 0, probability_hw.shape, truth_hw.shape)[0] for pad in grid.pads]
    least = [scaled_rule(0, area, probability_hw.shape, truth_hw.shape)[1] for area in grid.areas]
    large, truth = resize_probability(probability_hw, truth_hw.shape), truth_hw
    before = -1
    for t, proba in enumerate(grid.thresholds):
        marked = large >= proba
        size = int(np.count_nonzero(marked))
        if not size:
            break
        if size == before:  # masks of rising thresholds lie in one another: of the same size, they are the same
            counts[t] = counts[t - 1]
            continue
        before = size
        part = _around(marked, max(rules) + 1)
        large, truth = np.ascontiguousarray(large[part]), np.ascontiguousarray(truth[part])
        true_at = np.flatnonzero(truth)
        for p, pad in enumerate(rules):
            counts[t, p] = _count_areas(threshold_and_pad(large, proba, pad), true_at, least)
    return counts


def _around(mask: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The part of an image that holds a mask, and `margin` pixels around it."""
    rows, columns = bounding_box(mask) or (slice(0, 1), slice(0, 1))
    return (slice(max(0, rows.start - margin), rows.stop + margin),
            slice(max(0, columns.start - margin), columns.stop + margin))


def _count_areas(mask: np.ndarray, true_at: np.ndarray, least_areas: Sequence[float]) -> np.ndarray:
    """Mask and hit pixels for each minimum area, (areas, hull or not, 2) int64; `true_at`: where the truth is, flat."""
    count, labelled, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    hits = np.bincount(labelled.ravel()[true_at], minlength=count)[1:]
    order = np.argsort(-areas, kind="stable")
    sums = np.concatenate([[[0, 0]], np.cumsum(np.stack([areas[order], hits[order]], axis=1), axis=0)])
    kept = [int(np.count_nonzero(areas >= least)) if least > 1 else len(areas) for least in least_areas]
    hulls = dict(_hull_counts(mask, labelled, order, true_at, set(kept)))
    return np.array([[sums[number], hulls[number]] for number in kept], np.int64)


def _hull_counts(mask: np.ndarray, labelled: np.ndarray, order: np.ndarray, true_at: np.ndarray,
                 wanted: set[int]) -> Iterator[tuple[int, tuple[int, int]]]:
    """For each wanted number of largest components: area of the union of their hulls, and its labelled pixels."""
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outlines = {int(labelled[contour[0, 0, 1], contour[0, 0, 0]]): contour
                for contour, links in zip(contours, hierarchy[0] if contours else (), strict=True) if links[3] < 0}
    canvas = np.zeros_like(mask)
    for number in range(len(order) + 1):
        if number:
            cv2.fillConvexPoly(canvas, cv2.convexHull(outlines[int(order[number - 1]) + 1]), 1)
        if number in wanted:
            yield number, (int(np.count_nonzero(canvas)), int(np.count_nonzero(canvas.ravel()[true_at])))
