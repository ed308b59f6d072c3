"""Work for threads, in order and a little ahead of who takes the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

Made = TypeVar("Made")


def ahead(make: Callable[[int], Made], count: int, workers: int) -> Iterator[Made]:
    """`make(0)`, `make(1)`, … made by threads, a few ahead of who takes them, so that few lie in memory."""
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[Future[Made]] = deque()
        for index in range(count):
            waiting.append(pool.submit(make, index))
            if len(waiting) > workers + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
