"""What people ask the archive: the last parts, counts, a trend, one part. It reads; nothing is changed.

Times are milliseconds since 1970, UTC. "Today" is the caller's to say: its midnight is local.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Engine, case, func, select

from .archive import found_in, part_of
from .parts import VERDICTS, Part
from .tables import FOUND, PARTS

__all__ = ["Query", "counts_by_class", "counts_by_verdict", "labels_of", "one_part", "search", "trend"]

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Query:
    """Which parts; what is None does not matter.

    Attributes:
        line, source, verdict: names, exactly.
        part, lot: numbers, or their beginnings.
        label: a class that was found in them.
        since_ms, until_ms: when they were taken; the second is left out.
        before_id: only rows before this one: the next page of a search goes on there.
        after_id: only rows after this one: what has come since.
    """

    line: str | None = None
    source: str | None = None
    part: str | None = None
    lot: str | None = None
    label: str | None = None
    verdict: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    before_id: int | None = None
    after_id: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same in SQL."""
        found: list[ColumnElement[bool]] = []
        for name in ("line", "source", "verdict"):
            if getattr(self, name) is not None:
                found.append(PARTS.c[name] == getattr(self, name))
        for name in ("part", "lot"):
            if getattr(self, name) is not None:
                found.append(PARTS.c[name].startswith(getattr(self, name), autoescape=True))
        if self.label is not None:
            found.append(PARTS.c.id.in_(select(FOUND.c.part_id).where(FOUND.c.label == self.label)))
        bounds = ((self.since_ms, PARTS.c.taken_ms.__ge__), (self.until_ms, PARTS.c.taken_ms.__lt__),
                  (self.before_id, PARTS.c.id.__lt__), (self.after_id, PARTS.c.id.__gt__))
        return found + [compare(value) for value, compare in bounds if value is not None]


def search(engine: Engine, query: Query, count: int = 50) -> list[tuple[int, Part]]:
    """Parts that a query asks for, the last one first, with their row numbers.

    The order is that of arrival, so that a clock that was set back does not hide new parts. `Query(after_id=…)` gives
    what has come since, `Query(before_id=…)` the next page.

    Args:
        engine: of the archive, such as `Archive.engine` or what `open_tables` gives.
        query: which parts.
        count: at most so many.
    """
    with engine.connect() as connection:
        rows = connection.execute(select(PARTS).where(*query.conditions()).order_by(PARTS.c.id.desc())
                                  .limit(count)).all()
        found = found_in(lambda statement: connection.execute(statement).all(), [row.id for row in rows])
    return [(row.id, part_of(row, found.get(row.id, {}))) for row in rows]


def one_part(engine: Engine, key: str) -> Part | None:
    """The part of a photograph's key; None where it is not archived."""
    with engine.connect() as connection:
        row = connection.execute(select(PARTS).where(PARTS.c.key == key)).first()
        if row is None:
            return None
        found = found_in(lambda statement: connection.execute(statement).all(), [row.id])
    return part_of(row, found.get(row.id, {}))


def counts_by_verdict(engine: Engine, query: Query = Query()) -> dict[str, int]:  # noqa: B008  # it is frozen
    """How many parts have each verdict; every verdict is there."""
    with engine.connect() as connection:
        rows = connection.execute(select(PARTS.c.verdict, func.count()).where(*query.conditions())
                                  .group_by(PARTS.c.verdict)).all()
    return {**dict.fromkeys(VERDICTS, 0), **{verdict: count for verdict, count in rows}}


def counts_by_class(engine: Engine, query: Query = Query()) -> dict[str, int]:  # noqa: B008
    """In how many parts each class was found, most first; classes that were not found are not there."""
    with engine.connect() as connection:
        rows = connection.execute(select(FOUND.c.label, func.count()).join(PARTS, PARTS.c.id == FOUND.c.part_id)
                                  .where(*query.conditions()).group_by(FOUND.c.label)
                                  .order_by(func.count().desc(), FOUND.c.label)).all()
    return {label: count for label, count in rows}


def labels_of(engine: Engine, line: str) -> list[str]:
    """The classes that were ever found on a line, in the order of their names."""
    with engine.connect() as connection:
        rows = connection.execute(select(FOUND.c.label).distinct().join(PARTS, PARTS.c.id == FOUND.c.part_id)
                                  .where(PARTS.c.line == line).order_by(FOUND.c.label)).all()
    return [row.label for row in rows]


def trend(engine: Engine, query: Query = Query(), step_ms: int = HOUR_MS) -> list[dict[str, Any]]:  # noqa: B008
    """Parts of each hour (or other step), the oldest first; hours without a part are left out.

    Returns:
        Of each hour its beginning `from_ms`, the number of `parts`, and that of each verdict.
    """
    hour = PARTS.c.taken_ms // step_ms
    numbers = [func.sum(case((PARTS.c.verdict == verdict, 1), else_=0)) for verdict in VERDICTS]
    with engine.connect() as connection:
        rows = connection.execute(select(hour, func.count(), *numbers).where(*query.conditions())
                                  .group_by(hour).order_by(hour)).all()
    return [{"from_ms": int(row[0]) * step_ms, "parts": row[1],
             **{verdict: int(count) for verdict, count in zip(VERDICTS, row[2:], strict=True)}} for row in rows]
