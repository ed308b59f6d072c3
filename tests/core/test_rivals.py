"""ss_poc.core.rivals: shares worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.core.rivals import compete


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_each_class_is_multiplied_by_its_share_of_the_squares(kind):
    probability = np.zeros((2, 3, 2), kind)
    probability[0, :2, 0], probability[1, 2, 1] = 0.5, 0.25  # squares: 0.5 and 0.0625
    found = compete(probability)
    assert found is probability and found.dtype == kind
    np.testing.assert_allclose(found[0, :, 0], [0.5 * 8 / 9, 0.5 * 8 / 9, 0], atol=1e-3)
    assert found[1, 2, 1] == pytest.approx(0.25 / 9, abs=1e-3)


def test_a_photograph_with_one_likely_class_stays_as_it_is():
    probability = np.full((40, 60, 3), 0.001, np.float32)
    probability[5:20, 10:30, 1] = 0.9
    before = probability.copy()
    found = compete(probability)
    np.testing.assert_allclose(found[..., 1], before[..., 1], rtol=1e-3)
    assert found[..., [0, 2]].max() < 1e-6


def test_probabilities_of_zero_stay_zero():
    assert not compete(np.zeros((4, 6, 3), np.float32)).any()


def test_a_map_of_many_rows_counts_all_of_them():
    probability = np.zeros((3000, 700, 2), np.float16)  # more than a band of rows; a sum in float16 would end at 2048
    probability[..., 0] = 1
    probability[2999, 699, 1] = 1
    compete(probability)
    assert probability[0, 0, 0] == pytest.approx(1, abs=1e-3) and probability[2999, 699, 1] < 1e-6
