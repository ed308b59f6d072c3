"""What an importer returns, and how it copies photographs into the folder of a data set."""

from __future__ import annotations

import filecmp
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from ...core.files import atomic_path
from ..model import Image

__all__ = ["Copier", "Moved"]


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


class Copier:
    """Copies photographs into the folder of a data set; no file that is there is ever written over.

    Args:
        folder: of the data set.

    Attributes:
        copied: number of photographs that were copied so far.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.copied = folder, 0
        self._there = {path.name.casefold(): path for path in folder.iterdir()}
        self._given: dict[Path, Path] = {}

    def take(self, photo: Path) -> str:
        """Copy a photograph, whole or not at all, and return its posix path in the folder.

        One that lies in the folder stays where it is. Others keep their own names; where another file has that name, a
        number is added. A file of the same name and content is used, unless another photograph of this import has it.
        """
        if self.folder in photo.parents:
            return photo.relative_to(self.folder).as_posix()
        if photo not in self._given:
            self._given[photo] = self._copied(photo)
        return self._given[photo].name

    def _copied(self, photo: Path) -> Path:
        name, number = photo.name, 1
        while (there := self._there.get(name.casefold())) and not self._same(photo, there):
            number += 1
            name = f"{photo.stem}_{number}{photo.suffix}"
        if there:
            return there
        target = self._there[name.casefold()] = self.folder / name
        with atomic_path(target) as temporary:
            shutil.copyfile(photo, temporary)
        self.copied += 1
        return target

    def _same(self, photo: Path, there: Path) -> bool:
        return there not in self._given.values() and there.is_file() and filecmp.cmp(photo, there, shallow=False)
