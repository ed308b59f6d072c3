"""ss_poc.core.drawing: colours, masks drawn on photographs, contact sheets."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from drawn_masks import drawn, shown

from ss_poc.core.drawing import contact_sheet, draw_heat, draw_overlay, hex_to_rgb, palette

# --- colours and overlays


def test_palette_is_of_distinct_colours():
    assert palette(0) == []
    for count in (1, 2, 5, 12, 100, 180):
        colors = palette(count)
        assert len(set(colors)) == len(colors) == count
        assert all(len(color) == 7 and len(hex_to_rgb(color)) == 3 for color in colors)
    assert palette(3) == palette(3)


def test_two_colours_are_far_apart():
    for count in (2, 3, 6):
        rgb = [np.array(hex_to_rgb(color)) for color in palette(count)]
        assert min(np.abs(one - two).sum() for one, two in itertools.combinations(rgb, 2)) > 150


def test_hex_colours_are_red_green_blue():
    assert hex_to_rgb("#43d4d0") == (67, 212, 208) and hex_to_rgb("FF0001") == (255, 0, 1)


@pytest.mark.parametrize("color", ["", "#fff", "#ff00zz", "#ff00ff00", "red"])
def test_what_is_no_colour_is_refused(color):
    with pytest.raises(ValueError):
        hex_to_rgb(color)


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 100, np.uint8)


def test_filled_areas_are_translucent_and_nothing_else_changes():
    image, mask = grey(2, 3), drawn("#..", "..#")[..., None]
    picture = draw_overlay(image, ["#ff0000"], filled=mask)
    assert picture[mask[..., 0]].tolist() == [[162, 60, 60]] * 2  # 0.6 * 100 + 0.4 * (255, 0, 0)
    assert (picture[~mask[..., 0]] == 100).all() and (image == 100).all()
    assert draw_overlay(image, ["#0a0b0c"], filled=mask, opacity=1.0)[0, 0].tolist() == [10, 11, 12]


def test_where_classes_overlap_both_colours_show():
    both = np.ones((1, 2, 2), bool)
    # 0.6 * (0.6 * 100 + 0.4 * (255, 0, 0)) + 0.4 * (0, 0, 255)
    assert draw_overlay(grey(1, 2), ["#ff0000", "#0000ff"], filled=both)[0, 0].tolist() == [97, 36, 138]


def test_outlines_are_the_border_pixels_in_the_exact_colour():
    mask = drawn("......",
                 ".####.",
                 ".####.",
                 ".####.")
    picture = draw_overlay(grey(4, 6), ["#0102fe"], outlined=mask[..., None])
    border = np.array(picture == (1, 2, 254)).all(-1)
    assert shown(border) == ["......", ".####.", ".#..#.", ".####."]
    assert (picture[~border] == 100).all()


def test_an_outlined_pixel_is_seen():
    picture = draw_overlay(grey(3, 5), ["#ff0000"], outlined=drawn(".....", "...#.", ".....")[..., None])
    assert picture[1, 3].tolist() == [255, 0, 0] and np.count_nonzero(picture != 100) == 3


def test_outlines_lie_over_areas_and_each_class_has_its_colour():
    outlined = np.stack([drawn("#...", "...."), drawn("...#", "....")], -1)
    filled_ = np.stack([drawn("....", "...."), drawn("##..", "....")], -1)
    picture = draw_overlay(grey(2, 4), ["#ff0000", "#00ff00"], outlined=outlined, filled=filled_)
    assert picture[0].tolist() == [[255, 0, 0], [60, 162, 60], [100] * 3, [0, 255, 0]]


def test_outlines_are_thicker_in_large_pictures():
    mask = np.zeros((400, 1200, 1), bool)
    mask[100:300, 200:900] = True
    picture = draw_overlay(np.zeros((400, 1200, 3), np.uint8), ["#ffffff"], outlined=mask)
    across = picture[200, :500, 0] > 0
    assert across[200] and 3 <= np.count_nonzero(across) <= 5  # 1200 / 400, and what OpenCV rounds up to


def test_nothing_to_draw_is_the_picture_again():
    empty = np.zeros((2, 3, 1), bool)
    for masks in ({}, {"outlined": empty}, {"filled": empty}, {"outlined": empty, "filled": empty}):
        picture = draw_overlay(grey(2, 3), ["#ff0000"], **masks)
        assert (picture == 100).all() and picture.dtype == np.uint8


# --- contact sheet


def test_a_contact_sheet_is_a_grid_of_cells_on_dark_grey():
    pictures = [np.full((10, 20, 3), value, np.uint8) for value in (100, 150, 200)]
    sheet = contact_sheet(pictures, 2, (10, 20))
    assert sheet.shape == (6 + 2 * 16, 6 + 2 * 26, 3)
    expected = {(6, 6): 100, (15, 25): 100, (6, 32): 150, (22, 6): 200, (22, 32): 32, (5, 6): 32, (16, 6): 32,
                (6, 26): 32}
    assert {place: int(sheet[place][0]) for place in expected} == expected


def test_pictures_are_fitted_into_their_cell_with_their_shape_kept():
    tall, wide = np.full((40, 10, 3), 200, np.uint8), np.full((5, 40, 3), 200, np.uint8)
    sheet = contact_sheet([tall, wide], 2, (20, 20))
    filled = sheet[..., 0] == 200
    assert filled[:, :29].sum() == 20 * 5 and filled[:, 29:].sum() == 2 * 20  # 2.5 rounds to 2


def test_a_line_of_pixels_stays_visible():
    assert (contact_sheet([np.full((1, 5000, 3), 200, np.uint8)], 1, (20, 20))[..., 0] == 200).sum() == 20


def test_captions_take_room_below_each_row_and_are_drawn_there():
    pictures = [np.full((10, 70, 3), 100, np.uint8)] * 2
    plain, named = contact_sheet(pictures, 1, (10, 70)), contact_sheet(pictures, 1, (10, 70), ["crack", "a" * 500])
    assert named.shape[0] == plain.shape[0] + 2 * 18 and named.shape[1] == plain.shape[1]
    assert (named[16:34] > 100).any() and not (plain > 100).any()


def test_no_pictures_make_an_empty_sheet():
    assert contact_sheet([], 2, (10, 20)).shape == (6, 58, 3)


def test_heat_is_clear_at_0_and_red_at_1():
    """At 0.5: half of the opacity 0.8 of (255, 127.5, 0) over 100: 0.6 * 100 + 0.4 * colour."""
    image = np.full((2, 3, 3), 100, np.uint8)
    found = draw_heat(image, np.array([[0, 0.5, 1], [0, 0, 0]], np.float32), opacity=0.8)
    assert found[0].tolist() == [[100, 100, 100], [162, 111, 60], [224, 20, 20]]
    assert (found[1] == 100).all() and (image == 100).all()
