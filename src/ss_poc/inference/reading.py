"""Photographs of a folder that may hold damaged ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.bit_depth import Values
from ..core.errors import ImageError
from ..core.images import open_image
from ..core.levels import Levels

__all__ = ["Read", "Unread", "read_photograph"]


@dataclass(frozen=True)
class Read:
    """A photograph: (H, W, 3) uint8 RGB, and the values of its file where that has more than 8 bits."""

    image_rgb: np.ndarray
    values: Values | None


@dataclass(frozen=True)
class Unread:
    """A photograph that cannot be read: its name, and why in one line."""

    name: str
    reason: str


def read_photograph(file: Path, name: str, levels: Levels) -> Read | Unread:
    """Return a photograph, or why it cannot be read: one must not stop the others.

    Args:
        file: the photograph.
        name: what to call it.
        levels: of the model.
    """
    try:
        opened = open_image(file)
        return Read(opened.decode(levels=levels), opened.values)
    except (ImageError, OSError) as error:
        return Unread(name, str(error).splitlines()[0])
