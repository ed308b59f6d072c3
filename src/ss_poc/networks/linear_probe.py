"""A linear probe: what a network that learned on ImageNet sees, weighed for each class by one matrix.

It is joined with a network that learned all its weights on the photographs at hand. Alone it is worse on workpieces
that were seen, but what it knows holds on workpieces that were not: so few weights cannot learn them by heart. The
log-odds of both are averaged (docs/training-tried.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ModelError
from ..core.files import atomic_path
from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from .lite0 import TAPS, lite0, lite0_scaled
from .views import MIRRORED, averaged

import keras  # noqa: E402  isort: skip
from keras import layers, ops  # noqa: E402  isort: skip

__all__ = ["PROBE_FILE", "STRIDE", "Probe", "enlarged", "log_odds", "probe_features", "probe_log_odds", "read_probe",
           "with_probe", "write_probe"]

PROBE_FILE = "probe.npz"
# Pixels for each place of the features, along each side.
STRIDE = 8
# Channels of the maps together.
FEATURES = 40 + 112 + 320
# Probabilities nearer to 0 or 1 count as this near: a probe is never sure enough to silence the network.
NEAREST = 1e-4


@dataclass(frozen=True)
class Probe:
    """Weights of a linear probe of C classes.

    Attributes:
        kernel: (F, 1 + C) float32; F features, the first column is for places without any class.
        bias: (1 + C,) float32.
    """

    kernel: np.ndarray
    bias: np.ndarray


def write_probe(path: Path, probe: Probe) -> None:
    """Write a probe as npz."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, kernel=probe.kernel, bias=probe.bias)


def read_probe(path: Path, classes: int) -> Probe:
    """Read a probe of so many classes.

    Raises:
        ModelError: the file is damaged or is for other classes.
    """
    try:
        with np.load(path) as arrays:
            probe = Probe(arrays["kernel"], arrays["bias"])
    except Exception as error:  # of zipfile, zlib and NumPy: a damaged file fails in many ways
        raise ModelError(f"{path} cannot be read: {error}", "the probe that the training wrote",
                         "train again with --overwrite") from error
    if probe.bias.shape != (1 + classes,) or probe.kernel.shape != (FEATURES, 1 + classes):
        raise ModelError(f"{path} is of {probe.kernel.shape}", f"({FEATURES}, {1 + classes}), for the run's classes",
                         "train again with --overwrite")
    return probe


def probe_features(size_hw: Sequence[int]) -> keras.Model:
    """Build the features: maps of EfficientNet-Lite0 at strides 8, 16 and 32, all brought to stride 8.

    Args:
        size_hw: (height, width) of the input, multiples of 32.

    Returns:
        Model from (N, h, w, 3) float32 RGB in 0..255 to (N, h / 8, w / 8, 472) float32.

    Raises:
        ModelError: the package lacks the weights.
    """
    image = keras.Input((*size_hw, 3), name="image")
    return keras.Model(image, layers.Concatenate()([_enlarged(values, times)
                                                    for values, times in _taps(image, size_hw)]))


def _taps(image: Any, size_hw: Sequence[int]) -> list[tuple[Any, int]]:
    """Maps, and how many times each must be enlarged to have a place for each STRIDE pixels."""
    encoder = lite0((*size_hw, 3), "imagenet")
    fine, middle = (encoder.get_layer(name).output for name in (TAPS[1], TAPS[0]))
    maps = keras.Model(encoder.input, [fine, middle, encoder.output], name="imagenet")(lite0_scaled(image))
    return list(zip(maps, (1, 2, 4), strict=True))


def _enlarged(values: Any, times: int) -> Any:
    return values if times == 1 else layers.UpSampling2D(times, interpolation="bilinear")(values)


def probe_log_odds(probe: Probe, size_hw: Sequence[int]) -> keras.Model:
    """Build a probe's network: what `probe_features` gives, weighed. Each map is weighed before it is enlarged, which
    is the same and far less work.

    Args:
        probe: its weights.
        size_hw: (height, width) of the input, multiples of 32.

    Returns:
        Model from (N, h, w, 3) float32 RGB in 0..255 to (N, h / 8, w / 8, C) float32 log-odds.
    """
    image = keras.Input((*size_hw, 3), name="image")
    weighed, first = [], 0
    for number, (values, times) in enumerate(_taps(image, size_hw)):
        layer = layers.Conv2D(len(probe.bias), 1, use_bias=number == 0, name=f"probe_{number}")
        weighed.append(_enlarged(layer(values), times))
        kernel = probe.kernel[None, None, first:first + values.shape[-1]]
        layer.set_weights([kernel] if number else [kernel, probe.bias])
        first += values.shape[-1]
    probability = ops.clip(ops.softmax(layers.Add()(weighed))[..., 1:], NEAREST, 1 - NEAREST)
    return keras.Model(image, ops.log(probability) - ops.log(1 - probability), name="probe")


def log_odds(model: keras.Model) -> keras.Model:
    """The network before its last layer, where that only makes probabilities of log-odds."""
    last = model.get_layer("probability")
    if last.activation is keras.activations.sigmoid:
        return keras.Model(model.input, last.input)
    probability = ops.clip(last.output, NEAREST, 1 - NEAREST)
    return keras.Model(model.input, ops.log(probability) - ops.log(1 - probability))


def enlarged(probe: keras.Model) -> keras.Model:
    """A probe whose log-odds have the size of its image."""
    return keras.Model(probe.input, layers.UpSampling2D(STRIDE, interpolation="bilinear")(probe.output))


def with_probe(model: keras.Model, probe: keras.Model, weight: float, views: str) -> keras.Model:
    """Join a network with a probe: the weighted mean of their log-odds.

    The network sees all views, the probe only the last of them: others gain it little.

    Args:
        model: of `build_model`, (N, h, w, 3) float32 RGB in 0..255 to (N, h, w, C) float32 probabilities.
        probe: as `probe_log_odds` builds it.
        weight: of the probe; the network's is 1.
        views: one of `config.VIEWS`.

    Returns:
        Network of the shapes of `model`.
    """
    flips = MIRRORED[views]
    image = keras.Input(model.input_shape[1:], name="image")
    odds = averaged(log_odds(model), flips)(image)
    known = enlarged(averaged(probe, flips[-1:]))(image)
    return keras.Model(image, layers.Activation("sigmoid", dtype="float32", name="probability")(
        (odds + weight * known) / (1 + weight)))
