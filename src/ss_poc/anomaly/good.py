"""From good photographs to the weights of a network that says how far each place of another one departs from them: see
`networks.memory`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from ..core.errors import DataError
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from ..networks.memory import BELOW, MULTIPLE, POWER, SCALES, memory_of_good

import keras  # noqa: E402  isort: skip
import tensorflow as tf  # noqa: E402  isort: skip

__all__ = ["Moments", "fit_good", "runner", "score_of"]

# Of the mean variance: keeps directions in which good places hardly vary from being taken for anomalies.
FLOOR = 1e-3
Array = np.ndarray


class Moments:
    """Mean and covariance of the features of places, added up one photograph at a time."""

    def __init__(self) -> None:
        self.count, self.total, self.products = 0, np.zeros(()), np.zeros(())

    def add(self, values: Array) -> None:
        """Add the places of a map (h, w, C)."""
        rows = values.reshape(-1, values.shape[-1]).astype(np.float64)
        self.count, self.total, self.products = \
            self.count + len(rows), self.total + rows.sum(axis=0), self.products + rows.T @ rows

    def mean(self) -> Array:
        """(C,) float64."""
        return self.total / self.count

    def covariance(self) -> Array:
        """(C, C) float64."""
        return self.products / self.count - np.outer(self.mean(), self.mean())

    def whitening(self) -> tuple[Array, Array]:
        """Kernel (C, C) and bias (C,): features times kernel plus bias have the mean 0 and, nearly, the variance 1."""
        covariance = self.covariance()
        floor = FLOOR * np.trace(covariance) / len(covariance) + 1e-6
        kernel = np.linalg.inv(np.linalg.cholesky(covariance + floor * np.eye(len(covariance)))).T
        return kernel.astype(np.float32), (-self.mean() @ kernel).astype(np.float32)


def fit_good(taps: keras.Model, images: Sequence[Array]) -> keras.Model:
    """Make the network that knows these good photographs.

    Args:
        taps: (N, h, w, 3) float32 RGB in 0..255 to the maps at strides 4 and 16; its weights stay as they are.
        images: (h, w, 3) uint8 each, of any sizes. They are looked at twice, one at a time.

    Returns:
        What `memory_of_good` describes. Places of good photographs that are not among `images` are farther off, much
        where these are few: a threshold is for others to find on such.

    Raises:
        DataError: there is no photograph.
    """
    if not images:
        raise DataError("there is no good photograph", "at least one; twenty are a start")
    memory = memory_of_good(taps)
    for kind, weights in (("whiten", _whitening), ("standard", _standard)):  # the latter needs what the former gives
        found = [memory.get_layer(f"{kind}_{scale}") for scale in SCALES]
        moments = _moments(keras.Model(memory.input, [layer.input for layer in found]), images)
        for layer, each in zip(found, moments, strict=True):
            layer.set_weights(weights(each))
    return memory


def _whitening(good: Moments) -> list[Array]:
    kernel, bias = good.whitening()
    return [kernel[None, None], bias]


def _standard(good: Moments) -> list[Array]:
    """Kernel and bias of what takes the mean away and divides by the deviation."""
    deviation = float(good.covariance()[0, 0])**0.5 + 1e-3
    return [np.full((1, 1, 1, 1), 1 / deviation, np.float32), np.array([-good.mean()[0] / deviation], np.float32)]


def _moments(model: keras.Model, images: Sequence[Array]) -> list[Moments]:
    """Of each output of a model, over all places of all images."""
    look, found = runner(model), [Moments() for _ in model.outputs]
    for image in images:
        for moments, values in zip(found, look(image), strict=True):
            moments.add(values)
    return found


def runner(model: keras.Model) -> Callable[[Array], list[Array]]:
    """A function from (h, w, 3) uint8 to what the model gives, (h', w', C) float32 each.

    Sides that are no multiple of 16 are mirrored up to one; maps then cover a little more than the image.
    """
    compiled = tf.function(lambda batch: model(batch, training=False),
                           input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)])

    def run(image: Array) -> list[Array]:
        below, right = (-length % MULTIPLE for length in image.shape[:2])
        whole = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REFLECT_101)
        return [np.asarray(values)[0] for values in tf.nest.flatten(compiled(whole[None].astype(np.float32)))]
    return run


def score_of(deviations: Array) -> float:
    """One number for a photograph, of its map: 0 where all is far better than usual, 3 where each place is as usual.

    The mean of all places to the POWERth power, so that a few that are far off count most.
    """
    return float((np.maximum(deviations + BELOW, 0.0).astype(np.float64)**POWER).mean()**(1 / POWER))
