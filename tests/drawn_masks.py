"""Masks small enough to write out, as rows of '#' and '.'."""

from __future__ import annotations

import numpy as np


def drawn(*rows: str) -> np.ndarray:
    """A mask from rows of '#' and '.'."""
    return np.array([[letter == "#" for letter in row] for row in rows])


def shown(mask: np.ndarray) -> list[str]:
    """Rows of '#' and '.' of a mask."""
    return ["".join(".#"[int(value)] for value in row) for row in mask]
