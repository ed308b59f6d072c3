"""Photographs of a folder that may hold damaged ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np

from ..core.bit_depth import Values
from ..core.errors import ImageError
from ..core.images import open_image
from ..core.levels import Levels

__all__ = ["Read", "Unread", "decoded", "read_photograph", "root"]


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
        return decoded(file.read_bytes(), name, levels)
    except OSError as error:
        return Unread(name, str(error).splitlines()[0])


def decoded(content: bytes, name: str, levels: Levels) -> Read | Unread:
    """Return the photograph that a file holds, or why it cannot be read.

    Args:
        content: of the file.
        name: what to call it.
        levels: of the model.
    """
    try:
        opened = open_image(content)
        return Read(opened.decode(levels=levels), opened.values)
    except ImageError as error:
        return Unread(name, str(error).splitlines()[0])


def root(images: str) -> Path:
    """Return the folder that the names of the images are relative to: of a glob, the folders without wildcards."""
    path = Path(images)
    if path.is_dir():
        return path
    return Path(*takewhile(lambda name: not set(name) & set("*?["), path.parent.parts))
