"""Make segmentation-models 1.0.1 and efficientnet 1.0.0 (both of 2020) importable on Keras 3.

They were written for Keras 2: `keras.utils.generic_utils` and the functions of `keras.backend` that they call are
gone from Keras 3's public names. The functions live on in `keras.src.legacy.backend`; this puts them where they were.
Only `encoders` imports this module, so that no other network depends on changed names.
"""

from __future__ import annotations

import contextlib
import io
import sys
import types
from typing import Any

from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)

import keras  # noqa: E402  isort: skip
from keras.src.legacy import backend as legacy_backend  # noqa: E402  isort: skip

__all__ = ["segmentation_models"]


def _restore_keras_2_names() -> None:
    if "keras.utils.generic_utils" not in sys.modules:
        module = types.ModuleType("keras.utils.generic_utils")
        module.get_custom_objects = keras.utils.get_custom_objects  # type: ignore[attr-defined]
        sys.modules[module.__name__] = keras.utils.generic_utils = module
    for name in dir(legacy_backend):
        if not name.startswith("_") and not hasattr(keras.backend, name):
            setattr(keras.backend, name, getattr(legacy_backend, name))


def segmentation_models() -> Any:
    """Import the package `segmentation_models` on Keras 3, without the banner that it prints."""
    _restore_keras_2_names()
    with contextlib.redirect_stdout(io.StringIO()):
        import segmentation_models as package

        package.set_framework("keras")
    return package
