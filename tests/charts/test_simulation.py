"""benchmarks/queueing.py: the simulation that docs/scaling-kubernetes.md takes its figures from."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).resolve().parents[2] / "benchmarks/queueing.py"


@pytest.fixture(scope="module")
def queueing():
    spec = importlib.util.spec_from_file_location("queueing", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["queueing"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["queueing"]


def own(running: int, others: int) -> float:
    """Requests that do not hinder each other."""
    return 1.0


def shared(running: int, others: int) -> float:
    """Requests of one replica share its core."""
    return 1 / max(1, running)


def test_requests_wait_for_each_other_in_one_replica_and_not_in_two(queueing):
    one = queueing.simulate([0, 0, 0], [1, 1, 1], 1, 1, own)
    assert sorted(one.seconds) == pytest.approx([1, 2, 3])
    assert one.inside == pytest.approx(2), "three, then two, then one, for a second each"
    two = queueing.simulate([0, 0, 0], [1, 1, 1], 2, 1, own, by="fewest")
    assert sorted(two.seconds) == pytest.approx([1, 1, 2])


def test_requests_side_by_side_share_a_core(queueing):
    found = queueing.simulate([0, 1], [2, 1], 1, 2, shared)
    # The first is alone for a second; then both need one second more, and get half of the core: both end at 3.
    assert found.seconds == pytest.approx([3, 2])


def test_replicas_on_one_machine_slow_each_other_down(queueing):
    found = queueing.simulate([0, 0], [1, 1], 2, 1, lambda running, others: 0.5 if others else 1.0, by="fewest")
    assert found.seconds == pytest.approx([2, 2])


def test_more_requests_than_a_replica_lets_in_are_refused(queueing):
    found = queueing.simulate([0, 0, 0, 0], [1, 1, 1, 1], 1, 1, own, limit=3)
    assert found.refused == 0.25 and len(found.seconds) == 3


def test_an_empty_run_has_no_waiting_time(queueing):
    found = queueing.simulate([], [], 2, 1, own)
    assert len(found.seconds) == 0 and found.inside == 0


def test_one_server_with_constant_work_waits_as_queueing_theory_says(queueing):
    # M/D/1 at a load of 0.5: waiting = work * load / (2 * (1 - load)) = 0.5, so 1.5 with the work itself.
    arrivals = queueing.poisson(0.5, 10000, 0)
    found = queueing.simulate(arrivals, np.ones(10000), 1, 1, own, limit=10**6)
    assert found.seconds.mean() == pytest.approx(1.5, rel=0.05)
    assert found.inside == pytest.approx(0.75, rel=0.07), "Little's law: 0.5 a second times 1.5 seconds"


def test_the_same_seed_draws_the_same_requests(queueing):
    assert queueing.poisson(3, 5, 7).tolist() == queueing.poisson(3, 5, 7).tolist()
    assert queueing.poisson(100, 20000, 7)[-1] == pytest.approx(200, rel=0.03)
