"""The compact network: a residual encoder-decoder that is fast on CPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from .blocks import HEAD_SCALE, PRIOR_LOGIT, conv

import keras  # noqa: E402  isort: skip
from keras import layers  # noqa: E402  isort: skip

__all__ = ["COMPACT_ENCODERS", "Plan", "compact"]


@dataclass(frozen=True)
class Plan:
    """Channels and residual blocks of a compact network.

    Attributes:
        stem: channels at stride 2.
        stages: channels at strides 4, 8, 16 and 32.
        blocks: residual blocks at these strides.
        decoder: channels on the way back up, at strides 16, 8 and 4.
    """

    stem: int
    stages: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    decoder: tuple[int, int, int]


COMPACT_ENCODERS = {
    "compact16": Plan(16, (32, 64, 96, 128), (1, 1, 1, 1), (64, 48, 32)),
    "compact24": Plan(16, (48, 96, 128, 192), (1, 1, 1, 1), (96, 64, 32)),
    "compact32": Plan(24, (64, 128, 192, 256), (1, 2, 2, 1), (128, 96, 48)),
}


def compact(plan: Plan, classes: int, size_hw: tuple[int, int], full: bool) -> keras.Model:
    """Build a compact network.

    Plain 3x3 convolutions (depthwise ones are slow on TensorFlow's CPU kernels), few channels where the map is large
    (there time goes by in moving memory, not in multiplying), skip connections added rather than concatenated, which
    halves the decoder's work.

    Args:
        plan: its channels and blocks.
        classes: channels of the output.
        size_hw: (height, width) of the input, multiples of 32.
        full: whether the output has the size of the input; else half of it.
    """
    image = keras.Input((*size_hw, 3), name="image")
    x = conv(layers.Rescaling(1 / 64, offset=-2)(image), plan.stem, strides=2)
    skips = [x]
    for filters, blocks in zip(plan.stages, plan.blocks, strict=True):
        x = conv(x, filters, strides=2)
        for _ in range(blocks):
            x = _residual(x, filters)
        skips.append(x)
    x = _surroundings(x, plan.stages[-1])
    for filters, skip in zip(plan.decoder, reversed(skips[1:-1]), strict=True):
        x = layers.UpSampling2D(2)(conv(x, filters, size=1))
        skip = skip if skip.shape[-1] == filters else conv(skip, filters, size=1, relu=False)
        x = conv(layers.Add()([x, skip]), filters)
    x = layers.UpSampling2D(2)(conv(x, plan.stem, size=1))
    return keras.Model(image, _head(layers.Activation("relu")(layers.Add()([x, skips[0]])), classes, full))


def _residual(x: Any, filters: int, dilation: int = 1) -> Any:
    # Each block begins as the identity (Goyal et al. 2017, arXiv 1706.02677, section 5.1).
    y = conv(conv(x, filters, dilation=dilation), filters, relu=False, gamma="zeros")
    return layers.Activation("relu")(layers.Add()([x, y]))


def _surroundings(x: Any, filters: int) -> Any:
    """Let every place of the smallest map see far, by dilated convolutions, and all of it, by its mean: a stain or an
    uneven area is told from sound surface by comparison, not by itself."""
    for dilation in (2, 4):
        x = _residual(x, filters, dilation)
    whole = layers.GlobalAveragePooling2D(keepdims=True)(x)
    whole = layers.Conv2D(filters, 1, activation="relu", kernel_initializer="he_normal")(whole)
    return layers.Add()([x, layers.Conv2D(filters, 1, kernel_initializer="zeros")(whole)])


def _head(x: Any, classes: int, full: bool) -> Any:
    x = layers.Conv2D(classes, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=0.1 * HEAD_SCALE),
                      bias_initializer=keras.initializers.Constant(PRIOR_LOGIT), name="head")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x) if full else x
    return layers.Activation("sigmoid", dtype="float32", name="probability")(x)
