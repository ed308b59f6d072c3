"""ss_poc.core.refine: from probabilities to masks, on maps small enough to write out."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_masks import drawn, shown

from ss_poc.core.config import Rule
from ss_poc.core.refine import refine, refine_channel, resize_probability, scaled_rule, threshold_and_pad

# --- each rule alone


def rule(**values) -> Rule:
    return Rule("x", "#ff0000", (4, 4), **values)


def probabilities(mask: np.ndarray, value: float = 1.0) -> np.ndarray:
    return (mask * value).astype(np.float32)[..., None]


def refined(mask: np.ndarray, size_hw=None, threshold=None, **values) -> list[str]:
    return shown(refine(probabilities(mask), [rule(**values)], size_hw or mask.shape, threshold)[..., 0])


def test_a_pixel_belongs_from_the_threshold_on():
    values = np.array([[0.0, 0.49, 0.5, 0.51, 1.0]], np.float32)[..., None]
    assert shown(refine(values, [rule(proba=0.5)], (1, 5))[..., 0]) == ["..###"]
    assert shown(refine(values, [rule(proba=0.25)], (1, 5))[..., 0]) == [".####"]


@pytest.mark.parametrize(("threshold", "expected"), [(None, "...#"), (0.5, "..##"), (0.0, "####"), (1.0, "....")])
def test_a_threshold_given_is_used_instead_of_the_rules_own_even_0(threshold, expected):
    values = np.array([[0.0, 0.4, 0.6, 0.9]], np.float32)[..., None]
    assert shown(refine(values, [rule(proba=0.8)], (1, 4), threshold)[..., 0]) == [expected]


def test_a_pixel_dilated_by_1_is_a_cross_of_5():
    assert refined(drawn(".....", ".....", "..#..", "....."), pad=1) == [".....", "..#..", ".###.", "..#.."]


def test_dilation_is_cut_at_the_border():
    assert refined(drawn("#...", "....", "...."), pad=1) == ["##..", "#...", "...."]


def test_dilation_of_nothing_is_nothing():
    assert refined(np.zeros((3, 5), bool), pad=2, convex=True, reduce_size=2) == [".....", ".....", "....."]


def test_components_below_the_area_are_dropped_and_corners_connect():
    mask = drawn("#..##..",
                 "......#",
                 "##....#",
                 "..#....")
    assert refined(mask, reduce_size=0) == refined(mask, reduce_size=1) == shown(mask)
    assert refined(mask, reduce_size=2) == ["...##..", "......#", "##....#", "..#...."]
    assert refined(mask, reduce_size=3) == [".......", ".......", "##.....", "..#...."]
    assert refined(mask, reduce_size=4) == ["." * 7] * 4


def test_the_hull_of_an_angle_is_a_triangle():
    assert refined(drawn("#...", "#...", "#...", "####"), convex=True) == ["#...", "##..", "###.", "####"]


def test_the_hull_fills_holes():
    assert refined(drawn("###", "#.#", "###"), convex=True) == ["###", "###", "###"]


def test_hulls_are_taken_for_each_component_not_across():
    mask = drawn("##..#",
                 "#....",
                 "....#",
                 "...##")
    assert refined(mask, convex=True) == shown(mask)


def test_dilation_comes_before_the_area():
    pixel = drawn(".....", "..#..", ".....")
    assert refined(pixel, pad=1, reduce_size=5) == ["..#..", ".###.", "..#.."]
    assert refined(pixel, pad=1, reduce_size=6) == ["....."] * 3


def test_the_area_comes_before_the_hull():
    angle = drawn("#...", "#...", "#...", "####")  # 7 pixels, its hull 10
    assert refined(angle, reduce_size=7, convex=True) == ["#...", "##..", "###.", "####"]
    assert refined(angle, reduce_size=8, convex=True) == ["...."] * 4


def test_every_channel_follows_its_own_rule():
    values = np.full((2, 3, 3), 0.6, np.float32)
    values[..., 2] = 0.0
    mask = refine(values, [rule(proba=0.5), rule(proba=0.7), rule(proba=0.1)], (2, 3))
    assert mask.shape == (2, 3, 3) and mask.dtype == bool
    assert [bool(mask[..., channel].all()) for channel in range(3)] == [True, False, False]
    assert not mask[..., 1:].any()


def test_rules_for_another_number_of_channels_are_refused():
    with pytest.raises(ValueError, match="2 channels but 1 rules"):
        refine(np.zeros((2, 3, 2), np.float32), [rule()], (2, 3))


def test_refine_leaves_the_probabilities_as_they_were():
    values = probabilities(drawn("#..", "..#"))
    before = values.copy()
    refine(values, [rule(pad=1, reduce_size=3, convex=True)], (2, 3))
    np.testing.assert_array_equal(values, before)


# --- from the size of the map to that of the image

# One pixel of a 4 x 4 map, at (1, 1). Bilinear, twice as large: 3/4 of it at 2 and 3, 1/4 at 1 and 4, each way.
MAP = drawn("....", ".#..", "....", "....")


def test_a_map_grows_bilinearly():
    line = np.array([0, 0.25, 0.75, 0.75, 0.25, 0, 0, 0], np.float32)
    np.testing.assert_allclose(resize_probability(MAP.astype(np.float32), (8, 8)), np.outer(line, line))
    assert refined(MAP, (8, 8)) == ["........", "........", "..##....", "..##....", *["........"] * 4]
    assert refined(MAP, (8, 8), proba=0.06) == ["........", *[".####..."] * 4, *["........"] * 3]


def test_a_map_of_the_right_size_is_taken_as_it_is():
    values = np.array([[0.1, 0.9, 0.3]], np.float32)
    assert resize_probability(values, (1, 3)) is values


def test_a_map_of_another_shape_follows_the_image_in_height_and_width():
    values = np.zeros((2, 4), np.float32)
    values[:, 3] = 1.0
    grown = resize_probability(values, (6, 8))
    np.testing.assert_allclose(grown, np.tile([0, 0, 0, 0, 0, 0.25, 0.75, 1], (6, 1)))


def test_dilation_grows_with_the_image():
    # 1 pixel of the map is 2 of the image; a disc of radius 2 is 1, 5, 5, 5, 1 wide.
    assert refined(MAP, (8, 8), pad=1) == [
        "..##....",
        "######..",
        "######..",
        "######..",
        "######..",
        "..##....",
        "........",
        "........"]


def test_the_least_area_grows_with_the_image():
    square = ["........", "........", "..##....", "..##....", *["........"] * 4]  # 4 pixels of the image
    assert refined(MAP, (8, 8), reduce_size=1) == square
    assert refined(MAP, (8, 8), reduce_size=2) == ["........"] * 8


@pytest.mark.parametrize(("from_hw", "to_hw", "expected"), [
    ((4, 4), (8, 8), (4, 40.0)), ((4, 6), (2, 3), (1, 2.5)), ((4, 4), (8, 2), (2, 10.0)), ((3, 5), (3, 5), (2, 10.0)),
    ((100, 100), (10, 10), (0, 0.1))])
def test_a_rule_scales_by_length_and_by_area(from_hw, to_hw, expected):
    pad, area = scaled_rule(2, 10, from_hw, to_hw)
    assert pad == expected[0] and area == pytest.approx(expected[1])


def test_the_steps_that_search_calls_are_those_that_refine_calls():
    values = np.array([[0.2, 0.5, 0.2, 0.1], [0.1, 0.2, 0.1, 0.9]], np.float32)
    padded = threshold_and_pad(values, 0.5, 1)
    assert padded.dtype == np.uint8 and shown(padded) == ["####", ".###"]
    assert shown(refine_channel(values, 0.5, 0, 0, False)) == [".#..", "...#"]
    assert refine_channel(values, 0.5, 0, 0, False).dtype == bool


@pytest.mark.parametrize("size_hw", [(40, 60), (83, 121), (13, 20), (40, 61), (1, 1)])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 0.99, 1.0])
def test_refine_looks_only_where_something_can_be_and_misses_nothing(size_hw, threshold):
    random = np.random.default_rng(size_hw[1])
    for _ in range(10):
        values = np.zeros((40, 60, 1), np.float32)
        for _ in range(int(random.integers(0, 4))):  # spots, some of them at a border
            top, left = int(random.integers(0, 40)), int(random.integers(0, 60))
            values[top:top + 7, left:left + 9] = random.random(values[top:top + 7, left:left + 9].shape)
        chosen = rule(pad=int(random.integers(0, 4)), reduce_size=int(random.integers(0, 30)),
                      convex=bool(random.integers(0, 2)))
        pad, area = scaled_rule(chosen.pad, chosen.reduce_size, (40, 60), size_hw)
        whole = refine_channel(resize_probability(values[..., 0], size_hw), threshold, pad, area, chosen.convex)
        np.testing.assert_array_equal(refine(values, [chosen], size_hw, threshold)[..., 0], whole)
