"""From good photographs to the weights of a network that says how far another one departs from them: see
`networks.memory`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..core.errors import DataError
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from ..networks.memory import SCALES, memory_of_good

import keras  # noqa: E402  isort: skip
import tensorflow as tf  # noqa: E402  isort: skip

__all__ = ["Moments", "fit_good", "runner"]

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
        taps: (N, h, w, 3) float32 RGB in 0..255 to the maps at strides 2 and 16; its weights stay as they are.
        images: (h, w, 3) uint8 each, of any sizes.

    Returns:
        What `memory_of_good` describes. Places of good photographs that are not among `images` are farther off, much
        where these are few: a threshold is for others to find on such.

    Raises:
        DataError: there is no photograph.
    """
    if not images:
        raise DataError("there is no good photograph", "at least one; twenty are a start")
    memory = memory_of_good(taps)
    whiten = [memory.get_layer(f"whiten_{scale}") for scale in SCALES]
    look, moments = runner(keras.Model(memory.input, [layer.input for layer in whiten])), [Moments() for _ in whiten]
    for image in images:
        for each, values in zip(moments, look(image), strict=True):
            each.add(values)
    for layer, each in zip(whiten, moments, strict=True):
        kernel, bias = each.whitening()
        layer.set_weights([kernel[None, None], bias])
    return memory


def runner(model: keras.Model) -> Callable[[Array], list[Array]]:
    """A function from (h, w, 3) uint8 to what the model gives, (h', w', C) float32 each."""
    compiled = tf.function(lambda batch: model(batch, training=False),
                           input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)])

    def run(image: Array) -> list[Array]:
        return [np.asarray(values)[0] for values in tf.nest.flatten(compiled(image[None].astype(np.float32)))]
    return run
