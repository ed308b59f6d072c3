"""ss_poc.training.schedule: learning rate and end of a training, by epochs and by the clock."""

from __future__ import annotations

import time

import pytest

from ss_poc.training.schedule import Clock, EpochSchedule, TimeSchedule


class SetClock(Clock):
    """A clock that shows what it is set to."""

    def __init__(self, now: float = 0.0, before: float = 0.0) -> None:
        super().__init__(0.0, before)
        self.now = now

    def seconds(self) -> float:
        return self.now


def by_time(budget: float = 100.0, began: float = 10.0, before: float = 0.0) -> tuple[TimeSchedule, SetClock]:
    """A schedule with a highest rate of 1 whose first step was at `began`."""
    clock = SetClock(began, before)
    schedule = TimeSchedule(1.0, budget, clock)
    schedule.rate()
    return schedule, clock


# --- clock


def test_clock_counts_from_the_start_of_the_command_and_what_was_before(monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 112.5)
    assert Clock(100.0).seconds() == 12.5
    clock = Clock(100.0, before=30.0)
    assert clock.seconds() == 42.5
    clock.before = 7.5  # known once the checkpoint is read
    assert clock.seconds() == 20.0


def test_clock_goes_on():
    clock = Clock(time.monotonic())
    first = clock.seconds()
    assert 0 <= first <= clock.seconds() < 60


# --- by epochs


@pytest.mark.parametrize(("step", "plateaus", "expected"), [
    (0, 0, 0.025), (1, 0, 0.05), (3, 0, 0.1), (4, 0, 0.1), (10**6, 0, 0.1),  # a quarter more a step, then the highest
    (50, 1, 0.05), (50, 3, 0.0125), (0, 1, 0.0125), (50, 9, 0.1 / 512), (50, 10, 1e-4), (50, 99, 1e-4)])
def test_rate_rises_over_the_warm_up_and_is_halved_at_each_plateau_down_to_a_thousandth(step, plateaus, expected):
    assert EpochSchedule(0.1, 4).rate(step, plateaus) == pytest.approx(expected)


@pytest.mark.parametrize("warm_steps", [0, 1])
def test_without_a_warm_up_the_first_step_has_the_highest_rate(warm_steps):
    assert EpochSchedule(0.1, warm_steps).rate(0, 0) == pytest.approx(0.1)


# --- by time: of 100 s 12 are kept for the end; steps from 10 s on have 78


@pytest.mark.parametrize(("now", "expected"), [(10, 0.0), (49, 0.5), (68.5, 0.75), (88, 1.0), (95, 1.0), (1000, 1.0)])
def test_progress_runs_from_the_first_step_to_the_last_validation(now, expected):
    schedule, clock = by_time()
    clock.now = now
    assert schedule.progress() == pytest.approx(expected)


@pytest.mark.parametrize(("progress", "expected"), [
    (0.0, 0.02), (0.0005, 0.02), (0.025, 0.5), (0.04, 0.8),  # linear warm-up over a twentieth
    (0.05, 1.0),
    (0.2875, 0.01 + 0.99 * 0.853553),  # a quarter of the way down: (1 + cos 45°) / 2
    (0.525, 0.505),  # half way: (1 + cos 90°) / 2
    (0.7625, 0.01 + 0.99 * 0.146447),
    (1.0, 0.01)])
def test_rate_warms_up_and_falls_along_half_a_cosine_to_a_hundredth(progress, expected):
    schedule, clock = by_time()
    clock.now = 10 + 78 * progress
    assert schedule.rate() == pytest.approx(expected, abs=1e-5)


def test_rate_is_a_part_of_the_highest_and_never_rises_after_the_warm_up():
    schedule = TimeSchedule(0.004, 100.0, clock := SetClock(10.0))
    rates = []
    for now in range(10, 121):
        clock.now = now
        rates.append(schedule.rate())
    assert max(rates) == pytest.approx(0.004, rel=0.01) and min(rates) == pytest.approx(0.00004)
    assert rates[4:] == sorted(rates[4:], reverse=True)


@pytest.mark.parametrize(("budget", "last"), [(100, 88), (60, 48), (20, 16), (7200, 7188)])
def test_before_anything_is_measured_twelve_seconds_or_a_fifth_are_kept_for_the_end(budget, last):
    schedule, clock = by_time(budget, began=1.0)
    clock.now = last - 0.01
    assert not schedule.over()
    clock.now = last
    assert schedule.over()


def test_what_validation_and_writing_took_is_kept_for_the_end_with_some_reserve():
    schedule, clock = by_time()
    schedule.took(validation=2.0, writing=1.0)  # 1.3 * 3 + 0.3 = 4.2
    clock.now = 95.7
    assert not schedule.over() and schedule.progress() < 1
    clock.now = 95.8
    assert schedule.over() and schedule.progress() == pytest.approx(1)
    schedule.took(validation=20.0, writing=10.0)  # 39.3: it got slower
    clock.now = 60.8
    assert schedule.over()


def test_progress_when_the_first_step_comes_after_the_time_is_over():
    schedule, clock = by_time(budget=20.0, began=30.0)
    clock.now = 31.0
    assert schedule.over() and schedule.progress() == 1.0
    assert schedule.rate() == pytest.approx(0.01)


def test_a_resumed_run_goes_on_down_the_cosine_without_another_warm_up():
    schedule, clock = by_time(began=50.0, before=44.0)
    schedule.first = 0.0  # of the run that was interrupted
    assert schedule.progress() == pytest.approx(50 / 88)
    assert schedule.rate() == pytest.approx(0.43455, abs=1e-4)  # 0.54545 of the way: (1 + cos 98.18°) / 2 = 0.42884
    clock.now = 88.0
    assert schedule.over() and schedule.rate() == pytest.approx(0.01)
