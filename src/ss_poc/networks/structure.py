"""Sections of a network, found by what they are: its encoder and its head."""

from __future__ import annotations

from typing import Any

from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)

import keras  # noqa: E402  isort: skip
from keras import layers  # noqa: E402  isort: skip

__all__ = ["all_layers", "encoder_layers", "head_of"]


def all_layers(model: keras.Model) -> list[Any]:
    """List the layers in the order of the graph, those of nested models too."""
    return [inner for layer in model.layers
            for inner in (all_layers(layer) if isinstance(layer, keras.Model) else [layer])]


def head_of(model: keras.Model) -> Any:
    """Find the last convolution, whose channels are the classes."""
    return next(layer for layer in reversed(all_layers(model)) if isinstance(layer, layers.Conv2D))


def encoder_layers(model: keras.Model) -> list[Any]:
    """List the layers of the encoder, which `freeze` holds: all up to the smallest feature map of most channels.

    Decoders begin by reducing the channels.
    """
    found = all_layers(model)
    maps = [(layer.output.shape[1] * layer.output.shape[2], -layer.output.shape[3], -number)
            for number, layer in enumerate(found) if len(getattr(layer.output, "shape", ())) == 4]
    return found[:1 - min(maps)[2]]
