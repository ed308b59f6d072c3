"""Self-hosted semantic segmentation for factories; CONTRIBUTING.md has the map of the packages."""

import os

# ONNX Runtime reports its use to its makers unless this is set before it is loaded, by whichever module that may be.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
