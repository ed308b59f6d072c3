"""News of new parts, for those who wait for them."""

from __future__ import annotations

import threading

__all__ = ["News"]


class News:
    """Counts parts that are new, and wakes who waits.

    Attributes:
        closed: whether no more will come.
    """

    def __init__(self) -> None:
        self._changed, self._number, self.closed = threading.Condition(), 0, False

    def tell(self) -> None:
        """Something new is in the archive."""
        with self._changed:
            self._number += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def wait(self, seen: int, seconds: float) -> int:
        """Wait for something newer than `seen`, or so many seconds; the number to wait for more with."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed or self._number != seen, seconds)
            return self._number
