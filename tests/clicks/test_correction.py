"""A correction is carried on to what is alike, near it."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.clicks.correction import carried_on, obey
from ss_poc.clicks.guidance import Click


def answer(missed=0.3, ground=0.02, found=0.9):
    """A region of three parts, 40 wide each: found, missed, and ground, 60 high."""
    return np.repeat(np.repeat(np.float32([[found, missed, ground]]), 40, axis=1), 60, axis=0)


def test_a_place_that_was_missed_brings_all_that_is_like_it_and_near():
    before = answer()
    found = carried_on(before, before, Click(60, 30), [Click(20, 30)])
    # Logit of 0.3: -0.847; error 0.5 + 0.847, of which 0.7 are carried on: 0.096 at the click, a probability of 0.524.
    assert found[30, 60] == pytest.approx(0.524, abs=0.001)
    assert (found[24:36, 50:70] > 0.5).all() and (found[:, 80:] < 0.1).all() and (found[:, :40] > 0.5).all()


def test_a_negative_click_takes_away_all_that_is_like_it():
    before = answer(missed=0.6, found=0.97)
    found = carried_on(before, before, Click(60, 30, False), [Click(20, 30)])
    assert (found[24:36, 50:70] < 0.5).all() and (found[:, :40] > 0.9).all()


def test_where_the_answer_was_right_nothing_changes():
    before = answer()
    assert carried_on(before, before, Click(20, 30), []) is before
    assert carried_on(before, before, Click(100, 30, False), []) is before


def test_another_click_nearby_keeps_the_correction_near():
    before = answer()
    near, far = (carried_on(before, before, Click(60, 5), [Click(x, 5)]) for x in (58, 20))
    assert (near > before + 0.01).sum() < (far > before + 0.01).sum()


def test_sure_answers_and_the_last_pixel_give_numbers():
    for value in (0.0, 1.0):
        before = np.full((20, 30), value, np.float32)
        found = carried_on(before, before, Click(29.9, 19.9, value == 0), [])
        assert np.isfinite(found).all() and found.dtype == np.float32 and found.shape == (20, 30)


def test_a_click_that_the_network_does_not_follow_corrects_its_own_pixel():
    found = np.full((6, 9), 0.1, np.float32)
    obey(found, [Click(4.9, 2)])
    expected = np.full((6, 9), 0.1, np.float32)
    expected[2, 4] = 0.75
    np.testing.assert_array_equal(found, expected)


def test_a_click_that_is_followed_changes_nothing():
    found = np.full((6, 9), 0.6, np.float32)
    obey(found, [Click(4, 2), Click(0, 0)])
    np.testing.assert_array_equal(found, np.full((6, 9), 0.6, np.float32))


def test_clicks_of_both_kinds_side_by_side_keep_their_own_pixels():
    found = np.full((6, 9), 0.9, np.float32)
    obey(found, [Click(0, 0), Click(1.7, 0.2, False), Click(8, 5, False)])
    assert (found <= 0.5).nonzero() == (pytest.approx([0, 5]), pytest.approx([1, 8]))


@pytest.mark.parametrize("kinds", [(True, False), (False, True)])
def test_of_two_clicks_on_one_pixel_the_last_counts(kinds):
    found = np.full((6, 9), 0.5, np.float32)
    obey(found, [Click(3, 3, positive) for positive in kinds])
    assert (found[3, 3] > 0.5) == kinds[-1]
