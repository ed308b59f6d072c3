"""Limits on requests: how many may be inside at once, how many bytes they may hold, how long each may take."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from ..core.errors import ServiceError

__all__ = ["Gate"]

T = TypeVar("T")


class Gate:
    """Passes work on to a few threads, and refuses work that would have to wait too long.

    Args:
        limit: number of requests inside at once, running or waiting.
        threads: number of threads that work.
        most_bytes: bytes that all request bodies in memory may have together.
    """

    def __init__(self, limit: int, threads: int, most_bytes: int) -> None:
        self.limit, self.threads, self.most_bytes = limit, threads, most_bytes
        self.inside = self.held = 0
        self._mean_seconds = 0.1
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, "image")

    def check(self) -> None:
        """Refuse a request while `limit` others are inside.

        Raises:
            ServiceError: there is no room (503); it says after how many seconds there may be.
        """
        if self.inside >= self.limit:
            raise self._busy(f"{self.inside} requests are waiting already", f"at most {self.limit}")

    def _busy(self, what: str, expected: str) -> ServiceError:
        seconds = max(1, math.ceil(self._mean_seconds * self.inside / self.threads))
        return ServiceError(what, expected, f"ask again in {seconds} s", 503, seconds)

    @contextmanager
    def holding(self) -> Iterator[Callable[[int], None]]:
        """Give a function to call with the number of bytes of each piece that came in; at the end they are free again.

        The function raises ServiceError (503) where all bodies together become larger than `most_bytes`.
        """
        mine = 0

        def more(count: int) -> None:
            nonlocal mine
            with self._lock:  # images are fetched in threads
                mine += count
                self.held += count
            if self.held > self.most_bytes:
                raise self._busy(f"{self.held} bytes of requests are in memory", f"at most {self.most_bytes}")

        try:
            yield more
        finally:
            with self._lock:
                self.held -= mine

    async def run(self, work: Callable[[], T], timeout: float) -> T:
        """Have a thread do `work`, and return its result.

        Args:
            work: called without arguments.
            timeout: seconds that it may wait and take together.

        Raises:
            ServiceError: no room (503), or not done in time (504); work that has not begun by then is dropped.
        """
        with self._lock:
            self.check()
            self.inside += 1
        future = self._pool.submit(self._timed, work)
        future.add_done_callback(self._leave)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
        except asyncio.TimeoutError:
            raise ServiceError(f"the answer was not ready after {timeout:g} s", "an answer in time",
                               "send a smaller image, or raise SS_POC_TIMEOUT", 504) from None

    def _timed(self, work: Callable[[], T]) -> T:
        started = time.perf_counter()
        try:
            return work()
        finally:
            self._mean_seconds += 0.1 * (time.perf_counter() - started - self._mean_seconds)

    def _leave(self, _: Future[T]) -> None:
        with self._lock:
            self.inside -= 1
