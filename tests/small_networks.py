"""Small inputs for networks, and their answers."""

from __future__ import annotations

import numpy as np

from ss_poc.networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)

import keras  # isort: skip

SIZE = (64, 96)
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, *SIZE, 3)).astype(np.float32)


def forward(model: keras.Model, images: np.ndarray = IMAGES, training: bool = False) -> np.ndarray:
    """(N, h, w, C) float32 probabilities."""
    return np.asarray(model(images, training=training))
