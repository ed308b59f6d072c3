"""Windows of a photograph that is not square: inside, at its borders, beyond them."""

import numpy as np
import pytest

from ss_poc.clicks.windows import OUTSIDE, Window, cut, paste

PICTURE = np.arange(20 * 30, dtype=np.float32).reshape(20, 30)


def test_a_window_inside_is_cut_as_it_is():
    assert np.array_equal(cut(PICTURE, Window(5, 3, 8), 8), PICTURE[3:11, 5:13])


def test_what_lies_outside_is_grey():
    """Two columns before the left edge, three rows above the top one."""
    content = cut(PICTURE, Window(-2, -3, 8), 8)
    assert (content[:3] == OUTSIDE).all() and (content[:, :2] == OUTSIDE).all()
    assert np.array_equal(content[3:, 2:], PICTURE[:5, :6])


def test_a_window_larger_than_the_picture_holds_all_of_it():
    content = cut(PICTURE, Window(-1, -6, 32), 32, 0)
    assert np.array_equal(content[6:26, 1:31], PICTURE) and content.sum() == PICTURE.sum()


def test_a_colour_picture_keeps_its_channels():
    image = np.full((20, 30, 3), (10, 20, 30), np.uint8)
    content = cut(image, Window(25, 15, 10), 20)
    assert content.shape == (20, 20, 3) and content.dtype == np.uint8
    assert (content[2, 2] == (10, 20, 30)).all() and (content[-1, -1] == OUTSIDE).all()


@pytest.mark.parametrize("window", [Window(5, 3, 8), Window(-2, -3, 8), Window(26, 15, 8)])
def test_what_was_cut_is_pasted_where_it_was(window):
    whole = np.zeros_like(PICTURE)
    paste(whole, window, cut(PICTURE, window, 8))
    inside = window.inside(PICTURE.shape)
    assert np.array_equal(whole[inside], PICTURE[inside])
    whole[inside] = 0
    assert not whole.any()


def test_a_reduced_window_is_pasted_at_its_own_size():
    whole = np.zeros((20, 30), np.float32)
    paste(whole, Window(4, 2, 16), np.ones((8, 8), np.float32))
    assert whole.sum() == 256 and (whole[2:18, 4:20] == 1).all()
