"""From good photographs to a network that says how far each place of another one departs from them.

Features of an encoder that is not trained any further are taken at two strides: 4, where small marks show, and 16,
averaged over 5 x 5 places, where texture does. Of each the mean and covariance over all places of all good photographs
are kept, wherever on the photograph they are (Defard et al. 2021, arXiv 2011.08785, keep them for each position). An
anomaly is far from the mean, measured in deviations of good places (Mahalanobis). All of it is layers, to be exported
as any other network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from ..core.errors import DataError
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from ..networks.lite0 import TAPS, lite0, lite0_scaled

import keras  # noqa: E402  isort: skip
import tensorflow as tf  # noqa: E402  isort: skip
from keras import layers, ops  # noqa: E402  isort: skip

__all__ = ["Moments", "fit_good", "lite0_taps", "runner", "score_of"]

MULTIPLE = 16  # of the sides of what the network takes
MARGIN = 32  # pixels mirrored around a photograph, or zeros beside it would be an anomaly
NEIGHBOURS = 5  # places of stride 16 that are averaged, each way
# Of the mean variance: keeps directions in which good places hardly vary from being taken for anomalies.
FLOOR = 1e-3
# Places this many deviations below the mean of good ones count for nothing, others with this power: large enough that
# a small mark is heard, small enough that noise at a single place is not.
BELOW, POWER = 3.0, 4
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


def lite0_taps() -> keras.Model:
    """EfficientNet-Lite0 with ImageNet's weights, from (N, h, w, 3) float32 RGB in 0..255 to its maps at strides 4 and
    16. Raises ModelError where the package lacks the weights."""
    encoder = lite0((None, None, 3), "imagenet")
    image = keras.Input((None, None, 3), name="image")
    taps = keras.Model(encoder.input, [encoder.get_layer(TAPS[2]).output, encoder.get_layer(TAPS[0]).output])
    return keras.Model(image, taps(lite0_scaled(image)))


def fit_good(taps: keras.Model, images: Sequence[Array]) -> keras.Model:
    """Make the network that knows these good photographs.

    Args:
        taps: (N, h, w, 3) float32 RGB in 0..255 to the maps at strides 4 and 16; its weights stay as they are.
        images: (h, w, 3) uint8 each, of any sizes. They are looked at twice, one at a time.

    Returns:
        Network from (N, h, w, 3) float32 RGB in 0..255, sides multiples of 16, to (N, h / 8, w / 8, 1) float32: how
        far a place is from good ones, in deviations of these; 0 is their mean. Places of good photographs that are not
        among `images` are farther off, much where these are few: a threshold is for others to find on such.

    Raises:
        DataError: there is no photograph.
    """
    if not images:
        raise DataError("there is no good photograph", "at least one; twenty are a start")
    features = _features(taps)
    moments = _moments(features, images)
    distances = keras.Model(features.input, [_distance(values, each)
                                             for values, each in zip(features.outputs, moments, strict=True)])
    usual = _moments(distances, images)
    standard = [(distance - float(each.mean()[0])) / (float(each.covariance()[0, 0])**0.5 + 1e-3)
                for distance, each in zip(distances.outputs, usual, strict=True)]
    return keras.Model(distances.input, (standard[0] + standard[1]) / 2)


def _features(taps: keras.Model) -> keras.Model:
    """From the image to both maps, one vector for each place of stride 8."""
    image = keras.Input((None, None, 3), name="image")
    fine, coarse = taps(ops.pad(image, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="reflect"))
    fine = layers.AveragePooling2D(2)(layers.Cropping2D(MARGIN // 4)(fine))
    coarse = layers.AveragePooling2D(NEIGHBOURS, 1, padding="same")(layers.Cropping2D(MARGIN // 16)(coarse))
    return keras.Model(image, [fine, layers.UpSampling2D(2)(coarse)])


def _moments(model: keras.Model, images: Sequence[Array]) -> list[Moments]:
    """Of each output of a model, over all places of all images."""
    look, found = runner(model), [Moments() for _ in model.outputs]
    for image in images:
        for moments, values in zip(found, look(image), strict=True):
            moments.add(values)
    return found


def _distance(values: Any, good: Moments) -> Any:
    """Root of the mean square of whitened features: about 1 for a good place."""
    whitened = layers.Conv2D(len(good.mean()), 1)
    result = ops.sqrt(ops.mean(ops.square(whitened(values)), axis=-1, keepdims=True))
    whitened.set_weights([good.whitening()[0][None, None], good.whitening()[1]])
    return result


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
