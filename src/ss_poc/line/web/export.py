"""The parts of a search as csv or Parquet, some at a time: an archive may be larger than the memory."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from ..history import Query, search
from ..parts import Part, when

__all__ = ["COLUMNS", "csv_pieces", "write_parquet"]

AT_A_TIME = 500
# Each column of an export: what it holds of a part.
COLUMNS: dict[str, Callable[[Part], Any]] = {
    "taken": lambda part: when(part.taken_ms), "line": lambda part: part.line, "source": lambda part: part.source,
    "name": lambda part: part.name, "part": lambda part: part.part, "lot": lambda part: part.lot,
    "verdict": lambda part: part.verdict, "reasons": lambda part: "; ".join(part.reasons),
    "found": lambda part: json.dumps([{"label": label, "objects": objects, "area": area} for label, (objects, area)
                                      in part.found.items()], ensure_ascii=False),
    "measurements": lambda part: json.dumps(list(part.measurements), ensure_ascii=False),
    "model": lambda part: part.model, "version": lambda part: part.version,
    "milliseconds": lambda part: part.milliseconds, "picture": lambda part: part.picture, "id": lambda part: part.key,
}
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _batches(engine: Engine, query: Query) -> Iterator[list[Part]]:
    """Parts of a search, the last one first; what comes meanwhile is not among them."""
    while True:
        found = search(engine, query, AT_A_TIME)
        if not found:
            return
        yield [part for _, part in found]
        query = replace(query, before_id=found[-1][0])


def csv_pieces(engine: Engine, query: Query) -> Iterator[bytes]:
    """A csv in pieces: UTF-8 with a mark that tells Excel so, the header first, the last part first.

    A text that a table program would take for a formula begins with an apostrophe: names of files and part numbers
    are strangers'.
    """
    yield b"\xef\xbb\xbf" + _lines([list(COLUMNS)])
    for parts in _batches(engine, query):
        yield _lines([[_plain(value(part)) for value in COLUMNS.values()] for part in parts])


def _plain(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def _lines(rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8")


def write_parquet(engine: Engine, query: Query, path: Path) -> None:
    """Write a Parquet file with the columns of the csv; `taken` is a timestamp in UTC, texts are as they came."""
    import pyarrow as pa  # late: a line that exports nothing needs no memory for it
    import pyarrow.parquet as pq

    kinds = {"taken": pa.timestamp("ms", "UTC"), "milliseconds": pa.float64()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    values = {**COLUMNS, "taken": lambda part: part.taken_ms}
    with pq.ParquetWriter(path, schema) as writer:
        for parts in _batches(engine, query):
            writer.write_table(pa.table([pa.array([values[name](part) for part in parts], schema.field(name).type)
                                         for name in COLUMNS], schema=schema))
