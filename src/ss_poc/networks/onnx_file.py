"""A Keras network as an ONNX graph."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any

__all__ = ["convert"]


def convert(model: Any, path: Path) -> None:
    """Write a Keras model as an ONNX graph."""
    # The converter reports each of its steps; only what went wrong is of interest.
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of NumPy, about Keras' own use of it
        model.export(path, format="onnx", verbose=False)
