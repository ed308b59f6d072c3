"""ss_poc.serving.admission: a gate that never lets work wait without end."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from ss_poc.core.errors import ServiceError
from ss_poc.serving.admission import Gate


def test_work_is_done_and_its_result_or_error_comes_back():
    gate = Gate(2, 1, 100)

    def broken() -> None:
        raise KeyError("x")

    assert asyncio.run(gate.run(lambda: 7, 5)) == 7
    with pytest.raises(KeyError):
        asyncio.run(gate.run(broken, 5))
    assert gate.inside == 0


def test_one_more_than_the_limit_is_turned_away_at_once_and_told_when_to_come_back():
    async def scene() -> ServiceError:
        gate, hold = Gate(2, 1, 100), threading.Event()
        waiting = [asyncio.create_task(gate.run(lambda: hold.wait(5), 5)) for _ in range(2)]
        await asyncio.sleep(0.05)
        started = time.perf_counter()
        with pytest.raises(ServiceError) as caught:
            await gate.run(lambda: None, 5)
        assert time.perf_counter() - started < 0.1
        hold.set()
        await asyncio.gather(*waiting)
        assert await gate.run(lambda: "free again", 5) == "free again"
        return caught.value

    error = asyncio.run(scene())
    assert error.status == 503 and error.retry_after >= 1


def test_work_that_takes_too_long_is_given_up_and_keeps_its_place_until_it_ends():
    async def scene() -> None:
        gate, hold = Gate(1, 1, 100), threading.Event()
        with pytest.raises(ServiceError) as caught:
            await gate.run(lambda: hold.wait(5), 0.1)
        assert caught.value.status == 504 and gate.inside == 1
        hold.set()
        for _ in range(100):
            if not gate.inside:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("its place was never given back")

    asyncio.run(scene())


def test_work_given_up_before_it_began_is_never_done():
    async def scene() -> list[str]:
        gate, hold, done = Gate(2, 1, 100), threading.Event(), []
        first = asyncio.create_task(gate.run(lambda: hold.wait(5), 5))
        await asyncio.sleep(0.05)
        with pytest.raises(ServiceError):
            await gate.run(lambda: done.append("late"), 0.05)
        hold.set()
        await first
        await asyncio.sleep(0.05)
        assert gate.inside == 0
        return done

    assert asyncio.run(scene()) == []


def test_bodies_in_memory_are_bounded_together_and_let_go():
    gate = Gate(5, 1, 100)
    with gate.holding() as first:
        first(60)
        with pytest.raises(ServiceError) as caught, gate.holding() as second:
            second(40)
            second(1)
        assert caught.value.status == 503 and gate.held == 60
    assert gate.held == 0
