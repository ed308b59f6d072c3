"""EfficientNet-Lite0 (Google 2020, Apache-2.0): an encoder without squeeze-and-excitation, whose weights that learned
on ImageNet are in the package.

Its blocks are those of Sandler et al. 2018 (arXiv 1801.04381): widen, filter each channel by itself, narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from .pretrained import read_imagenet

import keras  # noqa: E402  isort: skip
from keras import layers  # noqa: E402  isort: skip

__all__ = ["LITE0", "TAPS", "lite0", "lite0_scaled"]

LITE0 = "efficientnet-lite0"
# Blocks of a stage, side of the kernel, stride of its first block, how many times wider inside, channels.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320))
# Layers whose maps decoders take: 112 channels at stride 16, 40 at 8, 24 at 4 and 16 at 2. The output has 320 at 32.
TAPS = ("block10_add", "block4_add", "block2_add", "block0_project_bn")
EPSILON = 1e-3


def lite0_scaled(pixels: Any, **_libraries: Any) -> Any:
    """Scale pixels from 0..255 to what the network learned on, about -1..1."""
    return (pixels - 127.0) / 128.0


def lite0(input_shape: Sequence[int | None], weights: str | None = None, **_libraries: Any) -> keras.Model:
    """Build the encoder, without its classifier.

    Args:
        input_shape: (height, width, 3), multiples of 32; None for a length that is left open.
        weights: "imagenet" for those in the package; None: drawn at random.

    Returns:
        Model from (N, height, width, 3) float32, of `lite0_scaled`, to (N, height / 32, width / 32, 320).

    Raises:
        ModelError: the weights are missing from the package, or damaged.
    """
    arrays = read_imagenet() if weights else {}
    image = keras.Input(tuple(input_shape), name="scaled")
    x = _normalised(layers.Conv2D(32, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(image), "stem")
    number = 0
    for blocks, size, stride, wider, filters in STAGES:
        for place in range(blocks):
            x = _block(x, f"block{number}", size, stride if place == 0 else 1, wider, filters)
            number += 1
    model = keras.Model(image, x, name=LITE0)
    if weights:
        model.set_weights([arrays[f"{layer.name}/{each.name}"] for layer in model.layers for each in layer.weights])
    return model


def _block(x: Any, name: str, size: int, stride: int, wider: int, filters: int) -> Any:
    y = x
    if wider > 1:
        y = layers.Conv2D(wider * x.shape[-1], 1, use_bias=False, name=f"{name}_expand_conv")(y)
        y = _normalised(y, f"{name}_expand")
    y = layers.DepthwiseConv2D(size, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(y)
    y = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(_normalised(y, f"{name}_depthwise"))
    y = _normalised(y, f"{name}_project", relu=False)
    return layers.Add(name=f"{name}_add")([x, y]) if stride == 1 and x.shape[-1] == filters else y


def _normalised(x: Any, name: str, relu: bool = True) -> Any:
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(max_value=6, name=f"{name}_relu")(x) if relu else x
