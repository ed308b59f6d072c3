"""Load Keras 3 and TensorFlow quietly: whoever uses them imports this module first."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from ..core.host import require_processor

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
# TensorFlow leaves oneDNN's kernels off where a processor has no AVX-512, though they train twice as fast there too.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
require_processor()  # TensorFlow would end the process, and its last words with it
with _without_noise():
    import keras

    keras.ops.zeros(1)  # the first operation starts TensorFlow's runtime, which has a word to say as well
