"""ss_poc.anomaly.odd: which good photographs look wrong among the others."""

from __future__ import annotations

import numpy as np
import pytest
from coco_folder import noise

from ss_poc.anomaly.odd import deviations, far_off, find_odd


def test_deviations_are_counted_from_the_median_in_units_of_the_usual_spread():
    # logarithms: -1, 0 and 1 around the median 0, whose median distance from it is 1, and one of 20
    found = deviations(np.exp([-1, 0, 1, -1, 0, 1, -1, 1, 20]))
    assert found == pytest.approx(np.array([-1, 0, 1, -1, 0, 1, -1, 1, 20]) / 1.4826)
    assert far_off(found) == (8,)


def test_photographs_that_are_the_same_depart_by_nothing():
    assert deviations([2.0] * 8).tolist() == [0.0] * 8
    assert far_off(deviations([2.0] * 7 + [2.2])) == ()  # a tenth more is no reason to look


def test_many_that_are_far_off_are_another_kind_of_workpiece_and_none_is_odd(capsys):
    assert far_off(np.array([0.0] * 12 + [50.0] * 4)) == ()
    assert "4 good photographs of 16 look unlike the others" in capsys.readouterr().out
    assert far_off(np.array([0.0] * 6 + [9.0, 50.0])) == (7, 6)  # two may always be


def test_photographs_of_any_size_that_look_alike_are_not_odd_and_a_black_one_is():
    sizes = [(3, 500), (40, 60), (90, 61), (300, 200), (64, 64)] * 2
    images = [noise(size_hw, number) for number, size_hw in enumerate(sizes)]
    assert find_odd(lambda index: images[index], len(images)).odd == ()
    alike = [noise((60, 90), number) for number in range(10)]
    found = find_odd(lambda index: [*alike, np.full((60, 90, 3), 4, np.uint8)][index], 11)
    assert found.odd == (10,)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_of_few_photographs_none_is_odd(count):
    images = [noise((20, 30), number) for number in range(count)]
    assert find_odd(lambda index: images[index], count).odd == ()
