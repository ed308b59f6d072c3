"""How long requests wait in several replicas: a simulation that benchmarks/replicas.py feeds with measured times."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Replica:
    """A service: some requests are worked on side by side, others wait.

    Attributes:
        running: seconds of work that are left of each request, and its number.
        waiting: seconds of work of each request that waits, and its number.
    """

    running: list[list[float]] = field(default_factory=list)
    waiting: deque[list[float]] = field(default_factory=deque)

    @property
    def inside(self) -> int:
        """What the gauge segment_queue says."""
        return len(self.running) + len(self.waiting)


@dataclass(frozen=True)
class Found:
    """What a simulation found.

    Attributes:
        seconds: from a request to its answer, for each that was answered.
        refused: fraction that was told to come back (503).
        inside: mean number of requests inside a replica, over time.
    """

    seconds: np.ndarray
    refused: float
    inside: float


Seconds = Sequence[float] | np.ndarray
Speed = Callable[[int, int], float]


def simulate(arrivals: Seconds, work: Seconds, replicas: int, slots: int, speed: Speed,
             by: str = "random", limit: int = 32, seed: int = 0) -> Found:
    """Let requests through replicas.

    Args:
        arrivals: second at which each request comes, in order.
        work: seconds that each takes where it is alone.
        replicas: number of replicas.
        slots: requests that a replica works on side by side; more wait.
        speed: how fast one request gets on, 1 where it is alone, by the number worked on in its replica and in all
            others.
        by: which replica a request goes to: `random`, or `fewest` requests inside.
        limit: requests inside a replica, above which more are refused.
        seed: of the random choice.
    """
    chance, all_replicas = random.Random(seed), [Replica() for _ in range(replicas)]
    ends, now, area, coming = dict[int, float](), 0.0, 0.0, 0
    while coming < len(arrivals) or any(replica.running for replica in all_replicas):
        total = sum(len(replica.running) for replica in all_replicas)
        speeds = [speed(len(replica.running), total - len(replica.running)) for replica in all_replicas]
        step = min((min(replica.running)[0] / rate for replica, rate in zip(all_replicas, speeds, strict=True)
                    if replica.running), default=float("inf"))
        arrives = coming < len(arrivals) and arrivals[coming] - now <= step
        if arrives:
            step = arrivals[coming] - now
        now += step
        area += step * sum(replica.inside for replica in all_replicas)
        for replica, rate in zip(all_replicas, speeds, strict=True):
            for request in replica.running:
                request[0] -= step * rate
        if arrives:
            _enter(_choose(all_replicas, by, chance), [work[coming], coming], slots, limit)
            coming += 1
        for replica in all_replicas:
            _leave(replica, slots, ends, now)
    seconds = np.array([end - arrivals[number] for number, end in ends.items()])
    return Found(seconds, 1 - len(ends) / max(1, len(arrivals)), area / max(now, 1e-9) / replicas)


def _choose(replicas: Sequence[Replica], by: str, chance: random.Random) -> Replica:
    if by == "random":
        return chance.choice(replicas)
    fewest = min(replica.inside for replica in replicas)
    return chance.choice([replica for replica in replicas if replica.inside == fewest])


def _enter(replica: Replica, request: list[float], slots: int, limit: int) -> None:
    if replica.inside < limit:
        (replica.running if len(replica.running) < slots else replica.waiting).append(request)


def _leave(replica: Replica, slots: int, ends: dict[int, float], now: float) -> None:
    for request in [request for request in replica.running if request[0] <= 1e-12]:
        replica.running.remove(request)
        ends[int(request[1])] = now
    while replica.waiting and len(replica.running) < slots:
        replica.running.append(replica.waiting.popleft())


def poisson(rate: float, count: int, seed: int) -> np.ndarray:
    """Seconds at which `count` requests come, independently of each other, `rate` a second on average."""
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))
