"""ss_poc.core.scores: Dice and IoU of masks small enough to write out."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_masks import drawn

from ss_poc.core.scores import bootstrap, dice, dice_of_counts, intersection_union, interval, iou_of_counts

TRUE = np.stack([drawn("##..", "##.."), drawn("....", "...."), drawn("#...", "...."), drawn("....", "....")], -1)
GUESS = np.stack([drawn(".##.", ".##."), drawn("....", "...#"), drawn("....", "...."), drawn("....", "....")], -1)


def test_dice_is_twice_the_common_part_over_both_and_1_where_both_are_empty():
    np.testing.assert_allclose(dice(TRUE, GUESS), [2 * 2 / (4 + 4), 0, 0, 1])
    np.testing.assert_allclose(dice(GUESS, TRUE), [0.5, 0, 0, 1])
    np.testing.assert_array_equal(dice(TRUE, TRUE), [1, 1, 1, 1])
    assert dice(np.zeros((2, 4, 0), bool), np.zeros((2, 4, 0), bool)).shape == (0,)


def test_intersection_and_union_count_pixels_of_each_class():
    both, either = intersection_union(TRUE, GUESS)
    assert both.tolist() == [2, 0, 0, 0] and either.tolist() == [6, 1, 1, 0]


def test_iou_of_a_data_set_sums_before_it_divides():
    small, large = np.zeros((2, 4, 1), bool), np.ones((2, 4, 1), bool)
    small[0, 0] = True
    both, either = zip(intersection_union(small, small), intersection_union(large, small), strict=True)
    assert sum(both) / sum(either) == (1 + 1) / (1 + 8)


def test_scores_of_counts_are_those_of_the_masks():
    both, either = intersection_union(TRUE, GUESS)
    np.testing.assert_array_equal(dice_of_counts(both, both + either), dice(TRUE, GUESS))
    np.testing.assert_array_equal(iou_of_counts(both, either), [1 / 3, 0, 0, np.nan])


def test_an_interval_leaves_out_samples_without_a_score():
    drawn = np.array([[1.0, np.nan], [np.nan, np.nan], [1.0, np.nan]])
    low, high = interval(drawn)
    assert low[0] == high[0] == 1.0 and np.isnan(low[1]) and np.isnan(high[1])


def test_interval_of_equal_images_has_no_width():
    low, high = bootstrap(np.full((7, 2), 0.25))
    assert low.tolist() == high.tolist() == [0.25, 0.25]


def test_interval_of_a_ratio_sums_first_and_knows_when_there_is_nothing():
    low, high = bootstrap(np.array([[1.0, 0], [3.0, 0]]), np.array([[2.0, 0], [6.0, 0]]))
    assert low[0] == high[0] == 0.5 and np.isnan(low[1]) and np.isnan(high[1])


def test_interval_holds_the_mean_and_narrows_with_more_images():
    random = np.random.default_rng(0)
    few, many = random.random((10, 1)), random.random((1000, 1))
    widths = []
    for values in (few, many):
        low, high = bootstrap(values)
        assert low[0] < values.mean() < high[0]
        widths.append(high[0] - low[0])
    # the standard deviation of an even spread is 0.289: 95 % lie within 1.96 * 0.289 / sqrt(1000) on either side
    assert widths[1] == pytest.approx(2 * 1.96 * 0.289 / 1000**0.5, rel=0.15) and widths[0] > 3 * widths[1]
