"""The progress bar of a training, over all epochs or over the budget; lines where the output is no terminal."""

from __future__ import annotations

import time
from typing import Any

from tqdm import tqdm

from ..core.config import TrainConfig
from .schedule import TimeSchedule

__all__ = ["Bar"]


class Bar:
    """One bar for a whole training.

    Args:
        config: says how many epochs at most.
        steps: of an epoch.
    """

    def __init__(self, config: TrainConfig, steps: int) -> None:
        self._config, self._steps = config, steps
        self._bar: tqdm | None = None
        self._ends = [time.monotonic()]

    def open(self, epochs_done: int, by_time: TimeSchedule | None) -> None:
        if self._bar is not None:
            return
        if by_time:
            self._bar = tqdm(total=round(by_time.budget), initial=round(by_time.clock.seconds()), unit="s",
                             desc="train", disable=None, dynamic_ncols=True, bar_format=
                             "{desc}: {percentage:3.0f}%|{bar}| {n:.0f} of {total:.0f} s {postfix}")
        else:
            self._bar = tqdm(total=self._steps * self._config.epoch, initial=self._steps * epochs_done, unit="step",
                             desc="train", disable=None, dynamic_ncols=True)

    def step(self, by_time: TimeSchedule | None) -> None:
        assert self._bar is not None
        self._bar.update(max(0.0, by_time.clock.seconds() - self._bar.n) if by_time else 1)

    def line(self, row: dict[str, Any], by_time: TimeSchedule | None) -> None:
        assert self._bar is not None
        self._ends.append(time.monotonic())
        epoch = f"epoch {row['epoch']}" + ("" if by_time else f"/{self._config.epoch}")
        left = f"{tqdm.format_interval(max(0, by_time.budget - by_time.clock.seconds()))} left" if by_time else \
            f"at most {self._left(row['epoch'])} left"
        text = (f"{epoch}  loss {row['loss']:.4f}  val_loss {row['val_loss']:.4f}  val_dice {row['val_dice']:.3f}  "
                f"val_iou {row['val_iou']:.3f}  {left}")
        if self._bar.disable:
            print(text, flush=True)
        else:
            self._bar.write(text)

    def _left(self, epoch: int) -> str:
        """Time that the remaining epochs take at the pace so far; the first, which is slow, does not count."""
        counted = self._ends[1:] if len(self._ends) > 2 else self._ends
        pace = (counted[-1] - counted[0]) / max(1, len(counted) - 1)
        return str(tqdm.format_interval(pace * (self._config.epoch - epoch)))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
