"""Every part that the line saw: written once, handed over to the sinks, forgotten after a while.

What reads it for people is `history`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from ..core.errors import SegmentError
from .parts import Part
from .tables import FOUND, PARTS, open_tables

__all__ = ["Archive", "ArchiveError", "part_of"]

ROWS = 500  # at a time: databases limit the values of one statement
COLUMNS = [item.name for item in fields(Part) if item.name != "found"]
DAY_MS = 86_400_000


class ArchiveError(SegmentError):
    """The archive does not take or tell anything now."""


class Archive:
    """The parts of one line.

    Args:
        url: of the database.
        line: name of the line; several may share a database.

    Raises:
        ArtifactError: as `open_tables`.
    """

    def __init__(self, url: str, line: str) -> None:
        self.engine: Engine = open_tables(url)
        self.line = line
        dialect: Any = sqlite if self.engine.dialect.name == "sqlite" else postgresql
        # Statements that every part needs are built once: that takes longer than to run them.
        self._add_part = dialect.insert(PARTS).on_conflict_do_nothing(index_elements=["key"]).returning(PARTS.c.id)
        self._add_found = insert(FOUND)
        self._knows = select(PARTS.c.id).where(PARTS.c.key == bindparam("key"))
        self._handed_over = update(PARTS).where(PARTS.c.key == bindparam("handed")).values(handed_over=True)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    def add(self, parts: Sequence[Part], handed_over: Sequence[str] = ()) -> list[Part]:
        """Keep parts, and note which ones of before all sinks have: all of it or nothing. Parts that it has already are
        left as they are.

        Args:
            parts: to keep.
            handed_over: keys of parts that all sinks have in their queues.

        Returns:
            The parts that are new.

        Raises:
            ArchiveError: the database does not take them now, because it does not answer or its disk is full.
        """
        with self._writing() as connection:
            if handed_over:
                connection.execute(self._handed_over, [{"handed": key} for key in handed_over])
            return [part for part in parts if self._add(connection, part)]

    def _add(self, connection: Connection, part: Part) -> bool:
        values = {name: getattr(part, name) for name in COLUMNS}
        values.update(reasons=list(part.reasons), measurements=list(part.measurements), handed_over=False)
        number = connection.execute(self._add_part, values).scalar()
        if number is None:
            return False
        if part.found:
            connection.execute(self._add_found, [{"part_id": number, "label": label, "objects": objects, "area": area}
                                                 for label, (objects, area) in part.found.items()])
        return True

    def knows(self, key: str) -> bool:
        """Whether the photograph with this key is archived.

        Raises:
            ArchiveError: the database does not answer now.
        """
        with self._reading() as rows:
            return bool(rows(self._knows, {"key": key}))

    def known_files(self, source: str, stamps: dict[str, str]) -> set[str]:
        """Names of those files that are archived as they are.

        Args:
            source: name of their source.
            stamps: name → size and time of each file.

        Raises:
            ArchiveError: the database does not answer now.
        """
        known, names = set(), list(stamps)
        with self._reading() as rows:
            for start in range(0, len(names), ROWS):
                found = rows(select(PARTS.c.name, PARTS.c.stamp).where(
                    PARTS.c.line == self.line, PARTS.c.source == source, PARTS.c.name.in_(names[start:start + ROWS])))
                known |= {row.name for row in found if stamps[row.name] == row.stamp}
        return known

    def waiting(self) -> Iterator[list[Part]]:
        """Parts that no sink has been handed yet, oldest first, some at a time.

        Raises:
            ArchiveError: the database does not answer now.
        """
        last = 0
        while True:
            with self._reading() as rows:
                found = rows(select(PARTS).where(~PARTS.c.handed_over, PARTS.c.line == self.line, PARTS.c.id > last)
                             .order_by(PARTS.c.id).limit(ROWS))
                if not found:
                    return
                last = found[-1].id
                objects = found_in(rows, [row.id for row in found])
            yield [part_of(row, objects.get(row.id, {})) for row in found]

    def tidy(self, pictures: Path, days: float = 0, gigabytes: float = 0) -> tuple[int, int]:
        """Forget parts of this line that are older than so many days, and the oldest pictures above so many gigabytes.

        Args:
            pictures: folder of the pictures.
            days: 0 for no limit.
            gigabytes: 0 for no limit.

        Returns:
            How many parts and how many pictures went. A part whose picture goes for its size stays.

        Raises:
            ArchiveError: the database does not take it now.
        """
        parts = self._forget(pictures, days) if days else 0
        return parts, self._drop_pictures(pictures, int(gigabytes * 1e9)) if gigabytes else 0

    def _forget(self, pictures: Path, days: float) -> int:
        count, oldest = 0, int(time.time() * 1000 - days * DAY_MS)
        while True:
            with self._writing() as connection:
                found = connection.execute(
                    select(PARTS.c.id, PARTS.c.picture).where(PARTS.c.line == self.line, PARTS.c.taken_ms < oldest,
                                                              PARTS.c.handed_over).limit(ROWS)).all()
                _remove_pictures(pictures, (row.picture for row in found))
                numbers = [row.id for row in found]
                connection.execute(delete(FOUND).where(FOUND.c.part_id.in_(numbers)))
                connection.execute(delete(PARTS).where(PARTS.c.id.in_(numbers)))
            count += len(found)
            if len(found) < ROWS:
                return count

    def _drop_pictures(self, pictures: Path, most: int) -> int:
        count, mine = 0, (PARTS.c.line == self.line, PARTS.c.picture != "")
        while True:
            with self._writing() as connection:
                kept = connection.execute(select(func.sum(PARTS.c.picture_bytes)).where(*mine)).scalar() or 0
                above = int(kept) - most
                if above <= 0:
                    return count
                dropped = []
                for row in connection.execute(select(PARTS.c.id, PARTS.c.picture, PARTS.c.picture_bytes).where(*mine)
                                              .order_by(PARTS.c.id).limit(ROWS)).all():
                    if above > 0:
                        dropped.append(row)
                        above -= row.picture_bytes
                _remove_pictures(pictures, (row.picture for row in dropped))
                connection.execute(update(PARTS).where(PARTS.c.id.in_([row.id for row in dropped]))
                                   .values(picture="", picture_bytes=0))
            count += len(dropped)

    @contextmanager
    def _reading(self) -> Iterator[Callable[..., Sequence[Row[Any]]]]:
        with _said_alike(), self.engine.connect() as connection:
            yield lambda statement, values=None: connection.execute(statement, values).all()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with _said_alike(), self.engine.begin() as connection:
            yield connection


@contextmanager
def _said_alike() -> Iterator[None]:
    """Errors of whatever database as one that says what to do."""
    try:
        yield
    except SQLAlchemyError as error:
        raise ArchiveError(f"the archive does not answer: {getattr(error, 'orig', None) or error}",
                           "a database that does", "check that it runs and that its disk has room; the line goes on"
                           " by itself") from error


def _remove_pictures(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        if name:
            (folder / name).unlink(missing_ok=True)


def found_in(rows: Any, numbers: Sequence[int]) -> dict[int, dict[str, tuple[int, int]]]:
    """For each part, by its row's number: the classes that were found in it, with objects and area."""
    found: dict[int, dict[str, tuple[int, int]]] = {}
    for row in rows(select(FOUND).where(FOUND.c.part_id.in_(numbers)).order_by(FOUND.c.label)):
        found.setdefault(row.part_id, {})[row.label] = (row.objects, row.area)
    return found


def part_of(row: Row[Any], found: dict[str, tuple[int, int]]) -> Part:
    """A row of the archive as a part."""
    values = {name: getattr(row, name) for name in COLUMNS}
    values.update(reasons=tuple(row.reasons), measurements=tuple(row.measurements), found=found)
    return Part(**values)
