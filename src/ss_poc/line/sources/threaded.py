"""A source whose work is one thread."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod

from .photograph import Put

__all__ = ["ThreadedSource"]


class ThreadedSource(ABC):
    """Others inherit `_run`, which ends soon after `_stopping` is set.

    Args:
        name: of the source.
    """

    def __init__(self, name: str) -> None:
        self.name, self.trouble = name, ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, put: Put) -> None:
        """Begin to give photographs."""
        self._thread = threading.Thread(target=self._run, args=(put,), name=f"source {self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; a photograph that the line has not taken yet stays where it is."""
        self._stopping.set()
        if self._thread:
            self._thread.join()

    @abstractmethod
    def _run(self, put: Put) -> None:
        """Give photographs until `_stopping` is set."""
