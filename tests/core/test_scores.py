"""ss_poc.core.scores: Dice and IoU of masks small enough to write out."""

from __future__ import annotations

import numpy as np
from drawn_masks import drawn

from ss_poc.core.scores import dice, intersection_union

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
