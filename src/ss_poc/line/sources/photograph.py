"""What a source gives to the line, and what the line tells it back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Photograph", "Put", "Source"]


def _nothing() -> None:
    return None


def _never() -> bool:
    return False


@dataclass
class Photograph:
    """One photograph on its way.

    Attributes:
        source: name of its source.
        name: of the photograph, within its source.
        data: the image file's content.
        taken_ms: milliseconds since 1970, UTC.
        part, lot: numbers, where they are known.
        stamp: size and time of its file; "" where it has none.
        missing: why there is no photograph, and `data` is empty: the part is an error.
        finish: called once it is archived: its source may put it away.
        changed: whether its file is no longer what was read, because somebody still wrote it.
        again: called in place of `finish` where it is to be read once more.
    """

    source: str
    name: str
    data: bytes
    taken_ms: int
    part: str | None = None
    lot: str | None = None
    stamp: str = ""
    missing: str = ""
    finish: Callable[[], None] = _nothing
    changed: Callable[[], bool] = _never
    again: Callable[[], None] = _nothing


# Gives a photograph to the line; waits while the line is busy; False where the line stops and does not take it.
Put = Callable[[Photograph], bool]


class Source(Protocol):
    """Something that photographs come from.

    Attributes:
        name: of the source.
        trouble: why nothing comes from it now; "" where all is well.
    """

    name: str
    trouble: str

    def start(self, put: Put) -> None:
        """Begin to give photographs, in a thread of its own."""

    def stop(self) -> None:
        """End that thread."""
