"""The files from which a training goes on as if it had never stopped: its checkpoint and its best model."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..core.config import ChosenConfig
from ..core.errors import ArtifactError
from ..core.files import atomic_path, write_json
from ..core.run import RunPaths
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from ..networks.structure import encoder_layers
from .model import compile_model, set_frozen

import keras  # noqa: E402  isort: skip

__all__ = ["best_model_path", "drop_other_models", "load_checkpoint", "save_best_model", "save_checkpoint"]


# What `best_model_path` names: a user's model_backup.keras stays.
OURS = re.compile(r"model_\d+_\d+\.\d{4}\.keras")


def best_model_path(paths: RunPaths, best: dict[str, Any]) -> Path:
    """Where the model of the best epoch lies; `best`: that epoch's row of the log."""
    return paths.model / f"model_{best['epoch']}_{best['val_loss']:.4f}.keras"


def save_best_model(paths: RunPaths, best: dict[str, Any], served: keras.Model) -> None:
    """Write the network as it is served, whole or not at all."""
    with atomic_path(best_model_path(paths, best)) as temporary:
        served.save(temporary)


def drop_other_models(paths: RunPaths, best: dict[str, Any]) -> None:
    """Name the best model in state.json, and remove those that are best no more.

    Only after the checkpoint: until it is written, the one before and the best model it speaks of are needed.
    """
    path = best_model_path(paths, best)
    write_json(paths.model / "state.json", {"best_model": path.name, "epoch": best["epoch"]})
    for other in paths.model.glob("model_*.keras"):
        if other != path and OURS.fullmatch(other.name):
            other.unlink()


def save_checkpoint(paths: RunPaths, model: keras.Model, state: dict[str, Any]) -> None:
    """Write weights, random state of layers, the optimiser's variables and `state`.

    In one file, so that a kill at any moment leaves this epoch's or the one before, never a mixture.
    """
    arrays: dict[str, Any] = {f"v{number}": np.asarray(variable) for number, variable in enumerate(_variables(model))}
    frozen = any(not layer.trainable for layer in encoder_layers(model) if layer.name != "preprocess")
    buffer = io.BytesIO()
    arrays["state"] = json.dumps({**state, "frozen": frozen})
    np.savez(buffer, **arrays)
    with atomic_path(_path(paths)) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def load_checkpoint(paths: RunPaths, model: keras.Model, config: ChosenConfig, steps: int) -> dict[str, Any] | None:
    """Put a model into the state of the last checkpoint.

    Args:
        paths: of the run.
        model: built for the run; it is compiled again, its encoder frozen or not as it was then.
        config: of the run.
        steps: of an epoch.

    Returns:
        The `state` that was written, and `frozen`; None where there is no checkpoint yet.

    Raises:
        ArtifactError: the checkpoint is damaged or of another network.
    """
    path = _path(paths)
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            state: dict[str, Any] = json.loads(str(arrays["state"]))
            set_frozen(model, state["frozen"])
            compile_model(config, model, steps)
            variables = _variables(model)
            values = [arrays[f"v{number}"] for number in range(len(variables))]
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise ArtifactError(f"the checkpoint {path} cannot be used: {error}", "one written by this network",
                            "train again with --overwrite") from error
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return state


def _path(paths: RunPaths) -> Path:
    return paths.model / "resume.npz"


def _variables(model: keras.Model) -> list[Any]:
    """Weights, random state of layers such as dropout, and the optimiser's own variables."""
    metrics = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in metrics] + list(model.optimizer.variables)
