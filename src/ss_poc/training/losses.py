"""Losses to train with.

Shapes: `true` and `probability` are (N, H, W, C) float32 in 0..1, one channel a class. `true` holds fractions where
masks were shrunk to the network's output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.config import LOSSES
from ..core.errors import ConfigError
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)

from keras import ops  # noqa: E402  isort: skip

__all__ = ["loss_function"]

EPSILON = 1e-6
SPACE = (0, 1, 2)

Loss = Callable[[Any, Any], Any]


def _clip(probability: Any) -> Any:
    return ops.clip(probability, EPSILON, 1 - EPSILON)


def _cross_entropy(true: Any, probability: Any) -> Any:
    p = _clip(probability)
    return -(true * ops.log(p) + (1 - true) * ops.log(1 - p))


def bce(true: Any, probability: Any) -> Any:
    """Mean binary cross-entropy, a scalar."""
    return ops.mean(_cross_entropy(true, probability))


def _present_mean(values: Any, true: Any) -> Any:
    """Mean over the classes present in the batch. Counting absent ones as well rewards predicting nothing."""
    present = ops.cast(ops.max(true, axis=SPACE) > 0, values.dtype)
    return ops.sum(values * present) / ops.maximum(ops.sum(present), 1.0)


def soft_dice(true: Any, probability: Any) -> Any:
    """Soft Dice of each class over the batch (Milletari et al. 2016, arXiv 1606.04797), (C,)."""
    both = ops.sum(true * probability, axis=SPACE)
    return (2 * both + 1) / (ops.sum(true, axis=SPACE) + ops.sum(probability, axis=SPACE) + 1)


def pooled(true: Any, probability: Any) -> Any:
    """Bring `true` to the size of `probability`: where that is smaller, the fraction of each of its pixels that is
    covered, 0 to 1."""
    factor = true.shape[1] // probability.shape[1]
    return ops.average_pool(true, factor) if factor > 1 else true


def bce_dice(true: Any, probability: Any) -> Any:
    """Binary cross-entropy + (1 - soft Dice of the classes present), a scalar."""
    return bce(true, probability) + _present_mean(1 - soft_dice(true, probability), true)


def bce_logdice(true: Any, probability: Any) -> Any:
    """Binary cross-entropy - log of the soft Dice of the classes present, a scalar."""
    return bce(true, probability) + _present_mean(-ops.log(soft_dice(true, probability)), true)


def focal(true: Any, probability: Any, gamma: float = 2.0, alpha: float = 0.75) -> Any:
    """Focal loss (Lin et al. 2017, arXiv 1708.02002), summed over space, per defect pixel; a scalar."""
    p_true = true * probability + (1 - true) * (1 - probability)
    weight = (true * alpha + (1 - true) * (1 - alpha)) * ops.power(1 - p_true, gamma)
    return ops.sum(weight * _cross_entropy(true, probability)) / ops.maximum(ops.sum(true), 1.0)


def balanced(true: Any, probability: Any, gamma: float = 1.5, most: float = 50.0) -> Any:
    """Focal loss whose defect pixels weigh sqrt(other pixels / defect pixels) of their image and class, a scalar.

    The mean of a plain cross-entropy hardly feels an object of 100 pixels among 50,000; soft Dice feels it only once
    its probability has risen. Weighing by the root lets a blowhole and a stain a hundred times as large both be heard.

    Args:
        gamma: of the focal loss (Lin et al. 2017, arXiv 1708.02002).
        most: upper bound of the weight.
    """
    positive = ops.sum(true, axis=(1, 2), keepdims=True)
    pixels = float(true.shape[1] * true.shape[2])
    # Sums of pooled masks are not exact: a full one may leave a little less than nothing.
    weight = ops.clip(ops.sqrt(ops.maximum(pixels - positive, 0.0) / (positive + 1)), 1.0, most)
    focus = ops.power(_clip(ops.abs(true - probability)), gamma) if gamma else 1.0
    return 5 * ops.mean(focus * (1 + (weight - 1) * true) * _cross_entropy(true, probability))


def image_dice(true: Any, probability: Any, smooth: float = 20.0) -> Any:
    """1 - soft Dice of each image and class that it holds, their mean; a scalar."""
    both = ops.sum(true * probability, axis=(1, 2))
    dice = (2 * both + smooth) / (ops.sum(true, axis=(1, 2)) + ops.sum(probability, axis=(1, 2)) + smooth)
    present = ops.cast(ops.max(true, axis=(1, 2)) > 0, dice.dtype)
    return ops.sum((1 - dice) * present) / ops.maximum(ops.sum(present), 1.0)


def balanced_dice(true: Any, probability: Any) -> Any:
    """`balanced` without focus + half of `image_dice`, a scalar."""
    return balanced(true, probability, gamma=0.0) + 0.5 * image_dice(true, probability)


def tversky(true: Any, probability: Any, alpha: float = 0.3, beta: float = 0.7) -> Any:
    """1 - Tversky index of the classes present (Salehi et al. 2017, arXiv 1706.05721), a scalar.

    `alpha` weighs false alarms, `beta` missed pixels. Binary cross-entropy, a tenth of it, keeps absent classes down.
    """
    hit = ops.sum(true * probability, axis=SPACE)
    false_alarm = ops.sum((1 - true) * probability, axis=SPACE)
    missed = ops.sum(true * (1 - probability), axis=SPACE)
    index = (hit + 1) / (hit + alpha * false_alarm + beta * missed + 1)
    return _present_mean(1 - index, true) + 0.1 * bce(true, probability)


def lovasz(true: Any, probability: Any) -> Any:
    """Lovász extension of the Jaccard loss on probabilities (Berman et al. 2018, arXiv 1705.08790), a scalar.

    Errors of a class over the batch are sorted; the gradient of IoU along that order weighs them (their algorithm 1).
    Binary cross-entropy, a tenth of it, keeps absent classes down.
    """
    classes = true.shape[-1]
    flat_true = ops.transpose(ops.reshape(true, (-1, classes)))
    errors = ops.abs(flat_true - ops.transpose(ops.reshape(probability, (-1, classes))))
    order = ops.argsort(-errors, axis=1)
    sorted_true = ops.take_along_axis(flat_true, order, axis=1)
    total = ops.sum(sorted_true, axis=1, keepdims=True)
    intersection = total - ops.cumsum(sorted_true, axis=1)
    union = total + ops.cumsum(1 - sorted_true, axis=1)
    jaccard = 1 - intersection / ops.maximum(union, 1.0)
    steps = ops.concatenate([jaccard[:, :1], jaccard[:, 1:] - jaccard[:, :-1]], axis=1)
    per_class = ops.sum(ops.take_along_axis(errors, order, axis=1) * ops.stop_gradient(steps), axis=1)
    return _present_mean(per_class, true) + 0.1 * bce(true, probability)


def loss_function(name: str) -> Loss:
    """Look up a loss by name.

    Args:
        name: one of `config.LOSSES`.

    Returns:
        Function of `true` and `probability`, (N, H, W, C) float32 each, to a float32 scalar. `probability` may have a
        height and width that are smaller by a whole factor.

    Raises:
        ConfigError: unknown name.
    """
    known: dict[str, Loss] = {"balanced_dice": balanced_dice, "balanced": balanced, "bce_dice": bce_dice,
                              "bce_logdice": bce_logdice, "focal": focal, "tversky": tversky, "lovasz": lovasz}
    if name not in known:
        raise ConfigError(f"loss is {name!r}", "one of " + ", ".join(LOSSES))
    chosen = known[name]
    return lambda true, probability: chosen(pooled(true, probability), probability)
