"""ss_poc.training.progress_bar: how long a training still takes, as its lines say it."""

from __future__ import annotations

import time

import pytest

from ss_poc.core.config import TrainConfig
from ss_poc.training.progress_bar import Bar
from ss_poc.training.schedule import Clock, TimeSchedule

ROW = {"loss": 0.5, "val_loss": 0.4, "val_dice": 0.8, "val_iou": 0.7}


@pytest.fixture
def now(monkeypatch):
    """A clock that stands still until it is set."""
    value = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: value[0])
    return value


def line(bar: Bar, epoch: int, by_time: TimeSchedule | None, capsys: pytest.CaptureFixture) -> str:
    bar.line({**ROW, "epoch": epoch}, by_time)
    return str(capsys.readouterr().out).strip()


@pytest.mark.parametrize(("seconds", "left"), [(40, "14:20"), (60, "14:00"), (890, "00:10"), (905, "00:00")])
def test_with_a_budget_what_is_left_of_it_is_left_from_the_first_epoch_on(now, capsys, seconds, left):
    bar, by_time = Bar(TrainConfig(budget="15m"), steps=10), TimeSchedule(0.001, 900, Clock(0.0))
    bar.open(0, by_time)
    now[0] = seconds
    assert line(bar, 1, by_time, capsys) == \
        f"epoch 1  loss 0.5000  val_loss 0.4000  val_dice 0.800  val_iou 0.700  {left} left"
    bar.close()


def test_a_resumed_budget_counts_what_was_used_before(now, capsys):
    bar, by_time = Bar(TrainConfig(budget="15m"), steps=10), TimeSchedule(0.001, 900, Clock(0.0, before=600.0))
    bar.open(7, by_time)
    now[0] = 60
    assert line(bar, 8, by_time, capsys).endswith("04:00 left")
    bar.close()


def test_without_a_budget_the_pace_of_the_epochs_after_the_slow_first_tells(now, capsys):
    bar = Bar(TrainConfig(epoch=6), steps=10)
    bar.open(0, None)
    said = []
    for epoch, seconds in enumerate((30, 40, 50), start=1):
        now[0] = seconds
        said.append(line(bar, epoch, None, capsys))
    # five more at 30 seconds, as far as is known; then four and three at 10
    assert [text.split("  ")[-1] for text in said] == ["at most 02:30 left", "at most 00:40 left", "at most 00:30 left"]
    assert said[2].startswith("epoch 3/6  ")
    bar.close()
