"""Weights in and out of networks: from `.keras` files, and to what ships in the package."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ModelError
from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from .structure import head_of

import keras  # noqa: E402  isort: skip

__all__ = ["body_weights", "load_weights", "set_body", "stored_classes", "take_over"]

# A stored description that says more is damaged or foreign.
MOST_CLASSES = 10_000


def load_weights(model: keras.Model, path: Path) -> None:
    """Load the weights of a `.keras` file into a network built the same way.

    Only arrays are read: no layer, function or Lambda of the file is ever made or run.

    Raises:
        ModelError: the file is missing, damaged or of another network.
    """
    if not path.is_file():
        raise ModelError(f"there is no weights file {path}", "a .keras file of ours")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of every layer that does not fit, then raises
            model.load_weights(path)
    except Exception as error:  # of zipfile, h5py, Keras and NumPy: a damaged file fails in many ways
        raise ModelError(f"{path} does not fit this network: {repr(error).splitlines()[0]}",
                         "a whole .keras file of the same architecture, encoder and number of classes",
                         "name the same --architecture and --encoder, or use --weights none") from error


def stored_classes(path: Path) -> int:
    """Read the number of classes of a `.keras` file of ours from the description in it.

    Raises:
        ModelError: the file is missing or damaged, or not of ours.
    """
    if not path.is_file():
        raise ModelError(f"there is no weights file {path}", "a .keras file of ours")
    try:
        with zipfile.ZipFile(path) as file:
            described = json.loads(file.read("config.json"))
        heads = [layer["config"]["filters"] for layer in _described_layers(described)
                 if layer.get("class_name") == "Conv2D"]
        if not 1 <= heads[-1] <= MOST_CLASSES:
            raise ValueError(f"{heads[-1]} classes")
        return int(heads[-1])
    except (zipfile.BadZipFile, OSError, KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} does not fit this network: {repr(error).splitlines()[0]}",
                         "a whole .keras file of ours", "use --weights none") from error


def _described_layers(described: dict[str, Any]) -> list[dict[str, Any]]:
    """Layers of a stored model, those of nested models too, in order."""
    found: list[dict[str, Any]] = []
    for layer in described["config"].get("layers", []):
        found += _described_layers(layer) if layer.get("class_name") == "Functional" else [layer]
    return found


def take_over(model: keras.Model, source: keras.Model, kept: Sequence[int | None]) -> None:
    """Copy all weights of `source` to `model`, but of the head only those of the classes kept: the others begin anew.

    Args:
        model: to change.
        source: built the same way, maybe with another number of classes.
        kept: for each class of `model` its channel in `source`, None for a new class.
    """
    head = head_of(model)
    for mine, theirs in zip(model.weights, source.weights, strict=True):
        values = np.asarray(theirs)
        if mine is head.kernel or mine is head.bias:
            old, values = values, np.array(mine)
            for channel, before in enumerate(kept):
                if before is not None:
                    values[..., channel] = old[..., before]
        mine.assign(values)


def body_weights(model: keras.Model) -> list[np.ndarray]:
    """All weights of a network but its head's, float32, in the order of `model.weights`."""
    return [np.array(variable) for variable in _body(model)]


def set_body(model: keras.Model, values: Sequence[np.ndarray]) -> None:
    """Give a network the weights that `body_weights` listed. Raises ValueError where their number or shape differs."""
    for variable, value in zip(_body(model), values, strict=True):
        variable.assign(value)


def _body(model: keras.Model) -> list[Any]:
    head = head_of(model)
    return [variable for variable in model.weights if variable is not head.kernel and variable is not head.bias]
