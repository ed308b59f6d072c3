"""Clicks and boxes as maps."""

import numpy as np

from ss_poc.clicks.guidance import CHANNELS, RADIUS, Box, Click, guidance


def test_nothing_said_is_nothing_drawn():
    maps = guidance((20, 30), [])
    assert maps.shape == (20, 30, CHANNELS) and maps.dtype == np.float32 and not maps.any()


def test_a_click_is_a_disk_in_the_map_of_its_kind():
    maps = guidance((40, 60), [Click(20, 10), Click(45, 30, False)])
    assert maps[10, 20 + RADIUS, 0] == 1 and maps[10, 20 + RADIUS + 1, 0] == 0
    assert maps[30, 45, 1] == 1 and maps[10, 20, 1] == 0 and maps[30, 45, 0] == 0


def test_a_disk_at_the_corner_is_cut_off():
    maps = guidance((20, 30), [Click(0, 0)])
    assert maps[0, 0, 0] == 1 and maps[..., 0].sum() < 40


def test_a_box_is_its_area_within_the_picture():
    maps = guidance((20, 30), [], Box(-4, 5, 10, 99))
    assert maps[..., 3].sum() == 10 * 15 and maps[5:, :10, 3].all()


def test_the_answer_so_far_is_handed_on():
    previous = np.random.default_rng(0).random((20, 30), np.float32)
    assert np.array_equal(guidance((20, 30), [], None, previous)[..., 2], previous)
