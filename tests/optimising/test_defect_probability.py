"""How likely a photograph is to have a defect: fitted and judged on photographs whose values are told by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.optimising.defect_probability import believe, error_by_chance, expected_error, fit


def photographs(defective: int, clean: int) -> tuple[np.ndarray, np.ndarray]:
    """Highest probabilities, 0.9 on each defective photograph and 0.1 on each clean one, and which are defective."""
    return np.repeat([0.9, 0.1], [defective, clean]), np.repeat([True, False], [defective, clean])


@pytest.mark.parametrize(("defective", "clean"), [(5, 5), (24, 8)])
def test_all_right_photographs_are_as_sure_as_their_number_allows(defective, clean):
    highest, truth = photographs(defective, clean)
    # A line through two points: of n right ones all are, and w as often 9 of 10, with 20 photographs in all for w.
    weight = 20 / (defective + clean)
    assert fit(highest, truth).apply(np.array([0.9, 0.1])) == pytest.approx(
        [(1 + 0.9 * weight) / (1 + weight), 0.1 * weight / (1 + weight)], abs=1e-3)


def test_a_score_that_clean_photographs_reach_as_well_is_worth_less():
    """Of ten at 0.9 seven have a defect, none of ten at 0.1; as they are they count once, as 0.9 and 0.1 once more."""
    highest, truth = np.repeat([0.9, 0.9, 0.1], [7, 3, 10]), np.repeat([True, False, False], [7, 3, 10])
    found = fit(highest, truth)
    assert found.apply(np.array([0.9, 0.1])) == pytest.approx([(0.7 + 0.9) / 2, (0 + 0.1) / 2], abs=1e-3)
    assert found.factor > 0


def test_five_bins_hold_equally_many_photographs():
    probability = np.array([1.0, 0.0, 0.0, 1.0, 0.1, 0.9, 0.3, 0.4, 0.5, 0.5])
    defective = np.array([1, 0, 0, 1, 0, 0, 1, 0, 1, 0], bool)
    # 0 and 0: none of none. 0.1 and 0.3: one, 0.4 expected. 0.4 and 0.5, 0.5 and 0.9: one, 0.9; none, 1.4. Ones: both.
    assert expected_error(probability, defective) == pytest.approx((0 + 0.6 + 0.1 + 1.4 + 0) / 10)
    assert expected_error(np.array([0.7]), np.array([False])) == pytest.approx(0.7)


def test_exactly_right_probabilities_look_off_on_few_photographs():
    # 50 photographs at 0.5, ten in a bin: the mean of |heads of ten throws - 5| is 10 C(10, 5) / 2^11 = 1.23.
    mean, high = error_by_chance(np.full(50, 0.5))
    assert mean == pytest.approx(0.123, abs=0.005) and 0.17 < high < 0.25
    assert error_by_chance(np.array([0.0, 1.0] * 10)) == (0, 0)


def test_photographs_of_a_workpiece_are_judged_by_those_of_others():
    highest, truth = (np.concatenate([values] * 2) for values in photographs(6, 4))
    found = believe(highest, truth, ["a"] * 10 + ["b"] * 10)
    assert found["before"] == pytest.approx(0.1)
    # The others are ten, which count once, and as 0.9 and 0.1 twice: off by 0.2 / 3. All are twenty: off by 0.1 / 2.
    assert found["after"] == pytest.approx(0.2 / 3, abs=1e-3)
    assert found["factor"] == pytest.approx(np.log(19) / np.log(9), abs=0.01)
    assert found["offset"] == pytest.approx(0, abs=0.01) and found["images"] == 20
    assert 0 < found["chance"] < found["chance_high"]
    alone = believe(highest, truth, ["a"] * 20)  # one workpiece: there are no others
    assert alone["after"] == pytest.approx(0.1 / 2, abs=1e-3)


@pytest.mark.parametrize(("defective", "clean", "why"), [
    (30, 4, "30 defective photographs and 4 clean ones validate"), (1, 9, "1 defective photograph and 9 clean ones"),
    (72, 0, "at least 5 of each")])
def test_of_few_photographs_nothing_is_believed(defective, clean, why):
    found = believe(*photographs(defective, clean), [str(number) for number in range(defective + clean)])
    assert list(found) == ["why"] and why in found["why"]


def test_a_model_that_is_surer_of_clean_photographs_tells_nothing():
    highest, truth = photographs(6, 6)
    found = believe(1 - highest, truth, [str(number) for number in range(12)])
    assert list(found) == ["why"] and "do not score higher" in found["why"]
