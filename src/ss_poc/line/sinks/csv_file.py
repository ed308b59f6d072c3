"""A csv that grows by a line for each part; alarms go to one beside it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..outbox import Item
from ..settings import CsvSink

__all__ = ["COLUMNS", "CsvFile"]

COLUMNS = ("taken", "line", "source", "name", "part", "lot", "verdict", "reasons", "found", "model", "version",
           "milliseconds", "id")
ALARM_COLUMNS = ("time", "line", "alarm", "source", "active", "text", "id")


class CsvFile:
    """A sink: see the module. A line is whole or not there."""

    wants_pictures, at_a_time = False, 50

    def __init__(self, settings: CsvSink) -> None:
        self.name, self._path = settings.name, settings.path

    def deliver(self, items: Sequence[Item]) -> None:
        """Append a line for each item."""
        _append(self._path, COLUMNS, [_cells(item.message) for item in items if item.message["type"] == "part"])
        _append(self._path.with_stem(f"{self._path.stem}-alarms"), ALARM_COLUMNS,
                [[item.message[name] for name in ALARM_COLUMNS] for item in items if item.message["type"] == "alarm"])

    def close(self) -> None:
        """Nothing is held."""


def _cells(message: dict[str, Any]) -> list[Any]:
    found = "; ".join(f"{item['label']} {item['objects']} {item['area']}" for item in message["found"])
    special = {"reasons": "; ".join(message["reasons"]), "found": found, "model": message["model"]["name"],
               "version": message["model"]["version"]}
    return [special.get(name, message.get(name)) for name in COLUMNS]


def _append(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    if not rows:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    with path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            writer.writerow(columns)
        else:
            file.seek(size - 1)
            if file.read(1) != b"\n":  # a line that a power cut left half is ended
                text.write("\n")
        writer.writerows(rows)
        try:
            file.write(text.getvalue().encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), size)
            raise
