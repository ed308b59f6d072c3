"""Dice, IoU and bootstrap: the one place where masks are scored.

* Dice = 2|A∩B| / (|A|+|B|). Reported as the mean over images, it is taken of each image and class by itself, and is 1
  where truth and prediction are both empty: a model that finds nothing scores 1 on every image without the class.
* IoU = |A∩B| / |A∪B|. Reported for a data set, intersections and unions are summed over all images first; it is not
  known (nan) where a class is in no truth and no prediction.
* Bootstrap (Efron 1979): images are drawn with replacement, as many as there are, many times; the spread of a score
  over these samples tells how far it depends on the images that happened to be there.
"""

from __future__ import annotations

import numpy as np

__all__ = ["average_precisions", "bootstrap", "bootstrap_weights", "dice", "dice_of_counts", "interval", "interval_of",
           "intersection_union", "iou_of_counts", "mean_iou"]

# Bounds of an interval that holds 95 % of the bootstrap samples.
BOUNDS = (0.025, 0.975)


def dice(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Dice of one image, class by class; 1 where both masks are empty.

    Args:
        true, predicted: (H, W, C) bool.

    Returns:
        (C,) float64 in 0..1.
    """
    both = np.count_nonzero(true & predicted, axis=(0, 1))
    return dice_of_counts(both, np.count_nonzero(true, axis=(0, 1)) + np.count_nonzero(predicted, axis=(0, 1)))


def intersection_union(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in both masks and in either of one image, class by class: what a data set's IoU sums up.

    Args:
        true, predicted: (H, W, C) bool.

    Returns:
        Two (C,) int arrays.
    """
    return (np.count_nonzero(true & predicted, axis=(0, 1)), np.count_nonzero(true | predicted, axis=(0, 1)))


def dice_of_counts(both: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Dice from pixels in both masks and the sum of the pixels of each, of any one shape; 1 where there are none."""
    return np.where(total > 0, 2 * both / np.maximum(total, 1), 1.0)


def iou_of_counts(both: np.ndarray, either: np.ndarray) -> np.ndarray:
    """IoU from pixels in both masks and in either, of any one shape; nan where there are none."""
    return np.where(either > 0, both / np.maximum(either, 1), np.nan)


def average_precisions(pixels: np.ndarray) -> np.ndarray:
    """Average precision of each class: the sum over all thresholds of precision times the gain in recall.

    Args:
        pixels: (2, C, bins), labelled pixels and all, by rising probability.

    Returns:
        (C,) in 0..1; nan for a class without a labelled pixel.
    """
    hit, marked = np.cumsum(pixels[..., ::-1], axis=-1)
    precision = hit / np.maximum(marked, 1)
    true = np.where(hit[:, -1] > 0, hit[:, -1], np.nan)
    found: np.ndarray = (precision * np.diff(hit, axis=-1, prepend=0)).sum(axis=-1) / true
    return found


def bootstrap_weights(count: int, resamples: int, seed: int = 0) -> np.ndarray:
    """How often each of `count` images is drawn in each bootstrap sample, (resamples, count) float64."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples).astype(float)


def interval(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bound of 95 % of bootstrap samples.

    Args:
        drawn: (B, C), a score of each sample; those that are not finite are left out.

    Returns:
        Two (C,) float64 arrays; nan where no sample is finite.
    """
    columns = [column[np.isfinite(column)] for column in drawn.T]
    low, high = (np.array([np.quantile(column, bound) if len(column) else np.nan for column in columns])
                 for bound in BOUNDS)
    return low, high


def interval_of(drawn: np.ndarray) -> tuple[float, float]:
    """Lower and upper bound of 95 % of bootstrap samples of one score, (B,); see `interval`."""
    (low,), (high,) = interval(drawn[:, None])
    return float(low), float(high)


def bootstrap(values: np.ndarray, divisors: np.ndarray | None = None, resamples: int = 1000,
              seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval over images of a mean, or of a ratio of sums such as IoU.

    Args:
        values: (N, C), averaged over images; with `divisors`, pixels in both masks.
        divisors: (N, C) pixels in either mask.
        resamples: bootstrap samples.
        seed: of the samples.

    Returns:
        Lower and upper bound, (C,) each; nan where a class has nothing to divide by.
    """
    weights = bootstrap_weights(len(values), resamples, seed)
    if divisors is None:
        return interval(weights @ values / len(values))
    return interval(iou_of_counts(weights @ values, weights @ divisors))


def mean_iou(both: np.ndarray, either: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """IoU of all pixels, averaged over the classes that have any.

    Args:
        both, either: (N, C) pixels of each image and class.
        weights: (B, N), how often each image counts.

    Returns:
        (B,) float64; nan where no class has a pixel.
    """
    ious = iou_of_counts(weights @ both, weights @ either)
    known = np.isfinite(ious)
    # Not nanmean, which warns where no class is known.
    return np.where(known.any(axis=1), np.nansum(ious, axis=1) / np.maximum(known.sum(axis=1), 1), np.nan)
