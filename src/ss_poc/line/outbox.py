"""What a sink has not taken yet: a queue on disk, in order, that survives the line and the sink's peer.

Verdicts are never dropped. Pictures have a limit: above it the oldest go first, and their messages say so.
"""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..core.errors import SegmentError
from .parts import VERDICTS

__all__ = ["Delivery", "Item", "Outbox", "Sink", "SinkError"]

LOG = logging.getLogger("ss_poc.line")
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 15.0  # seconds
TABLES = """
CREATE TABLE IF NOT EXISTS items (
    number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, message TEXT NOT NULL, regions TEXT NOT NULL,
    picture_bytes INTEGER NOT NULL, dropped INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS pictures (
    number INTEGER PRIMARY KEY REFERENCES items ON DELETE CASCADE, picture BLOB NOT NULL);
"""


class SinkError(SegmentError):
    """A sink's peer does not take anything now."""


@dataclass(frozen=True)
class Item:
    """What is sent to a sink.

    Attributes:
        key: of the part or the alarm; the same for each try.
        message: JSON, see `Part.message`; `type` is "part" or "alarm".
        regions: what the service marked, see `Part.regions`; empty for sinks that want no pictures.
        picture: the photograph's file; b"" for sinks that want none, and where it was dropped.
    """

    key: str
    message: dict[str, Any]
    regions: dict[str, Any] = field(default_factory=dict)
    picture: bytes = b""

    def payload(self) -> bytes:
        """The message as JSON, with the regions and the photograph in base64 where there are any."""
        message = self.message
        if self.picture:
            message = {**message, "regions": self.regions, "photograph": base64.b64encode(self.picture).decode()}
        return json.dumps(message, ensure_ascii=False).encode("utf-8")


class Sink(Protocol):
    """Somebody who is told of parts and alarms.

    Attributes:
        name: of the sink.
        wants_pictures: whether items carry photograph and regions.
        at_a_time: how many items it is handed at once.
    """

    name: str
    wants_pictures: bool
    at_a_time: int

    def deliver(self, items: Sequence[Item]) -> None:
        """Hand items over, in order. Where this raises, all of them are handed over again.

        Raises:
            SinkError: the peer does not take them now.
        """

    def close(self) -> None:
        """Give back what is held."""


class Outbox:
    """The queue of one sink, in a file of its own.

    Args:
        path: of the file.
        name: of the sink.
        wants_pictures: whether pictures are kept.
        megabytes: of pictures at most.
    """

    def __init__(self, path: Path, name: str, wants_pictures: bool, megabytes: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.name, self.wants_pictures, self._most = name, wants_pictures, int(megabytes * 1e6)
        self._database = sqlite3.connect(path, timeout=10, check_same_thread=False)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "auto_vacuum=INCREMENTAL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(TABLES)
        self._lock, self.filled = threading.Lock(), threading.Event()

    def close(self) -> None:
        """Close the file; what is in it stays."""
        with self._lock:
            self._database.close()

    def put(self, items: Sequence[Item]) -> None:
        """Queue items, all or none; one whose key is in the queue already is not queued again.

        Raises:
            sqlite3.Error: the disk is full, or the file cannot be written.
        """
        with self._lock, self._database:
            for item in items:
                picture = item.picture if self.wants_pictures else b""
                regions = json.dumps(item.regions if self.wants_pictures else {})
                added = self._database.execute(
                    "INSERT OR IGNORE INTO items (key, message, regions, picture_bytes) VALUES (?, ?, ?, ?)",
                    (item.key, json.dumps(item.message, ensure_ascii=False), regions, len(picture)))
                if added.rowcount == 1 and picture:
                    self._database.execute("INSERT INTO pictures VALUES (?, ?)", (added.lastrowid, picture))
            dropped = self._drop_oldest()
        if dropped:
            LOG.warning("sink %s: its queue is full: the oldest %d pictures were dropped, verdicts stay", self.name,
                        dropped)
        self.filled.set()

    def _drop_oldest(self) -> int:
        dropped = 0
        total = int(self._database.execute("SELECT total(picture_bytes) FROM items").fetchone()[0])
        while total > self._most:
            number, size = self._database.execute(
                "SELECT number, picture_bytes FROM items WHERE picture_bytes > 0 ORDER BY number LIMIT 1").fetchone()
            self._database.execute("DELETE FROM pictures WHERE number = ?", (number,))
            self._database.execute("UPDATE items SET picture_bytes = 0, dropped = 1 WHERE number = ?", (number,))
            total, dropped = total - size, dropped + 1
        if dropped:
            self._database.execute("PRAGMA incremental_vacuum")
        return dropped

    def first(self, count: int = 50) -> list[tuple[int, Item]]:
        """The oldest items, with their numbers; the message of one that lost its picture says `picture_dropped`."""
        with self._lock:
            rows = self._database.execute(
                "SELECT number, key, message, regions, dropped, picture FROM items LEFT JOIN pictures USING (number) "
                "ORDER BY number LIMIT ?", (count,)).fetchall()
            if not rows:
                self.filled.clear()
        return [(number, Item(key, {**json.loads(message), **({"picture_dropped": True} if dropped else {})},
                              json.loads(regions), picture or b""))
                for number, key, message, regions, dropped, picture in rows]

    def remove(self, numbers: Sequence[int]) -> None:
        """Take items out that were delivered."""
        with self._lock, self._database:
            self._database.executemany("DELETE FROM items WHERE number = ?", [(number,) for number in numbers])

    def __len__(self) -> int:
        with self._lock:
            return int(self._database.execute("SELECT count(*) FROM items").fetchone()[0])


class Delivery:
    """The thread that empties an outbox into its sink, for as long as it takes.

    Args:
        outbox: what it empties.
        sink: into this.
        verdicts: parts with others are not told.

    Attributes:
        trouble: why nothing is delivered now; "" where all is well.
    """

    def __init__(self, outbox: Outbox, sink: Sink, verdicts: Sequence[str] = VERDICTS) -> None:
        self.outbox, self.sink, self.verdicts, self.trouble = outbox, sink, verdicts, ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink {sink.name}", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self, seconds: float = 5) -> None:
        """End: what is being delivered may take so many seconds more, the rest stays in the outbox."""
        self._stopping.set()
        self.outbox.filled.set()
        self._thread.join(seconds)
        self.sink.close()
        if not self._thread.is_alive():
            self.outbox.close()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            try:
                done = self._deliver()
            except Exception as error:  # whatever a library raises: the line goes on, and this sink is tried again
                self._say(error)
                self._stopping.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            if not done:
                self.outbox.filled.wait()

    def _deliver(self) -> int:
        found = self.outbox.first(self.sink.at_a_time)
        if found:
            self.sink.deliver([item for _, item in found])
            self.outbox.remove([number for number, _ in found])
            if self.trouble:
                LOG.info("sink %s: it takes messages again", self.sink.name)
            self.trouble = ""
        return len(found)

    def _say(self, error: Exception) -> None:
        if not self.trouble:
            known = isinstance(error, (SinkError, OSError, sqlite3.Error))
            LOG.warning("sink %s: %s; it is tried again", self.sink.name, error, exc_info=None if known else error)
        self.trouble = str(error) or type(error).__name__
