"""The click network: a compact network that also reads what was clicked on, and finds what looks like it."""

from __future__ import annotations

from typing import Any

from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from .blocks import conv
from .compact import COMPACT_ENCODERS, compact
from .pretrained import read_pretrained
from .structure import head_of

import keras  # noqa: E402  isort: skip
from keras import layers, ops  # noqa: E402  isort: skip

__all__ = ["INPUTS", "click_network"]

# Red, green and blue in 0..255; positive clicks, negative clicks, mask so far and box in 0..1.
INPUTS = 7
# Channels in which places are compared with the places clicked on.
AT_QUARTER, AT_EIGHTH = 16, 32


@keras.saving.register_keras_serializable("ss_poc")
class ColourLikeClicked(layers.Layer):
    """How much a place has the colour of what is marked, in each of the guidance's maps.

    Inputs: colours (N, h, w, 3) and guidance (N, h, w, M), 0..1. Output: (N, h, w, M), exp(-d) of the distance d, in
    mean deviations of the picture's own colours: 1 for the same colour; 0 in a map without a mark.
    """

    def call(self, inputs: Any) -> Any:
        colours, marks = inputs
        spread = ops.mean(ops.abs(colours - ops.mean(colours, axis=(1, 2), keepdims=True)), axis=(1, 2, 3),
                          keepdims=True) + 0.03
        alike = [ops.exp(-ops.mean(ops.abs(colours - mean), axis=-1, keepdims=True) / spread) * (area / (area + 1e-3))
                 for mean, area in _means(colours, marks)]
        return ops.concatenate(alike, axis=-1)

    def compute_output_shape(self, shapes: Any) -> tuple[Any, ...]:
        colours, marks = shapes
        return (*colours[:-1], marks[-1])


@keras.saving.register_keras_serializable("ss_poc")
class LikeClicked(layers.Layer):
    """Multiply features with their mean over what is marked, in each of the guidance's maps.

    Inputs: features (N, h, w, K) and guidance (N, h, w, M), 0..1. Output: (N, h, w, K * M): large where a place looks
    like what is marked. A map without a mark gives zeros.
    """

    def call(self, inputs: Any) -> Any:
        features, marks = inputs
        return ops.concatenate([features * mean for mean, _ in _means(features, marks)], axis=-1)

    def compute_output_shape(self, shapes: Any) -> tuple[Any, ...]:
        features, marks = shapes
        return (*features[:-1], features[-1] * marks[-1])


def click_network(encoder: str, size: int | None = None, pretrained: bool = True) -> keras.Model:
    """Build a click network.

    The compact network gets the guidance through a branch of its own that begins as nothing, added to its stem
    (Sofiiuk et al. 2022, arXiv 2102.06583, section 3.2, "Conv1S"). Twice
    every place is compared with the places clicked on.

    Args:
        encoder: one of COMPACT_ENCODERS.
        size: height and width of the input, a multiple of 32; None for any.
        pretrained: whether its compact network begins with the weights in the package.

    Returns:
        Model from (N, size, size, INPUTS) float32 to (N, size, size, 1) float32 logits.
    """
    base = compact(COMPACT_ENCODERS[encoder], 1, (size, size) if size else (256, 256), full=False)
    if pretrained:
        body = [weight for weight in base.weights if not any(weight is own for own in head_of(base).weights)]
        for weight, values in zip(body, read_pretrained(encoder), strict=True):
            weight.assign(values)
    stem, quarter, eighth = (_last_at(base, stride) for stride in (2, 4, 8))
    features = head_of(base).input

    both = keras.Input((size, size, INPUTS), name="image_and_guidance")
    image, marks = both[..., :3], both[..., 3:]
    halves = layers.AveragePooling2D(2)(marks)
    colours = layers.Rescaling(1 / 64, offset=-2)(image)
    alike = ColourLikeClicked()([layers.AveragePooling2D(2)(colours), halves[..., :3]])
    detail = layers.Concatenate()([colours, marks])
    detail = layers.Conv2D(12, 3, strides=2, padding="same", activation="relu", kernel_initializer="he_normal")(detail)
    detail = layers.Concatenate()([detail, alike])
    side = layers.Conv2D(stem.shape[-1], 3, padding="same", kernel_initializer="zeros")(detail)
    x = layers.Add()([keras.Model(base.input, stem)(image), side])
    at_quarter = _compared(keras.Model(stem, quarter)(x), layers.AveragePooling2D(2)(halves), AT_QUARTER)
    at_eighth = _compared(keras.Model(quarter, eighth)(at_quarter), layers.AveragePooling2D(4)(halves), AT_EIGHTH)
    x = keras.Model([stem, quarter, eighth], features)([x, at_quarter, at_eighth])
    x = conv(layers.Concatenate()([x, detail]), 16)
    # Four pixels of each place: sharper than enlarging, at a quarter of the cost of working at full size.
    return keras.Model(both, layers.Conv2DTranspose(1, 4, strides=2, padding="same", name="logits")(x))


def _means(features: Any, marks: Any) -> list[tuple[Any, Any]]:
    """For each of the maps: the mean of the features over what is marked, 0 without a mark; the area marked."""
    found = []
    for channel in range(marks.shape[-1]):
        mark = marks[..., channel:channel + 1]
        area = ops.sum(mark, axis=(1, 2), keepdims=True)
        found.append((ops.sum(features * mark, axis=(1, 2), keepdims=True) / (area + 1e-3), area))
    return found


def _last_at(base: keras.Model, stride: int) -> Any:
    """The encoder's last feature map at a stride: the way back up begins after the smallest."""
    height = base.input.shape[1]
    found = None
    for layer in base.layers:
        shape = layer.output.shape
        if len(shape) == 4 and shape[1] == height // stride and isinstance(layer, layers.Activation):
            found = layer.output
        if len(shape) == 4 and shape[1] < height // stride:
            break
    return found


def _compared(x: Any, marks: Any, channels: int) -> Any:
    """Features that also know what looks like the places clicked on; begins as the features themselves."""
    keys = conv(x, channels, size=1, relu=False)
    alike = LikeClicked()([keys, marks[..., :3]])
    return layers.Add()([x, layers.Conv2D(x.shape[-1], 1, kernel_initializer="zeros")(alike)])
