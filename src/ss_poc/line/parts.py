"""A part: one photograph, what was decided about it, and how that is told to others."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

__all__ = ["VERDICTS", "Part", "identify", "part_and_lot", "storable", "when"]

# "error": nothing could be decided, because the photograph cannot be read or the rules do not fit it.
VERDICTS = ("accept", "warn", "reject", "error")


@dataclass(frozen=True)
class Part:
    """One part, as the archive keeps it.

    Attributes:
        key: what tells photographs apart, see `identify`.
        line, source: names of the line and of its source.
        name: of the photograph, within its source.
        taken_ms: when the photograph was taken, in milliseconds since 1970, UTC.
        verdict: one of VERDICTS.
        reasons: why, in words.
        measurements: what was measured, as JSON.
        found: for each class that was found its number of objects and their area in pixels.
        regions: what the service marked: `size` (H, W), and of each class `labels`, `colors` and `rle`.
        part, lot: numbers, where they are known.
        model, version: what decided.
        milliseconds: from the photograph's arrival to the service's answer.
        picture: path of the kept picture below the archive's folder; "" for none.
        picture_bytes: its size.
        stamp: size and time of the file, where the photograph is one: a folder knows it again.
    """

    key: str
    line: str
    source: str
    name: str
    taken_ms: int
    verdict: str
    reasons: tuple[str, ...] = ()
    measurements: tuple[Any, ...] = ()
    found: dict[str, tuple[int, int]] = field(default_factory=dict)
    regions: dict[str, Any] = field(default_factory=dict)
    part: str | None = None
    lot: str | None = None
    model: str = ""
    version: str = ""
    milliseconds: float = 0.0
    picture: str = ""
    picture_bytes: int = 0
    stamp: str = ""

    def message(self) -> dict[str, Any]:
        """What sinks send: JSON, without the outlines."""
        return {"type": "part", "id": self.key, "line": self.line, "source": self.source, "name": self.name,
                "part": self.part, "lot": self.lot, "verdict": self.verdict, "reasons": list(self.reasons),
                "measurements": list(self.measurements),
                "found": [{"label": label, "objects": objects, "area": area}
                          for label, (objects, area) in self.found.items()],
                "model": {"name": self.model, "version": self.version}, "taken": when(self.taken_ms),
                "milliseconds": self.milliseconds, "picture": self.picture}


def when(milliseconds: int) -> str:
    """A time in milliseconds since 1970 as ISO 8601, UTC: `2026-11-28T14:03:05.120Z`."""
    moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"


def identify(source: str, name: str, data: bytes) -> str:
    """The key of a photograph: 64 hex digits of its content, its name and the name of its source.

    The same file seen twice has one key. Two parts have two, even if their photographs are alike to the last byte.
    """
    digest = hashlib.sha256(data).hexdigest()
    return hashlib.sha256("\0".join((source, name, digest)).encode("utf-8", "surrogatepass")).hexdigest()


def part_and_lot(pattern: re.Pattern[str] | None, name: str) -> tuple[str | None, str | None]:
    """Part and lot number that a name tells, by the groups `part` and `lot` of a pattern; None for unknown."""
    found = pattern.search(name) if pattern else None
    groups = found.groupdict() if found else {}
    return groups.get("part"), groups.get("lot")


def storable(text: str) -> str:
    """A text as every database takes it: without NUL, and without halves of characters."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
