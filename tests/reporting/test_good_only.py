"""ss_poc.reporting.good_only: what a report says of a model of good photographs alone."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.core.refine import plain_rules
from ss_poc.reporting.charts import roc, score_histogram
from ss_poc.reporting.good_only import auroc, flagged_range, least_score


def test_auroc_is_the_fraction_of_pairs_in_which_the_bad_one_is_higher():
    # of 3 x 2 pairs the bad one is higher in 5
    area, low, high = auroc(np.array([0.1, 0.2, 0.6]), np.array([0.5, 0.9]))
    assert area == pytest.approx(5 / 6) and 0 <= low < area < high <= 1
    assert auroc(np.array([0.1]), np.array([0.9])) == (1.0, 1.0, 1.0)


def test_no_alarm_among_thirty_leaves_up_to_a_ninth_possible():
    # Clopper and Pearson: 1 - 0.025^(1/30) = 0.1157
    assert flagged_range(0, 30) == (0.0, pytest.approx(0.1157, abs=1e-4))
    low, high = flagged_range(3, 3)
    assert high == 1.0 and low == pytest.approx(0.025**(1 / 3))
    assert flagged_range(0, 0) == (0.0, 1.0)


def test_a_photograph_needs_a_marked_pixel_and_the_threshold_of_the_verdict():
    (rule,) = plain_rules(("anomaly",), ("#e6194b",), (256, 320))  # marks from 0.5 on
    assert least_score(rule, 0.2) == 0.5 and least_score(rule, 0.7) == 0.7


def test_charts_name_each_kind_with_its_number():
    scores = {"good": np.array([0.1, 0.2]), "labelled defects": np.array([0.9, 1.0, 0.4])}
    histogram = score_histogram(scores, 0.3)
    assert "good (2)" in histogram and "labelled defects (3)" in histogram and "threshold of the verdict" in histogram
    assert "threshold of the verdict" not in score_histogram(scores, 2.0)  # nothing is flagged at all
    assert "labelled defects: AUROC 1.000" in roc(scores, {"labelled defects": 1.0})
