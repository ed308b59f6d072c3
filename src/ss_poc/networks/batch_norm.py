"""Batch normalisation in one operation while training: Keras 3 puts it together from a dozen that each read the map."""

from __future__ import annotations

from typing import Any

from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)

import keras  # noqa: E402  isort: skip
import tensorflow as tf  # noqa: E402  isort: skip

__all__ = ["FusedBatchNormalization", "fused"]


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` of (N, h, w, C) maps by TensorFlow's own kernel.

    The same weights, names and numbers, but that the moving variance is the unbiased one: times n / (n - 1) of the
    n = N h w values of a channel, as in Keras 2. Statistics are float32 for 16-bit maps too. Without training, or
    held still, it is Keras' own.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        normalised, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=tf.convert_to_tensor(self.gamma), offset=tf.convert_to_tensor(self.beta), mean=[],
            variance=[], epsilon=self.epsilon, is_training=True)
        for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + now * (1.0 - self.momentum))
        return normalised


def fused(model: keras.Model) -> keras.Model:
    """Rebuild a model with every batch normalisation of maps as `FusedBatchNormalization`.

    The new model has the weights of `model`, in the same order, and shares all other layers with it.
    """
    def replaced(layer: Any) -> Any:
        # Only what is exactly Keras' own, with all that the kernel expects.
        if type(layer) is not keras.layers.BatchNormalization or not (layer.scale and layer.center) or \
                layer.axis not in (-1, 3) or len(layer.output.shape) != 4:
            return layer
        return FusedBatchNormalization.from_config(layer.get_config())

    made = keras.models.clone_model(model, clone_function=replaced, recursive=True)
    made.set_weights(model.get_weights())
    return made
