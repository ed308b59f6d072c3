"""ss_poc.formats.regions: which pixels odd outlines cover. All lie in an image of 30 rows and 40 columns."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.core.masks import polygons_to_mask
from ss_poc.formats.regions import read_shape

SIZE_HW = (30, 40)
SQUARE = [10, 10, 20, 10, 20, 20, 10, 20]


def covered(*polygons: list[float]) -> np.ndarray:
    shape = read_shape({"segmentation": list(polygons)}, SIZE_HW)
    mask = polygons_to_mask(shape.polygons, SIZE_HW)
    assert shape.area == mask.sum()
    return mask


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE_HW, bool)
    mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize("polygon", [
    SQUARE, [*SQUARE, 10, 10], [10, 10, *SQUARE[:4], 20, 10, *SQUARE[4:]], [10, 20, 20, 20, 20, 10, 10, 10],
    [10, 10, 20, 10, 30, 10, 20, 10, 20, 20, 10, 20]],
    ids=["plain", "closed ring", "points twice", "other way round", "a spike of no width"])
def test_a_square_is_the_same_however_its_outline_is_written(polygon):
    np.testing.assert_array_equal(covered(polygon), box(10, 10, 20, 20))


def test_both_halves_of_an_outline_that_crosses_itself_count():
    """A bow tie from corner to corner: in each row as many pixels at the left as at the right; half of the square."""
    mask = covered([10, 10, 20, 20, 20, 10, 10, 20])
    assert mask.sum() == 50 and not mask[~box(10, 10, 20, 20)].any()
    assert mask[11, 10] and mask[11, 19] and not mask[11, 14]


@pytest.mark.parametrize("inner", [[5, 5, 15, 5, 15, 15, 5, 15, 5, 5], [5, 5, 5, 15, 15, 15, 15, 5, 5, 5]],
                         ids=["same way round", "other way round"])
def test_what_an_outline_goes_around_twice_is_a_hole(inner):
    """Outer square of 20, from its corner to an inner one of 10 and back, as tools write holes into one polygon."""
    mask = covered([0, 0, 20, 0, 20, 20, 0, 20, 0, 0, *inner])
    np.testing.assert_array_equal(mask, box(0, 0, 20, 20) & ~box(5, 5, 15, 15))


def test_polygons_of_one_region_are_joined_where_they_overlap():
    np.testing.assert_array_equal(covered(SQUARE, [15, 10, 25, 10, 25, 20, 15, 20]), box(10, 10, 20, 25))
