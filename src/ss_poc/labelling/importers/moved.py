"""What an importer returns, and how it copies photographs into the folder of a data set."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...core.files import atomic_path
from ...core.images import encode_image
from ..folder import SHOWN
from ..model import Image

__all__ = ["Copier", "Moved"]

# Annotators know a JPEG by its first endings alone.
KNOWN_AS = {".jfif": ".jpg", ".jpe": ".jpg"}


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

    As a context: an error that leaves it takes what was copied away again.

    Args:
        folder: of the data set.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._there = {path.name.casefold(): path for path in folder.iterdir()}
        self._given: dict[Path, Path] = {}
        self._made: list[Path] = []
        self._converted: list[Path] = []

    def __enter__(self) -> Copier:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for path in self._made if kind else ():
            path.unlink(missing_ok=True)

    @property
    def copied(self) -> int:
        """Number of photographs that were copied so far."""
        return len(self._made)

    @property
    def notes(self) -> list[str]:
        """A sentence on photographs that were converted."""
        if not self._converted:
            return []
        return [f"{self._converted[0].name}: converted to PNG of 8 bits, as no browser shows TIFF"
                + f" ({len(self._converted) - 1} more)" * (len(self._converted) > 1)]

    def take(self, photo: Path, decode: Callable[[], np.ndarray]) -> str:
        """Copy a photograph, whole or not at all, and return its posix path in the folder.

        One that lies in the folder stays where it is. Others keep their own names; where another file has that name, a
        number is added. A file of the same name and content is used, unless another photograph of this import has it.
        One that no browser shows becomes a PNG; a JPEG with an ending that annotators do not know gets another one.

        Args:
            photo: its path.
            decode: returns its pixels, (H, W, 3) uint8 RGB.
        """
        suffix = photo.suffix.lower()
        if suffix in SHOWN and self.folder in photo.parents:
            return photo.relative_to(self.folder).as_posix()
        if photo not in self._given:
            is_copy = suffix in SHOWN or suffix in KNOWN_AS
            content = None if is_copy else _png(decode())
            self._given[photo] = self._copied(photo, KNOWN_AS.get(suffix, photo.suffix if is_copy else ".png"), content)
            self._converted += [photo] * (not is_copy)
        return self._given[photo].name

    def _copied(self, photo: Path, suffix: str, content: bytes | None) -> Path:
        name, number = f"{photo.stem}{suffix}", 1
        while (there := self._there.get(name.casefold())) and not self._same(photo, content, there):
            number += 1
            name = f"{photo.stem}_{number}{suffix}"
        if there:
            return there
        target = self._there[name.casefold()] = self.folder / name
        with atomic_path(target) as temporary:
            if content is None:
                shutil.copyfile(photo, temporary)
            else:
                temporary.write_bytes(content)
        self._made.append(target)
        return target

    def _same(self, photo: Path, content: bytes | None, there: Path) -> bool:
        if there in self._given.values() or not there.is_file():
            return False
        return filecmp.cmp(photo, there, shallow=False) if content is None else there.read_bytes() == content


def _png(image: np.ndarray) -> bytes:
    """A PNG, grey where all colours are."""
    grey = bool((image == image[..., :1]).all())
    return encode_image(image[..., 0] if grey else image, ".png")
