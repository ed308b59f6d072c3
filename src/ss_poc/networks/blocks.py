"""What every network here is made of, and where it starts."""

from __future__ import annotations

import math
from typing import Any

from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)

from keras import layers  # noqa: E402  isort: skip

__all__ = ["BATCH_NORM_MOMENTUM", "HEAD_SCALE", "PRIOR_LOGIT", "conv"]

# Before training a pixel is a defect with this probability: starting at 0.5 wastes the first epochs on background.
PRIOR_LOGIT = math.log(0.02 / 0.98)
# The head starts near its bias, or random features would drown the prior.
HEAD_SCALE = 0.1
# Keras' 0.99 needs hundreds of steps to follow; a small data set has a dozen an epoch.
BATCH_NORM_MOMENTUM = 0.9


def conv(x: Any, filters: int, strides: int = 1, size: int = 3, dilation: int = 1, relu: bool = True,
          gamma: str = "ones") -> Any:
    """Add a convolution of `size` x `size` without bias, its batch normalisation and, for `relu`, the activation.

    Args:
        x: feature map (N, h, w, K), a symbolic tensor.
        filters: channels of the result.
        strides, dilation: of the convolution.
        gamma: initialiser of the normalisation's factor.

    Returns:
        Feature map (N, ceil(h / strides), ceil(w / strides), filters).
    """
    x = layers.Conv2D(filters, size, strides=strides, dilation_rate=dilation, padding="same", use_bias=False,
                      kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, gamma_initializer=gamma)(x)
    return layers.Activation("relu")(x) if relu else x
