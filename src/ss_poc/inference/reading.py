"""Photographs of a folder that may hold damaged ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import ImageError
from ..core.images import decode_image

__all__ = ["Unread", "read_photograph"]


@dataclass(frozen=True)
class Unread:
    """A photograph that cannot be read: its name, and why in one line."""

    name: str
    reason: str


def read_photograph(file: Path, name: str) -> np.ndarray | Unread:
    """Return a photograph as (H, W, 3) uint8 RGB, or why it cannot be read: one must not stop the others.

    Args:
        file: the photograph.
        name: what to call it.
    """
    try:
        return decode_image(file)
    except (ImageError, OSError) as error:
        return Unread(name, str(error).splitlines()[0])
