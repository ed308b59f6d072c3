"""Loss, Dice and IoU of a network on its validation windows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..core.host import cores
from ..core.parallel import ahead
from ..core.scores import dice_of_counts, iou_of_counts
from ..data.packed import unpack
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from .losses import Loss
from .windows import Windows

import keras  # noqa: E402  isort: skip
import tensorflow as tf  # noqa: E402  isort: skip

__all__ = ["Validator"]

# The search will choose thresholds among more of them; these tell whether there is anything to find.
THRESHOLDS = (0.2, 0.35, 0.5, 0.65, 0.8)
# Batches that tell how long all will take, beside a first one.
TRIED = 8


class Validator:
    """Runs a model over windows.

    Dice and IoU are those of the data set (intersections and sums are added up over all windows first), each class at
    the best of THRESHOLDS, averaged over the classes that have a true or predicted pixel.

    Args:
        windows: what to look at.
        loss: (true, probability) → scalar, both (N, h, w, C) float32.
    """

    def __init__(self, windows: Windows, loss: Loss) -> None:
        self._windows, self._loss = windows, loss
        self._step: Callable[..., Any] | None = None

    def run(self, model: keras.Model) -> dict[str, float]:
        """`val_loss`, `val_dice` and `val_iou` of the model as it is."""
        losses: list[float] = []
        counts = np.zeros((3, len(THRESHOLDS), self._windows.source.classes))
        for windows, loss, found in self._looks(model, range(len(self._windows))):
            losses += [loss] * windows
            counts += found
        return {"val_loss": float(np.mean(losses)), **scores(counts)}

    def estimate(self, model: keras.Model) -> float:
        """Seconds that `run` is going to take, from a few batches; what is traced and decoded for it is kept."""
        list(self._looks(model, range(1)))  # traced for seconds
        tried = range(1, min(1 + TRIED, len(self._windows))) or range(1)
        began = time.monotonic()
        list(self._looks(model, tried))
        return (time.monotonic() - began) / len(tried) * len(self._windows)

    def _looks(self, model: keras.Model, batches: range) -> Iterator[tuple[int, float, np.ndarray]]:
        """Windows, loss and pixels (both, predicted, true) of batches, in order, a batch on each core: an operation on
        one window is too short to be shared."""
        if self._step is None:
            self._step = self._compiled(model)
            # One shape is traced at a time, and a graph for any shape once a second one comes: whichever thread came
            # first would decide which graph the whole batches run through, and so the last digit of their loss.
            self._traced_for_a_whole_batch(self._step)
        step = self._step

        def look(number: int) -> tuple[int, float, np.ndarray]:
            images, bits = self._windows.batch(batches[number])
            true = unpack(bits, self._windows.source.classes)
            loss, found = step(tf.constant(images), tf.constant(true))
            return len(images), float(loss), found.numpy()

        return ahead(look, len(batches), cores())

    def _traced_for_a_whole_batch(self, step: Any) -> None:
        shape = (min(self._windows.batch_size, len(self._windows.places)), *self._windows.size_hw)
        step.get_concrete_function(tf.TensorSpec((*shape, 3), tf.uint8),
                                   tf.TensorSpec((*shape, self._windows.source.classes), tf.uint8))

    def _compiled(self, model: keras.Model) -> Callable[..., Any]:
        @tf.function(reduce_retracing=True)
        def step(images: Any, true: Any) -> tuple[Any, Any]:
            true = tf.cast(true, tf.float32)
            probability = model(tf.cast(images, tf.float32), training=False)
            both, predicted = [], []
            for threshold in THRESHOLDS:
                mask = tf.cast(probability >= threshold, tf.float32)
                both.append(tf.reduce_sum(mask * true, (0, 1, 2)))
                predicted.append(tf.reduce_sum(mask, (0, 1, 2)))
            truth = tf.repeat(tf.reduce_sum(true, (0, 1, 2))[None], len(THRESHOLDS), 0)
            return self._loss(true, probability), tf.stack([tf.stack(both), tf.stack(predicted), truth])

        return step


def scores(counts: np.ndarray) -> dict[str, float]:
    """`val_dice` and `val_iou` from pixels in both, predicted and true, (3, thresholds, classes)."""
    both, predicted, true = counts
    total = predicted + true
    seen = (total > 0).all(axis=0)
    if not seen.any():
        return {"val_dice": 1.0, "val_iou": 1.0}
    both, total = both[:, seen], total[:, seen]
    return {"val_dice": float(dice_of_counts(both, total).max(axis=0).mean()),
            "val_iou": float(iou_of_counts(both, total - both).max(axis=0).mean())}
