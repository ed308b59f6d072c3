"""What an importer returns, and how it copies photographs into the folder of a data set."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from ...core.files import atomic_path
from ..model import Image

__all__ = ["Moved", "copy_photograph"]


@dataclass(frozen=True)
class Moved:
    """What came in.

    Attributes:
        labels: names of classes in their order, each with its `#rrggbb` colour.
        images: with their regions, by their names in the folder of the data set.
        copied: number of photographs that were copied into the folder.
        left_out: one sentence for each thing that could not be used.
        notes: one sentence for each thing that was assumed.
    """

    labels: dict[str, str]
    images: list[Image]
    copied: int
    left_out: list[str]
    notes: list[str] = field(default_factory=list)


def copy_photograph(photo: Path, target: Path) -> Path:
    """Copy a photograph, whole or not at all; return `target`."""
    with atomic_path(target) as temporary:
        shutil.copyfile(photo, temporary)
    return target
