"""A network that says how far each place of a photograph departs from good ones, and joins that with another network.

Features of an encoder that is not trained any further are taken at two strides: 4, where small marks show, and 16,
averaged over 5 x 5 places, where texture does. Of each the mean and covariance over all places of all good photographs
are kept, wherever on the photograph they are (Defard et al. 2021, arXiv 2011.08785, keep them for each position). An
anomaly is far from the mean, measured in deviations of good places (Mahalanobis). All of it is layers, to be exported
as any other network; `anomaly.good` finds their weights.
"""

from __future__ import annotations

from typing import Any

from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from .lite0 import TAPS, lite0, lite0_scaled

import keras  # noqa: E402  isort: skip
from keras import layers, ops  # noqa: E402  isort: skip

__all__ = ["BELOW", "MULTIPLE", "POWER", "SCALES", "WEIGHT", "Z_SCORE", "lite0_taps", "memory_of_good",
           "with_memory"]

MULTIPLE = 16  # of the sides of what the network takes
MARGIN = 32  # pixels mirrored around a photograph, or zeros beside it would be an anomaly
NEIGHBOURS = 5  # places of stride 16 that are averaged, each way
SCALES = ("fine", "coarse")
# Places this many deviations below the mean of good ones count for nothing, others with this power: large enough that
# a small mark is heard, small enough that noise at a single place is not.
BELOW, POWER = 3.0, 4
# Layers: the photograph's score in deviations of good photographs; how much that moves the log-odds of its places.
Z_SCORE, WEIGHT = "z_score", "memory_weight"
LEAST_Z, MOST_Z = -2.0, 4.0


def lite0_taps(weights: str | None = "imagenet") -> keras.Model:
    """EfficientNet-Lite0, from (N, h, w, 3) float32 RGB in 0..255 to its maps at strides 4 and 16.

    Args:
        weights: "imagenet" for those in the package; None: drawn at random.

    Raises:
        ModelError: the package lacks the weights.
    """
    encoder = lite0((None, None, 3), weights)
    image = keras.Input((None, None, 3), name="image")
    taps = keras.Model(encoder.input, [encoder.get_layer(TAPS[2]).output, encoder.get_layer(TAPS[0]).output])
    return keras.Model(image, taps(lite0_scaled(image)), name="taps")


def memory_of_good(taps: keras.Model) -> keras.Model:
    """Build the network that measures departure, with weights that know nothing yet.

    Args:
        taps: (N, h, w, 3) float32 RGB in 0..255 to the maps at strides 4 and 16.

    Returns:
        Network from (N, h, w, 3) float32 RGB in 0..255, sides multiples of 16, to (N, h / 8, w / 8, 1) float32: how
        far a place is from good ones, in deviations of these; 0 is their mean. For each of SCALES a layer
        `whiten_SCALE` whitens the features, and `standard_SCALE` puts their distance in deviations of good places.
    """
    image = keras.Input((None, None, 3), name="image")
    fine, coarse = taps(ops.pad(image, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="reflect"))
    fine = layers.AveragePooling2D(2)(layers.Cropping2D(MARGIN // 4)(fine))
    coarse = layers.AveragePooling2D(NEIGHBOURS, 1, padding="same")(layers.Cropping2D(MARGIN // 16)(coarse))
    maps = zip(SCALES, (fine, layers.UpSampling2D(2)(coarse)), strict=True)
    standard = [layers.Conv2D(1, 1, name=f"standard_{scale}")(_distance(values, scale)) for scale, values in maps]
    return keras.Model(image, (standard[0] + standard[1]) / 2, name="memory")


def _distance(values: Any, scale: str) -> Any:
    """Root of the mean square of whitened features: about 1 for a good place."""
    whitened = layers.Conv2D(values.shape[-1], 1, name=f"whiten_{scale}")(values)
    return ops.sqrt(ops.mean(ops.square(whitened), axis=-1, keepdims=True))


def with_memory(model: keras.Model, memory: keras.Model) -> keras.Model:
    """Join a network with a memory of good photographs: where a photograph as a whole departs from good ones, the
    log-odds of all its places rise.

    Args:
        model: (N, h, w, 3) float32 RGB in 0..255 to (N, h, w, C) float32 probabilities.
        memory: as `memory_of_good` makes it.

    Returns:
        Network of the same shapes. Its layers Z_SCORE and WEIGHT are for `anomaly.good` to set; both know nothing yet.
    """
    logits = model.get_layer("probability").input
    powers = ops.power(ops.relu(memory(model.input) + BELOW), POWER)
    score = ops.power(ops.mean(powers, axis=(1, 2), keepdims=True), 1 / POWER)
    z_score = ops.clip(layers.Conv2D(1, 1, name=Z_SCORE)(score), LEAST_Z, MOST_Z)
    shift = layers.Conv2D(1, 1, use_bias=False, kernel_initializer="zeros", name=WEIGHT)(z_score)
    return keras.Model(model.input, layers.Activation("sigmoid", dtype="float32", name="probability")(logits + shift))
