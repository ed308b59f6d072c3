"""The robot user: where it clicks, worked out by hand."""

import numpy as np

from ss_poc.clicks.guidance import Box, Click
from ss_poc.clicks.simulate import box_around, middle_of, next_click


def rectangle(top, bottom, left, right, size_hw=(20, 30)):
    mask = np.zeros(size_hw, bool)
    mask[top:bottom, left:right] = True
    return mask


def test_the_middle_of_a_square_is_its_centre():
    assert middle_of(rectangle(4, 9, 10, 15)) == (12, 6)


def test_the_middle_of_a_line_lies_on_it():
    x, y = middle_of(rectangle(7, 8, 3, 25))
    assert y == 7 and 3 <= x < 25


def test_an_edge_of_the_picture_is_an_edge():
    """All of 5 x 5 is the region: its depth is greatest in the middle, not all over."""
    assert middle_of(np.ones((5, 5), bool)) == (2, 2)


def test_an_empty_mask_has_no_middle_and_no_box():
    empty = np.zeros((20, 30), bool)
    assert middle_of(empty) is None and box_around(empty) is None


def test_the_first_click_is_in_the_middle_of_the_region():
    assert next_click(rectangle(4, 9, 10, 15), np.zeros((20, 30), bool)) == Click(12, 6, True)


def test_what_is_too_much_gets_a_negative_click():
    """The region is found, and 7 x 7 pixels that are none: their middle is (21, 12)."""
    true, extra = rectangle(2, 5, 2, 5), rectangle(9, 16, 18, 25)
    assert next_click(true, true | extra) == Click(21, 12, False)


def test_the_larger_error_is_clicked_on():
    """5 x 5 pixels are missing, 3 x 3 are too much."""
    assert next_click(rectangle(4, 9, 10, 15), rectangle(15, 18, 20, 23)) == Click(12, 6, True)


def test_a_perfect_mask_gets_no_click():
    true = rectangle(4, 9, 10, 15)
    assert next_click(true, true) is None
    assert next_click(np.zeros((20, 30), bool), np.zeros((20, 30), bool)) is None


def test_a_box_ends_behind_the_last_pixel():
    assert box_around(rectangle(4, 9, 10, 15)) == Box(10, 4, 15, 9)
