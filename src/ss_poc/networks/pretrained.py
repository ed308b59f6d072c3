"""Weights in the package: compact networks that learned on drawn surfaces (see `pretrain`), without their heads, and
EfficientNet-Lite0 that learned on ImageNet (see `imagenet`).

Kernels of the former are 8-bit numbers and a scale for each output channel, a quarter of the size: to begin with, exact
enough. Kernels of the latter are float16.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.errors import ModelError
from ..core.files import atomic_path

__all__ = ["FOLDER", "IMAGENET", "pretrained_encoders", "pretrained_path", "read_imagenet", "read_pretrained",
           "write_pretrained"]

FOLDER = Path(__file__).parent / "weights"
IMAGENET = FOLDER / "imagenet" / "efficientnet-lite0.npz"
# Stated, not looked up: a file that is missing must be an error, and not lead to a training from scratch.
PRETRAINED = ("compact16", "compact24", "compact32")


def pretrained_encoders() -> list[str]:
    """List the encoders of `compact` that have weights in the package."""
    return list(PRETRAINED)


def pretrained_path(encoder: str) -> Path:
    """Find the file of an encoder's weights in the package.

    Raises:
        ModelError: the package has no weights for this encoder, or their file is missing.
    """
    if encoder not in PRETRAINED:
        raise ModelError(f"{encoder} has no weights that learned on drawn surfaces",
                         "one of " + ", ".join(PRETRAINED), "use --weights none")
    path = FOLDER / f"{encoder}.npz"
    if not path.is_file():
        raise ModelError(f"the weights of {encoder} are missing from the package", f"the file {path}",
                         "install the package again, or use --weights none to train from scratch")
    return path


def read_imagenet() -> dict[str, np.ndarray]:
    """Read the float32 weights of EfficientNet-Lite0 by name, `<layer>/<variable>`.

    Raises:
        ModelError: their file is missing from the package, or damaged.
    """
    if not IMAGENET.is_file():
        raise ModelError(f"the weights of {IMAGENET.stem} are missing from the package", f"the file {IMAGENET}",
                         "install the package again, make them with `python -m ss_poc.imagenet`, or use --weights none")
    try:
        with np.load(IMAGENET) as arrays:
            return {name: arrays[name].astype(np.float32) for name in arrays.files}
    except Exception as error:  # of zipfile, zlib and NumPy: a damaged file fails in many ways
        raise ModelError(f"{IMAGENET} is damaged: {repr(error).splitlines()[0]:.200}",
                         "the file that came with the package", "install the package again, or use --weights none"
                         ) from error


def read_pretrained(encoder: str) -> list[np.ndarray]:
    """Read all float32 weights of a compact network but its head's, in the order of `model.weights`.

    Raises:
        ModelError: the package has no weights for this encoder, or their file is missing.
    """
    with np.load(pretrained_path(encoder)) as arrays:
        count = sum(name.isdigit() for name in arrays.files)
        return [arrays[str(number)] * arrays[f"{number}_scale"] if f"{number}_scale" in arrays else arrays[str(number)]
                for number in range(count)]


def write_pretrained(weights: Sequence[np.ndarray], path: Path) -> None:
    """Write weights for `read_pretrained`; kernels are off by at most 1 / 254 of their channel's largest value.

    Args:
        weights: float32; kernels are (h, w, in, out).
        path: `<encoder>.npz`.
    """
    arrays: dict[str, np.ndarray] = {}
    for number, values in enumerate(weights):
        arrays[str(number)] = values
        if values.ndim == 4:
            scale = np.maximum(np.abs(values).max(axis=(0, 1, 2)) / 127, 1e-12).astype(np.float32)
            arrays |= {str(number): np.round(values / scale).astype(np.int8), f"{number}_scale": scale}
    path.parent.mkdir(exist_ok=True)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
