"""Several views of an image in one network: its mirror images, whose answers are averaged."""

from __future__ import annotations

from collections.abc import Sequence

from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)

import keras  # noqa: E402  isort: skip
from keras import ops  # noqa: E402  isort: skip

__all__ = ["MIRRORED", "averaged", "with_views"]

# Axes of (N, h, w, C) along which each view is mirrored.
MIRRORED: dict[str, tuple[tuple[int, ...], ...]] = {
    "single": ((),), "mirrored": ((), (2,)), "upside_down": ((), (1,)), "turned": ((), (1, 2)),
    "all": ((), (2,), (1,), (1, 2))}


def with_views(model: keras.Model, views: str) -> keras.Model:
    """Build a network that averages the answers of `model` to an image and to its mirror images, mirrored back.

    Args:
        model: (N, h, w, 3) float32 RGB in 0..255 to (N, h, w, C) float32 probabilities.
        views: one of `config.VIEWS`.

    Returns:
        Network of the same shapes; `model` itself for "single".
    """
    return averaged(model, MIRRORED[views])


def averaged(model: keras.Model, flips: Sequence[tuple[int, ...]]) -> keras.Model:
    """Build a network that averages the answers of `model` to mirror images, mirrored back.

    Args:
        model: (N, h, w, 3) float32 to (N, h', w', C) float32.
        flips: of each mirror image the axes of (N, h, w, C) along which it is mirrored.

    Returns:
        Network of the same shapes; `model` itself for the image as it is.
    """
    if list(flips) == [()]:
        return model
    image = keras.Input(model.input_shape[1:], name="image")
    # All views in one batch: a graph with one copy of the network, and larger multiplications.
    stacked = ops.stack([ops.flip(image, axes) if axes else image for axes in flips], axis=1)
    answers = model(ops.reshape(stacked, (-1, *model.input_shape[1:])))
    answers = ops.reshape(answers, (-1, len(flips), *model.output_shape[1:]))
    back = [ops.flip(answers[:, number], axes) if axes else answers[:, number] for number, axes in enumerate(flips)]
    return keras.Model(image, ops.mean(ops.stack(back, axis=1), axis=1))
