"""Fit a linear probe to photographs that train: features that learned on ImageNet are kept, and weighed by a logistic
regression."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from ..data.packed import unpack
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from ..networks.linear_probe import STRIDE, Probe, probe_features
from .windows import Windows

import tensorflow as tf  # noqa: E402  isort: skip

__all__ = ["MOST", "fit_probe", "fit_weights", "sampled"]

# Windows that are looked at twice, at most; fewer than FEWEST looks are not enough, whatever the time.
MOST, FEWEST = 400, 40
# How much brighter, or darker, a window is made.
LIGHT = (0.75, 1.3)
# Places of a window that are kept, without and with a class: neighbours look alike.
CLEAN, LABELLED = 80, 120
# A place shows a class if the class covers more than this fraction of it.
COVERED = 0.3
# Of the squared weights this fraction is added to the mean loss.
L2 = 0.05
MOST_STEPS = 200
# Logit of a class that no place shows.
NEVER = -20.0
# Features that hardly vary are not magnified.
LEAST_DEVIATION = 1e-3


def fit_probe(windows: Windows, flips: Sequence[int], limit: float | None, seed: int) -> Probe | None:
    """Fit a probe; None where its places are all clean, or none is: classes may be too thin to cover one.

    Args:
        windows: of the photographs that train.
        flips: axes of (h, w, C) along which a mirrored photograph could be one.
        limit: seconds that the features may take; None for no limit.
        seed: of order, light, mirror images and of the places that are kept.
    """
    places = list(_places(windows, flips, limit, np.random.default_rng((seed, 6))))
    covered = np.concatenate([covered for _, covered in places])
    if (shown := covered.any(axis=1)).all() or not shown.any():
        return None
    return fit_weights(np.concatenate([features for features, _ in places]), covered)


def _places(windows: Windows, flips: Sequence[int], limit: float | None,
            random: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each window (n, F) float16 features and (n, C) float32, how much of each place every class covers: first as it
    is, then once more mirrored and in other light."""
    model = probe_features(windows.size_hw)
    look = tf.function(lambda image: model(image, training=False))
    began, count = time.monotonic(), len(windows.places)
    order = [(int(number), changed) for changed in (False, True) for number in random.permutation(count)]
    for seen, (number, changed) in enumerate(tqdm(order, desc="features", unit="window", disable=None, leave=False)):
        if limit is not None and seen >= FEWEST and time.monotonic() - began > limit:
            return
        image, bits = windows.window(number)
        mask, image = unpack(bits, windows.source.classes), image.astype(np.float32)
        if changed:
            axes = tuple(axis for axis in flips if random.random() < 0.5)
            image, mask = np.flip(image, axes) * random.uniform(*LIGHT), np.flip(mask, axes)
        yield sampled(look(tf.constant(np.minimum(image, 255)[None]))[0].numpy(), mask, random)


def sampled(features: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Keep some places of a window.

    Args:
        features: (h, w, F) float32.
        mask: (h STRIDE, w STRIDE, C) uint8 in {0, 1}.
        random: draws the places.

    Returns:
        (n, F) float16 features; (n, C) float32, the fraction of each place that every class covers. Places of which a
        little is covered are left out: they are neither clean nor labelled.
    """
    height, width = features.shape[:2]
    covered = mask.reshape(height, STRIDE, width, STRIDE, -1).mean(axis=(1, 3), dtype=np.float32)
    largest = covered.max(axis=-1)
    chosen = [random.permutation(np.flatnonzero(which))[:most]
              for which, most in ((largest == 0, CLEAN), (largest > COVERED, LABELLED))]
    numbers = np.concatenate(chosen)
    return (features.reshape(height * width, -1)[numbers].astype(np.float16),
            covered.reshape(height * width, -1)[numbers])


def fit_weights(features: np.ndarray, covered: np.ndarray) -> Probe:
    """Fit the weights: a multinomial logistic regression with L2, whose classes count by the root of their rarity.

    Args:
        features: (n, F), of all places.
        covered: (n, C) in 0..1, how much of each place every class covers.
    """
    features = features.astype(np.float32)
    mean, deviation = features.mean(axis=0), features.std(axis=0) + LEAST_DEVIATION
    shown = covered > COVERED
    target = np.concatenate([~shown.any(axis=1, keepdims=True), shown], axis=1)
    places, kinds = np.nonzero(target)  # a place that several classes share is there for each of them
    weights = (1 / target.sum(axis=1))[places]
    weights = weights / np.sqrt(np.bincount(kinds, weights, target.shape[1]))[kinds]
    weights *= len(weights) / weights.sum()
    found = LogisticRegression(C=1 / (2 * L2 * len(weights)), max_iter=MOST_STEPS).fit(
        ((features - mean) / deviation)[places], kinds, weights)
    return _probe(found, mean, deviation, target.shape[1])


def _probe(found: LogisticRegression, mean: np.ndarray, deviation: np.ndarray, kinds: int) -> Probe:
    """The probe of a regression on features less their mean, in deviations; kinds that no place shows are held down."""
    coefficients, intercepts = found.coef_, found.intercept_
    if len(coefficients) == 1:  # of two kinds, the second against the first
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    kernel, bias = np.zeros((len(mean), kinds)), np.full(kinds, NEVER)
    kernel[:, found.classes_] = (coefficients / deviation).T
    bias[found.classes_] = intercepts - coefficients @ (mean / deviation)
    return Probe(kernel.astype(np.float32), bias.astype(np.float32))
