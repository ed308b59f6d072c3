"""The photographs of a folder, a glob or a bucket, by their names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import ImageError
from ..core.images import SUFFIXES, UNREAD_SUFFIXES, find_images
from ..core.levels import Levels
from ..inference.reading import Read, Unread, decoded, read_photograph, root
from .store import Store, is_remote

__all__ = ["Photographs", "Reader", "in_order"]


def in_order(name: str) -> list[str]:
    """Return what photographs are ordered by: their folders, then their names, as paths are."""
    return name.split("/")


@dataclass(frozen=True)
class Photographs:
    """Photographs by name.

    Attributes:
        place: the folder that the names are relative to, a path or an address such as `s3://bucket/folder`.
        names: with `/` between folders, in the order of paths.
    """

    place: str
    names: Sequence[str]

    @classmethod
    def find(cls, images: str) -> Photographs:
        """Find the photographs of a folder (with its subfolders), a glob, a single file or an address.

        Raises:
            ImageError: there is none.
            ArtifactError: an address that does not answer.
        """
        if is_remote(images):
            return cls(images, _listed(Store(images)))
        folder = root(images)
        return cls(str(folder), [file.relative_to(folder).as_posix() for file in find_images(images)])

    @property
    def digest(self) -> str:
        """Hex digest of the names: whether two processes saw the same ones."""
        digest = hashlib.blake2b(digest_size=8)
        for name in self.names:
            digest.update(name.encode("utf-8", "surrogateescape") + b"\0")
        return digest.hexdigest()

    def reader(self) -> Reader:
        """Return what reads them."""
        return Reader(self.place)


class Reader:
    """Reads photographs by name.

    Args:
        place: see `Photographs`.
    """

    def __init__(self, place: str) -> None:
        self._store = Store(place) if is_remote(place) else None
        self._folder = Path(place)

    def read(self, name: str, levels: Levels) -> Read | Unread:
        """Return a photograph, or why it cannot be read."""
        if not self._store:
            return read_photograph(self._folder / name, name, levels)
        try:
            return decoded(self._store.read(name), name, levels)
        except OSError as error:
            return Unread(name, str(error).splitlines()[0])


def _listed(store: Store) -> list[str]:
    suffixes = (*SUFFIXES, *UNREAD_SUFFIXES)
    names = [name for name in store.below() if name.lower().endswith(suffixes)
             and not any(part.startswith(".") for part in name.split("/"))]
    if not names:
        raise ImageError(f"no images at {str(store)!r}", f"objects that end in {', '.join(SUFFIXES)}",
                         "check the address")
    return sorted(names, key=in_order)
