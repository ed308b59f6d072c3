"""ss_poc.optimising.verdict: thresholds for the verdict on an image, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.optimising.verdict import NEVER, Point, choose, curve

# Five images, two classes; the first three are defective, the last two clean.
SCORES = np.array([[0.9, 0.0], [0.4, 0.0], [0.0, 0.6], [0.5, 0.0], [0.0, 0.8]])
DEFECTIVE = np.array([True, True, True, False, False])


def flagged(scores: np.ndarray, point: Point) -> np.ndarray:
    return (scores >= np.array(point.thresholds)).any(axis=1)


def test_curve_goes_from_nothing_to_everything_that_is_marked():
    points = curve(SCORES, DEFECTIVE)
    assert points[0] == Point((NEVER, NEVER), 3, 0)
    assert (points[-1].missed, points[-1].false_alarms) == (0, 2)
    assert [point.missed for point in points] == sorted((point.missed for point in points), reverse=True)
    assert [point.false_alarms for point in points] == sorted(point.false_alarms for point in points)


def test_points_say_what_their_thresholds_do():
    for point in curve(SCORES, DEFECTIVE):
        found = flagged(SCORES, point)
        assert (int((DEFECTIVE & ~found).sum()), int((found & ~DEFECTIVE).sum())) == (point.missed, point.false_alarms)


def test_a_defect_that_no_clean_image_outdoes_comes_first():
    """0.9 of the first class stands above every clean image: it is found for nothing."""
    second = curve(SCORES, DEFECTIVE)[1]
    assert (second.missed, second.false_alarms) == (2, 0)
    assert 0.5 < second.thresholds[0] <= 0.9 and second.thresholds[1] == NEVER


@pytest.mark.parametrize(("cost", "missed", "alarms"), [
    (0.1, 2, 0),  # 0.1 * 2 = 0.2; finding one more costs a whole alarm
    (1.5, 0, 2),  # 1.5 * 2 = 3 at no alarm, 1.5 + 1 = 2.5 at one, 2 at two
    (20, 0, 2)])
def test_the_cost_of_a_miss_moves_the_point(cost, missed, alarms):
    point = choose(curve(SCORES, DEFECTIVE), clean=2, miss_cost=cost)
    assert (point.missed, point.false_alarms) == (missed, alarms)


@pytest.mark.parametrize(("limit", "alarms"), [(0.0, 0), (0.49, 0), (0.5, 1), (1.0, 2)])
def test_false_alarms_stay_within_their_limit(limit, alarms):
    point = choose(curve(SCORES, DEFECTIVE), clean=2, max_false_alarm=limit)
    assert point.false_alarms == alarms and point.missed == 2 - alarms


def test_cost_and_limit_hold_together():
    point = choose(curve(SCORES, DEFECTIVE), clean=2, miss_cost=100, max_false_alarm=0.5)
    assert (point.missed, point.false_alarms) == (1, 1)


def test_without_clean_or_without_marked_images_there_is_still_a_point():
    everything = curve(SCORES[:3], DEFECTIVE[:3])
    assert choose(everything, clean=0).missed == 0
    nothing = curve(np.zeros((4, 2)), np.array([True, False, True, False]))
    assert nothing == [Point((NEVER, NEVER), 2, 0)] and choose(nothing, clean=2, miss_cost=9).missed == 2


def test_many_images_take_few_steps():
    random = np.random.default_rng(0)
    scores, defective = random.random((3000, 6)), random.random(3000) < 0.5
    points = curve(scores, defective)
    assert len(points) <= 6 * 33 + 1 and points[-1].missed == 0
