"""How far a training is, and the learning rate that goes with it: laid out over epochs or over the wall clock."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

__all__ = ["Clock", "EpochSchedule", "Plateaus", "TimeSchedule"]

# Fraction of the training in which the learning rate rises to its highest, and the fraction of that it ends with.
WARM_UP, LAST_FRACTION = 0.05, 0.01
# Seconds kept back of a budget for what has not been measured yet: a first validation, writing the model.
FIRST_RESERVE = 12.0
# What was measured may take this much longer the last time.
SAFETY = 1.3
# Epochs without a new best one after which the learning rate is halved.
PLATEAU_PATIENCE = 5


class Clock:
    """Seconds since the command began, those of an interrupted run before it included.

    Args:
        started: `time.monotonic()` of when the command began.
        before: seconds that the interrupted run took.
    """

    def __init__(self, started: float, before: float = 0.0) -> None:
        self._started, self.before = started, before

    def seconds(self) -> float:
        return time.monotonic() - self._started + self.before


class EpochSchedule:
    """Warm-up over the first steps, then the highest rate, halved whenever `plateaus` grows.

    Args:
        lr: highest learning rate.
        warm_steps: steps of the warm-up.
    """

    def __init__(self, lr: float, warm_steps: int) -> None:
        self._lr, self._warm_steps = lr, warm_steps

    def rate(self, step: int, plateaus: int) -> float:
        """Learning rate of a step, counted from 0 over all epochs."""
        return max(self._lr * 1e-3, self._lr * 0.5**plateaus) * min(1.0, (step + 1) / max(1, self._warm_steps))


@dataclass
class Plateaus:
    """How often the training came to a plateau: PLATEAU_PATIENCE epochs without a new best one.

    Attributes:
        count: plateaus so far.
        since: epochs without a new best one since the last plateau.
    """

    count: int = 0
    since: int = 0

    def after(self, best: bool) -> None:
        """Count an epoch; `best`: whether it is the best so far."""
        self.since = 0 if best else self.since + 1
        if self.since >= PLATEAU_PATIENCE:
            self.since, self.count = 0, self.count + 1


class TimeSchedule:
    """Linear warm-up, then half a cosine down to almost nothing (Loshchilov & Hutter 2017, arXiv 1608.03983), over the
    time that a budget leaves for steps.

    Args:
        lr: highest learning rate.
        budget: seconds for the whole command.
        clock: what time it is.
    """

    def __init__(self, lr: float, budget: float, clock: Clock) -> None:
        self._lr, self.budget, self.clock = lr, budget, clock
        self.first: float | None = None  # when the first step began, of an interrupted run too
        self._closing = min(FIRST_RESERVE, budget / 5)

    def took(self, validation: float, writing: float) -> None:
        """Learn how long a validation and writing the model took last time: both come once more at the end."""
        self._closing = SAFETY * (validation + writing) + 0.3

    def progress(self) -> float:
        """0 at the first step, 1 when the last validation must begin."""
        now = self.clock.seconds()
        if self.first is None:
            self.first = now
        return min(1.0, (now - self.first) / max(1e-9, self.budget - self._closing - self.first))

    def over(self) -> bool:
        """Whether steps must end now."""
        return self.clock.seconds() >= self.budget - self._closing

    def rate(self) -> float:
        """Learning rate of the step that begins now."""
        progress = self.progress()
        if progress < WARM_UP:
            return self._lr * max(0.02, progress / WARM_UP)
        falling = (progress - WARM_UP) / (1 - WARM_UP)
        return self._lr * (LAST_FRACTION + (1 - LAST_FRACTION) * 0.5 * (1 + math.cos(math.pi * falling)))
