"""ss_poc.core.platt: log-odds stretched and shifted, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.core.platt import IDENTITY, Calibration


def test_log_odds_are_stretched_and_shifted():
    # 0.75 is 3 : 1; squared 9 : 1, and a third of that 3 : 1. 0.2 is 1 : 4, 1 : 16 and 1 : 48.
    found = Calibration(2.0, float(-np.log(3))).apply(np.array([[0.75, 0.5, 0.2]]))
    assert found.tolist() == [[pytest.approx(0.75), pytest.approx(0.25), pytest.approx(1 / 49)]]


def test_what_is_sure_stays_finite():
    assert IDENTITY.apply(np.array([0.0, 0.3, 1.0])) == pytest.approx([1e-6, 0.3, 1 - 1e-6])
    # A million to one, to the power of a half: a thousand to one.
    assert Calibration(0.5, 0.0).apply(np.array([0.0, 1.0])) == pytest.approx([1 / 1001, 1000 / 1001], rel=1e-4)
