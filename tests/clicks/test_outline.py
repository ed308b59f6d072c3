"""The outline of a region with few corners."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.clicks.outline import outline_of
from ss_poc.core.masks import polygons_to_mask


def disk(height, width, x, y, radius):
    rows, columns = np.mgrid[:height, :width]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def test_a_rectangle_has_its_four_corners():
    mask = np.zeros((30, 50), bool)
    mask[10:20, 5:45] = True
    (polygon,) = outline_of(mask)
    assert sorted(np.reshape(polygon, (-1, 2)).tolist()) == [[5, 10], [5, 20], [45, 10], [45, 20]]


@pytest.mark.parametrize("radius", [8, 60, 400])
def test_a_disk_has_few_corners_and_keeps_its_area(radius):
    mask = disk(2 * radius + 30, 2 * radius + 60, radius + 40, radius + 10, radius)
    (polygon,) = outline_of(mask)
    assert len(polygon) / 2 <= 48 and iou(polygons_to_mask([polygon], mask.shape), mask) > 0.95


def test_a_line_one_pixel_wide_keeps_every_pixel():
    mask = np.zeros((40, 60), bool)
    for place in range(30):
        mask[5 + place, 10 + place] = True
    found = polygons_to_mask(outline_of(mask), mask.shape)
    assert iou(found, mask) > 0.95


def test_a_region_at_the_very_border_of_a_photograph_stays_within_it():
    mask = np.zeros((20, 30), bool)
    mask[:, 20:] = True
    points = np.reshape(outline_of(mask)[0], (-1, 2))
    assert points[:, 0].max() == 30 and points[:, 1].max() == 20 and points.min() == 0


def test_two_pieces_are_two_polygons_the_larger_first_and_an_empty_mask_is_none():
    mask = np.zeros((20, 30), bool)
    mask[2:4, 2:5] = mask[10:18, 10:25] = True
    first, second = outline_of(mask)
    assert min(first[::2]) == 10 and min(second[::2]) == 2
    assert outline_of(np.zeros((4, 6), bool)) == []
