"""ss_poc.optimising.reach: how far below its threshold a mark may grow, by masks worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.core.config import Rule
from ss_poc.core.refine import below, refine
from ss_poc.optimising.reach import REACHES, count_reaches, find_reach

# A row of a (2, 8) map: a mark of 0.9, beside it 0.4 and 0.25; after a gap 0.4 without a mark.
MAP = np.array([[0.9, 0.4, 0.25, 0.0, 0.0, 0.4, 0.4, 0.0], [0.0] * 8], np.float32)[..., None]


def rule(reach: float = 0.0, **options) -> Rule:
    return Rule("pit", "#ff0000", (2, 8), reach=reach, **options)


@pytest.mark.parametrize(("log_odds", "expected"), [(0, 0.5), (np.log(3), 0.25), (np.log(9), 0.1)])
def test_log_odds_below_a_half(log_odds, expected):
    """1 : 1 is a third of that, 1 : 3, or a ninth, 1 : 9."""
    assert below(0.5, log_odds) == pytest.approx(expected)
    assert 0 < below(1.0, 0.5) < 1


@pytest.mark.parametrize(("reach", "marked"), [(0.0, 1), (0.5, 2), (1.0, 2), (1.5, 3), (3.0, 3)])
def test_a_mark_grows_into_what_is_connected_and_nothing_else_is_marked(reach, marked):
    """Thresholds of 0.5, 0.378, 0.269, 0.182 and 0.047; the 0.4 after the gap is never reached."""
    mask = refine(MAP, [rule(reach)], (2, 8))
    assert np.flatnonzero(mask[0, :, 0]).tolist() == list(range(marked)) and not mask[1].any()


def test_it_grows_after_all_else_and_a_mark_that_was_dropped_does_not_grow():
    assert not refine(MAP, [rule(3.0, reduce_size=2)], (2, 8)).any()
    dilated = refine(MAP, [rule(1.5, pad=1)], (2, 8))[..., 0]
    assert dilated.tolist() == [[True, True, True] + [False] * 5, [True] + [False] * 7]


def test_with_a_threshold_that_is_named_it_does_not_grow():
    assert refine(MAP, [rule(3.0)], (2, 8), threshold=0.5).sum() == 1


def test_in_an_image_larger_than_the_map_and_at_its_edge():
    """Twice the size; on a map of zeros with a mark in a corner there is nothing to grow into."""
    large = refine(MAP, [rule(1.5)], (4, 16))[..., 0]
    plain = refine(MAP, [rule()], (4, 16))[..., 0]
    assert plain.sum() < large.sum() and not large[:, 8:].any() and (large | plain == large).all()
    corner = np.zeros((3, 5, 1), np.float32)
    corner[2, 4] = 0.9
    assert refine(corner, [rule(3.0)], (3, 5)).sum() == 1 and not refine(corner * 0, [rule(3.0)], (3, 5)).any()


def test_the_reach_that_labels_ask_for_is_found():
    """Labelled are the mark and the 0.4 beside it: both, and no more, with 0.5 or 1."""
    truth = np.zeros((2, 8, 1), bool)
    truth[0, :2] = True
    counts = count_reaches(MAP, truth, [rule()])
    assert counts.shape == (len(REACHES), 2, 1)
    assert counts[..., 0].tolist() == [[1, 2], [2, 2], [2, 2], [2, 3], [2, 3], [2, 3]]
    assert find_reach([counts, counts]) == 0.5


def test_marks_that_are_right_as_they_are_do_not_grow():
    truth = np.zeros((2, 8, 1), bool)
    truth[0, 0] = True
    assert find_reach([count_reaches(MAP, truth, [rule()])]) == 0
    nothing = count_reaches(MAP * 0, truth & False, [rule()])
    assert find_reach([nothing]) == 0 and find_reach([]) == 0


def test_a_gain_of_pixels_that_lowers_the_dice_of_images_is_not_taken():
    """Image 0, large: IoU 50 / 100 without, 100 / 100 with reach 0.5. Images 1 to 3, small: 10 / 10, then 10 / 30."""
    large = np.array([[[50], [100]]] + [[[100], [100]]] * 5)
    small = np.array([[[10], [10]]] + [[[10], [30]]] * 5)
    assert find_reach([large]) == 0.5 and find_reach([large, small, small, small]) == 0
