"""The GPUs of this machine, and how a batch is shared among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.errors import ConfigError
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)

import tensorflow as tf  # noqa: E402  isort: skip

__all__ = ["gpu_names", "strategy_for", "used_gpus"]


def gpu_names() -> list[str]:
    """GPUs that TensorFlow finds."""
    return [device.name for device in tf.config.list_logical_devices("GPU")]


def used_gpus(wanted: int | None, names: Sequence[str]) -> list[str]:
    """The first `wanted` of the named devices; None: all of them.

    Raises:
        ConfigError: there are fewer.
    """
    if wanted is not None and wanted > len(names):
        raise ConfigError(f"gpus is {wanted}", f"at most {len(names)}, the GPUs that TensorFlow finds here",
                          "check nvidia-smi and that the gpu requirements are installed, or drop --gpus")
    return list(names[:wanted])


def strategy_for(names: Sequence[str]) -> Any:
    """A `tf.distribute` strategy over the named devices, or None where one device does it all."""
    return tf.distribute.MirroredStrategy(list(names)) if len(names) > 1 else None
