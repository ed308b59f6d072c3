"""Length along a skeleton: lines and shapes whose length is known, and thinning against scikit-image's."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from skimage.morphology import skeletonize

from ss_poc.measuring import skeleton
from ss_poc.measuring.skeleton import length_of, thinned


def bar(length: float, width: float, degrees: float = 0, size: int = 400) -> np.ndarray:
    """A bar in the middle of a square, as bool."""
    corners = cv2.boxPoints(((size / 2, size / 2), (length, width), degrees))
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 1, shift=4)
    return mask.astype(bool)


@pytest.mark.parametrize(("height", "width", "length"), [(1, 1, 1), (1, 10, 10), (10, 1, 10), (3, 21, 21), (9, 9, 9),
                                                         (5, 40, 40)])
def test_a_rectangle_is_as_long_as_its_longer_side(height, width, length):
    assert length_of(np.ones((height, width), bool)) == length


def test_nothing_has_no_length():
    assert length_of(np.zeros((4, 6), bool)) == 0


@pytest.mark.parametrize("degrees", [0, 10, 22.5, 30, 45, 77])
def test_a_bar_is_as_long_however_it_lies(degrees):
    assert length_of(bar(300, 9, degrees)) == pytest.approx(300, abs=2)


def test_a_ring_is_as_long_as_its_circumference():
    mask = np.zeros((300, 300), np.uint8)
    cv2.circle(mask, (150, 150), 100, 1, 7)
    assert length_of(mask > 0) == pytest.approx(2 * math.pi * 100, rel=0.01)


def test_a_disc_is_as_long_as_it_is_wide():
    mask = np.zeros((220, 220), np.uint8)
    cv2.circle(mask, (110, 110), 100, 1, -1)
    assert length_of(mask > 0) == pytest.approx(201, abs=3)


def test_branches_of_a_crack_count_and_teeth_of_its_outline_do_not():
    mask = np.zeros((120, 220), bool)
    mask[60:65, 10:210] = True  # 200 long
    toothed = mask.copy()
    toothed[58:60, 50:52] = toothed[58:60, 120:122] = toothed[65:67, 90:92] = True
    assert length_of(toothed) == pytest.approx(200, abs=3)
    mask[10:60, 100:105] = True  # a branch of 50, from the outline; 52.5 from the middle
    assert length_of(mask) == pytest.approx(252.5, abs=3)


def test_a_large_object_is_measured_at_a_lower_resolution_and_hangs_together(monkeypatch):
    mask = bar(300, 9, 30)
    monkeypatch.setattr(skeleton, "MOST_PIXELS", 300)  # 2,700 pixels: a third of the resolution
    assert length_of(mask) == pytest.approx(300, abs=9)


def test_thinned_masks_hang_together_as_masks_do_and_are_as_thin_as_those_of_scikit_image():
    noise = cv2.GaussianBlur(np.random.default_rng(0).random((200, 320)), (0, 0), 4)
    mask = noise > 0.5
    thin = thinned(mask)
    assert thin.shape == mask.shape and not (thin & ~mask).any()

    def parts(of: np.ndarray, connectivity: int) -> int:
        return cv2.connectedComponents(np.pad(of, 1).astype(np.uint8), connectivity=connectivity)[0]

    assert parts(thin, 8) == parts(mask, 8)
    holes = [cv2.connectedComponents(1 - np.pad(of, 1).astype(np.uint8), connectivity=4)[0] for of in (thin, mask)]
    assert holes[0] == holes[1]
    assert thin.sum() == pytest.approx(skeletonize(mask).sum(), rel=0.1)
    assert not thinned(np.zeros((5, 7), bool)).any()
