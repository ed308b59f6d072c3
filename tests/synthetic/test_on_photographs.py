"""ss_poc.synthetic.on_photographs: defects on good photographs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ss_poc.synthetic.on_photographs import draw_on


def photograph(size_hw: tuple[int, int], colored: bool = False) -> np.ndarray:
    """Even grey with a little noise, (H, W, 3) uint8."""
    noise = np.random.default_rng(5).normal(120, 3, (*size_hw, 3 if colored else 1))
    return np.broadcast_to(np.clip(noise, 0, 255), (*size_hw, 3)).astype(np.uint8)


@pytest.mark.parametrize("size_hw", [(200, 330), (330, 200), (1000, 700), (40, 500)])
def test_defects_are_marked_where_they_are(size_hw):
    given = photograph(size_hw)
    before = given.copy()
    for seed in range(8):
        drawn, mask = draw_on(given, np.random.default_rng(seed))
        assert drawn.shape == (*size_hw, 3) and drawn.dtype == np.uint8
        assert mask.shape == size_hw and mask.dtype == bool and mask.any() and not mask.all()
        changed = np.abs(drawn.astype(int) - given).max(axis=-1)
        assert changed[mask].mean() >= 4
        around = cv2.dilate(mask.astype(np.uint8), np.ones((101, 101), np.uint8)) > 0  # edges are soft, burrs shine
        assert not changed[~around].any()
    np.testing.assert_array_equal(given, before)


def test_the_same_seed_draws_the_same_and_another_one_something_else():
    given = photograph((120, 180))
    (first, mask), (second, again) = (draw_on(given, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(mask, again)
    assert (draw_on(given, np.random.default_rng(4))[0] != first).any()


def test_grey_photographs_stay_grey_and_colours_may_change():
    grey = [draw_on(photograph((150, 260)), np.random.default_rng(seed))[0] for seed in range(12)]
    assert all((picture == picture[..., :1]).all() for picture in grey)
    given = photograph((150, 260), colored=True)
    steps = [draw_on(given, np.random.default_rng(seed))[0].astype(int) - given for seed in range(12)]
    assert any((np.abs(step - step[..., :1]) > 2).any() for step in steps)


def test_defects_on_large_photographs_are_larger():
    given = photograph((1200, 1600))
    areas = [np.median([draw_on(given, np.random.default_rng(seed), enlarged)[1].sum() for seed in range(12)])
             for enlarged in (1.0, 4.0)]
    assert areas[1] > 6 * areas[0]  # 16 times where nothing is cut


def test_a_photograph_of_a_few_pixels_is_no_error():
    drawn, mask = draw_on(photograph((2, 5)), np.random.default_rng(0))
    assert drawn.shape == (2, 5, 3) and mask.shape == (2, 5)
