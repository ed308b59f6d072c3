"""Load Keras 3 quietly, and make segmentation-models 1.0.1 and efficientnet 1.0.0 (both of 2020) importable on it.

They were written for Keras 2: `keras.utils.generic_utils` and the functions of `keras.backend` that they call are
gone from Keras 3's public names. The functions live on in `keras.src.legacy.backend`; this puts them where they were.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import types
from collections.abc import Iterator
from typing import Any

__all__ = ["segmentation_models"]

# TensorFlow prints these on every start, whatever its log level is; a user can do nothing about them.
NOISE = ("absl::InitializeLog()", "oneDNN custom operations are on", "optimized to use available CPU instructions",
         "To enable the following instructions:")


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """Hold back what C++ writes to stderr, then pass on all lines but those of NOISE."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held.read().decode("utf-8", "replace").splitlines():
                if not any(text in line for text in NOISE):
                    print(line, file=sys.stderr)


# Its errors reach us as exceptions; what it logs besides ("E0000 … DT_INT32 …") only alarms. 0 shows all of it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with _without_noise():
    import keras
    from keras.src.legacy import backend as legacy_backend

    keras.ops.zeros(1)  # the first operation starts TensorFlow's runtime, which has a word to say as well


def _restore_keras_2_names() -> None:
    if "keras.utils.generic_utils" not in sys.modules:
        module = types.ModuleType("keras.utils.generic_utils")
        module.get_custom_objects = keras.utils.get_custom_objects  # type: ignore[attr-defined]
        sys.modules[module.__name__] = keras.utils.generic_utils = module
    for name in dir(legacy_backend):
        if not name.startswith("_") and not hasattr(keras.backend, name):
            setattr(keras.backend, name, getattr(legacy_backend, name))


def segmentation_models() -> Any:
    """The package `segmentation_models`, on Keras 3; its import prints a banner, which is swallowed."""
    _restore_keras_2_names()
    with contextlib.redirect_stdout(io.StringIO()):
        import segmentation_models as package

        package.set_framework("keras")
    return package
