"""A network that says how far a photograph departs from good ones, and joins that with another network.

Features of an encoder that is not trained any further are taken twice: at stride 2, where small marks show, and at
stride 16 of the photograph in half its size, where texture and large defects do. Of each the mean and covariance over
all places of all good photographs are kept, wherever on the photograph they are (Defard et al. 2021, arXiv 2011.08785,
keep them for each position). An anomaly is far from the mean, measured in deviations of good places (Mahalanobis). All
of it is layers, to be exported as any other network; `anomaly.good` finds their weights.
"""

from __future__ import annotations

from typing import Any

from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from .lite0 import TAPS, lite0, lite0_scaled

import keras  # noqa: E402  isort: skip
from keras import layers, ops  # noqa: E402  isort: skip

__all__ = ["LEAST_SIDE", "SCALES", "WEIGHT", "Z_SCORE", "lite0_taps", "memory_of_good", "with_memory"]

MARGIN = 16  # pixels mirrored around a photograph in half its size, or zeros beside it would be an anomaly
LEAST_SIDE = 2 * MARGIN
SCALES = ("fine", "coarse")
# Places count with this power: large enough that a small mark is heard, small enough that noise at one place is not.
POWERS = (4, 8)
# Layers: a photograph's scores in deviations of good photographs; how much their sum moves the log-odds of its places.
Z_SCORE, WEIGHT = "z_score", "memory_weight"
LEAST_Z, MOST_Z = -2.0, 6.0


def lite0_taps(weights: str | None = "imagenet") -> keras.Model:
    """EfficientNet-Lite0, from (N, h, w, 3) float32 RGB in 0..255 to its maps at strides 2 and 16.

    Args:
        weights: "imagenet" for those in the package; None: drawn at random.

    Raises:
        ModelError: the package lacks the weights.
    """
    encoder = lite0((None, None, 3), weights)
    image = keras.Input((None, None, 3), name="image")
    taps = keras.Model(encoder.input, [encoder.get_layer(TAPS[3]).output, encoder.get_layer(TAPS[0]).output])
    return keras.Model(image, taps(lite0_scaled(image)), name="taps")


def memory_of_good(taps: keras.Model) -> keras.Model:
    """Build the network that measures departure, with weights that know nothing yet.

    Args:
        taps: (N, h, w, 3) float32 RGB in 0..255 to the maps at strides 2 and 16.

    Returns:
        Network from (N, h, w, 3) float32 RGB in 0..255, sides of LEAST_SIDE or more, to (N, 1, 1, 2) float32: how far
        a photograph is from good ones at each of SCALES, about 1 where each of its places is as usual. For each a layer
        `whiten_SCALE` whitens the features, and `distance_SCALE` gives the map, (N, h', w', 1).
    """
    image = keras.Input((None, None, 3), name="image")
    half = ops.pad(layers.AveragePooling2D(2)(image), ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)),
                   mode="symmetric")
    maps = taps(image)[0], layers.Cropping2D(MARGIN // 16)(taps(half)[1])
    scores = [ops.power(ops.mean(ops.power(_distance(values, scale), power), axis=(1, 2), keepdims=True), 1 / power)
              for values, scale, power in zip(maps, SCALES, POWERS, strict=True)]
    return keras.Model(image, ops.concatenate(scores, axis=-1), name="memory")


def _distance(values: Any, scale: str) -> Any:
    """Root of the mean square of whitened features: about 1 for a good place."""
    whitened = layers.Conv2D(values.shape[-1], 1, name=f"whiten_{scale}")(values)
    distance = ops.sqrt(ops.mean(ops.square(whitened), axis=-1, keepdims=True))
    return layers.Identity(name=f"distance_{scale}")(distance)


def with_memory(model: keras.Model, memory: keras.Model) -> keras.Model:
    """Join a network with a memory of good photographs: where a photograph as a whole departs from good ones, the
    log-odds of its most suspicious places rise.

    Args:
        model: (N, h, w, 3) float32 RGB in 0..255 to (N, h, w, C) float32 probabilities.
        memory: as `memory_of_good` makes it.

    Returns:
        Network of the same shapes. Its layers Z_SCORE and WEIGHT are for `anomaly.good` to set; both know nothing yet.
    """
    logits = model.get_layer("probability").input
    z_scores = layers.DepthwiseConv2D(1, name=Z_SCORE)(memory(model.input))
    departed = ops.sum(ops.clip(z_scores, LEAST_Z, MOST_Z), axis=-1, keepdims=True)
    shift = layers.Conv2D(1, 1, use_bias=False, kernel_initializer="zeros", name=WEIGHT)(departed)
    risen = logits + shift * _suspicion(logits)
    return keras.Model(model.input, layers.Activation("sigmoid", dtype="float32", name="probability")(risen))


def _suspicion(logits: Any) -> Any:
    """1 at the highest place of each photograph, 0 from its mean on downwards, a square between: so a photograph that
    departs is not marked all over."""
    highest, mean = (reduce(logits, axis=(1, 2), keepdims=True) for reduce in (ops.max, ops.mean))
    return ops.square(ops.relu(logits - mean) / ops.maximum(highest - mean, 1e-6))
