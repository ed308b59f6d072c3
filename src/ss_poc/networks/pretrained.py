"""Weights in the package: compact networks that learned on drawn surfaces (see `pretrain`), without their heads.

Kernels are 8-bit numbers and a scale for each output channel, a quarter of the size: to begin with, exact enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..core.errors import ModelError
from ..core.files import atomic_path

__all__ = ["FOLDER", "pretrained_encoders", "read_pretrained", "write_pretrained"]

FOLDER = Path(__file__).parent / "weights"


def pretrained_encoders() -> list[str]:
    """Encoders of `compact` that have weights in the package."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def read_pretrained(encoder: str) -> list[np.ndarray]:
    """All float32 weights of a compact network but its head's, in the order of `model.weights`.

    Raises:
        ModelError: the package has none for this encoder.
    """
    path = FOLDER / f"{encoder}.npz"
    if not path.is_file():
        raise ModelError(f"{encoder} has no weights that learned on drawn surfaces",
                         "one of " + ", ".join(pretrained_encoders()), "use --weights none")
    with np.load(path) as arrays:
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
