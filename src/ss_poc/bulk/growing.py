"""A shard's part while it is made: nothing that is done is lost with the process, or done again."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

from ..core.errors import ArtifactError
from .parts import (
    PartInfo,
    leftovers_of,
    merged,
    part_name,
    parts_in,
    photographs_in,
    pieces_in,
    read_info,
    write_part,
)
from .photographs import in_order
from .rows import SCHEMA, Row
from .store import Store

__all__ = ["GrowingPart"]

# A piece is written after so many photographs or seconds: what a killed process may have to repeat.
PIECE_PHOTOGRAPHS, PIECE_SECONDS = 256, 10.0


class GrowingPart:
    """A part to which photographs are added as they are done. Used in a `with`, which writes what is left at its end.

    Its maker has claimed it: what killed processes left half written of it is removed.

    Args:
        store: to write to.
        folder: of the parts, in it.
        info: what the part will say of itself.
        names: of the photographs that it will have, in order.
        fresh: whether parts and pieces that something else made are removed; else they are an error.

    Raises:
        ArtifactError: what lies there is damaged, or made by something else.
    """

    def __init__(self, store: Store, folder: str, info: PartInfo, names: Sequence[str], fresh: bool = False) -> None:
        self._store, self._folder, self._info, self._fresh = store, folder, info, fresh
        self._names = set(names)
        for leftover in leftovers_of(store, folder, info.shard):
            store.remove(self._path(leftover))
        self._sources = self._found()
        self._done = {name for source in self._sources for name in photographs_in(store, source)} & self._names
        self.left = [name for name in names if name not in self._done]
        self._waiting: list[Sequence[Row]] = []
        self._since = time.monotonic()

    @property
    def finished(self) -> bool:
        """Whether there is a part already, and it has all photographs and no other."""
        path = self._path(part_name(self._info.shard))
        return list(self._sources) == [path] and self._sources[path].digest == self._info.digest

    @property
    def done(self) -> int:
        """Number of photographs that are done."""
        return len(self._done)

    def __enter__(self) -> GrowingPart:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:
        if not isinstance(error, OSError):  # a full disk would only be full again
            self._write_piece()

    def add(self, rows: Sequence[Row]) -> None:
        """Add the rows of one photograph; one that is there already, or is not asked for, is passed over."""
        name = rows[0]["image"]
        if name in self._done or name not in self._names:
            return
        self._done.add(name)
        self._waiting.append(rows)
        if len(self._waiting) >= PIECE_PHOTOGRAPHS or time.monotonic() - self._since >= PIECE_SECONDS:
            self._write_piece()

    def finish(self) -> str:
        """Make one part of all pieces, and return its name."""
        self._write_piece()
        name = self._path(part_name(self._info.shard))
        with self._store.writing(name) as path:
            write_part(path, self._kept(), self._info)
        for source in self._sources:
            if source != name:
                self._store.remove(source)
        return name

    def _kept(self) -> Iterator[list[Row]]:
        for rows in merged(self._store, self._sources, SCHEMA.names):
            if rows[0]["image"] in self._names:  # not: a photograph that was removed since
                yield rows

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _found(self) -> dict[str, PartInfo]:
        """The shard's part and its pieces, as far as they are there and of the same make."""
        shard, found = self._info.shard, {}
        self._number = 0
        for name, (owner, number) in pieces_in(self._store, self._folder).items():
            if owner == shard:
                self._number = max(self._number, number)
                found[self._path(name)] = read_info(self._store, self._path(name))
        for name, owner in parts_in(self._store, self._folder).items():
            if owner == shard:
                found[self._path(name)] = read_info(self._store, self._path(name))
        for name, info in list(found.items()):
            difference = info.maker.difference(self._info.maker)
            if difference and not self._fresh:
                raise ArtifactError(f"{self._store}/{name} was made otherwise: {difference}",
                                    "parts of one model, with one engine and threshold",
                                    f"take another --output, or remove what is in {self._store}/{self._folder}")
            if difference:
                self._store.remove(name)
                del found[name]
        return found

    def _write_piece(self) -> None:
        if not self._waiting:
            return
        self._number += 1
        name = self._path(part_name(self._info.shard, self._number))
        rows = sorted(self._waiting, key=lambda photograph: in_order(photograph[0]["image"]))
        with self._store.writing(name) as path:
            write_part(path, rows, self._info)
        self._sources[name] = dataclasses.replace(self._info, first=rows[0][0]["image"])
        self._waiting, self._since = [], time.monotonic()
