"""ss_poc.core.masks: RLE, polygons, refinement, scores and overlays, on masks small enough to write out."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from ss_poc.core.config import Rule
from ss_poc.core.drawing import draw_overlay, hex_to_rgb, palette
from ss_poc.core.errors import DataError
from ss_poc.core.masks import (
    components,
    decode_rle,
    encode_rle,
    mask_to_polygons,
    polygons_area,
    polygons_to_mask,
    rle_counts,
)
from ss_poc.core.refine import refine, refine_channel, resize_probability, scaled_rule, threshold_and_pad
from ss_poc.core.scores import dice, intersection_union


def drawn(*rows: str) -> np.ndarray:
    """A mask from rows of '#' and '.'."""
    return np.array([[letter == "#" for letter in row] for row in rows])


def shown(mask: np.ndarray) -> list[str]:
    return ["".join(".#"[int(value)] for value in row) for row in mask]


HAND = drawn(".#..",
             ".##.",
             "#...")
# Down the columns: 0 0 1 | 1 1 0 | 0 1 0 | 0 0 0.
HAND_RUNS = [2, 3, 2, 1, 4]
# From the fourth on as differences to the one two before: 2 3 2 (1-3) (4-2); -2 is 30 in 5 bits; each plus 48.
HAND_TEXT = "232N2"


# --- RLE


@pytest.mark.parametrize(("mask", "runs", "text"), [
    (HAND, HAND_RUNS, HAND_TEXT),
    (np.zeros((2, 3), bool), [6], "6"),
    (np.ones((2, 3), bool), [0, 6], "06"),
    (drawn("#..", "..."), [0, 1, 5], "015"),
    (drawn("..#", "..#"), [4, 2], "42"),
    (np.zeros((1, 100), bool), [100], "T3"),  # 100 is 3 * 32 + 4: 4 with "another follows" (32), then 3
    (np.zeros((4, 4), bool), [16], "`0"),     # 16 alone would read as -16: 16 with "another follows", then 0
])
def test_rle_of_a_mask_written_out_by_hand(mask, runs, text):
    assert encode_rle(mask) == {"size": list(mask.shape), "counts": text}
    assert rle_counts(text) == rle_counts(text.encode()) == rle_counts(runs) == rle_counts(tuple(runs)) == runs
    for counts in (text, text.encode(), runs):
        np.testing.assert_array_equal(decode_rle({"size": list(mask.shape), "counts": counts}, mask.shape), mask)


def test_encoded_rle_is_pycocotools_own():
    random = np.random.default_rng(0)
    for height, width in ((1, 1), (7, 300), (300, 7), (41, 67)):
        for part in (0.0, 0.02, 0.5, 1.0):
            mask = random.random((height, width)) < part
            own = coco_mask.encode(np.asfortranarray(mask, np.uint8))
            assert encode_rle(mask) == {"size": own["size"], "counts": own["counts"].decode()}
            np.testing.assert_array_equal(coco_mask.decode(own), mask)
            np.testing.assert_array_equal(decode_rle(encode_rle(mask), mask.shape), mask)


def test_masks_of_any_memory_order_and_kind_encode_the_same():
    for mask in (np.asfortranarray(HAND), HAND.astype(np.uint8), np.repeat(HAND, 2, axis=1)[:, ::2]):
        assert encode_rle(mask)["counts"] == HAND_TEXT


def test_runs_of_no_pixel_are_allowed():
    np.testing.assert_array_equal(decode_rle({"size": [3, 4], "counts": [0, 0, 2, 3, 2, 1, 4, 0]}, (3, 4)), HAND)


@pytest.mark.parametrize("counts", [
    [2, 3, 2, 1, 3], [2, 3, 2, 1, 5], [], [0], [12, 1], [-1, 13], [13, -1], [6.0, 6.0], [6, None], [True, 11],
    ["6", "6"], [[12]], [float("nan"), 12], [10**30], "", "232N1", "232N3", "2", "T", "232N2`", "0N>", " 22", "23\n2",
    "é", "\ud800", "?\0", "zzz", "P" * 40, b"\xff", None, 12, 12.0, {"0": 12}])
def test_runs_that_do_not_fill_the_image_are_refused(counts):
    with pytest.raises(DataError) as refused:
        decode_rle({"size": [3, 4], "counts": counts}, (3, 4))
    assert refused.value.what.startswith("RLE") and refused.value.expected


def test_letters_outside_of_the_code_are_not_read_as_others():
    with pytest.raises(DataError, match="no compressed RLE"):
        decode_rle({"size": [3, 5], "counts": "é"}, (3, 5))  # read as "?" it would be 15 pixels of background


@pytest.mark.parametrize("size", [[4, 3], [3, 5], [3], [3, 4, 1], [], [-3, -4], [10**6, 10**6], "34", None, 12, {}])
def test_an_rle_of_another_size_is_refused(size):
    with pytest.raises(DataError, match="RLE size is") as refused:
        decode_rle({"size": size, "counts": HAND_RUNS}, (3, 4))
    assert "[3, 4]" in refused.value.expected


def test_an_rle_without_size_or_runs_is_refused():
    for rle in ({}, {"counts": HAND_RUNS}, {"size": [3, 4]}):
        with pytest.raises(DataError):
            decode_rle(rle, (3, 4))


@pytest.mark.parametrize("rle", [
    {"size": [10**6, 10**6], "counts": [10**12]}, {"size": [3, 4], "counts": [10**12]},
    {"size": [3, 4], "counts": [10**12, 10**12, -2 * 10**12 + 12]}, {"size": [3, 4], "counts": "`" * 11 + "1"}])
def test_a_claim_of_a_huge_mask_is_refused_before_memory_is_taken(rle):
    tracemalloc.start()
    try:
        with pytest.raises(DataError):
            decode_rle(rle, (3, 4))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


# --- polygons


def filled(mask: np.ndarray) -> np.ndarray:
    """The mask with its holes filled: all that cannot be reached from outside by steps up, down, left and right."""
    height, width = mask.shape
    todo, outside = [(-1, -1)], {(-1, -1)}
    while todo:
        y, x = todo.pop()
        for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside_frame = -1 <= near[0] <= height and -1 <= near[1] <= width
            in_image = 0 <= near[0] < height and 0 <= near[1] < width
            if near not in outside and inside_frame and not (in_image and mask[near]):
                outside.add(near)
                todo.append(near)
    return np.array([[(y, x) not in outside for x in range(width)] for y in range(height)])


def points(polygon: list[float]) -> set[tuple[float, ...]]:
    return set(zip(polygon[::2], polygon[1::2], strict=True))


def test_a_polygon_covers_the_pixels_whose_borders_it_runs_along():
    square = [1, 1, 4, 1, 4, 3, 1, 3]
    expected = ["......", ".###..", ".###..", "......"]
    assert shown(polygons_to_mask([square], (4, 6))) == expected
    assert polygons_area([square], (4, 6)) == 6


def test_polygons_of_one_region_are_united_not_counted_twice():
    polygons = [[0, 0, 3, 0, 3, 2, 0, 2], [2, 1, 5, 1, 5, 3, 2, 3]]
    assert shown(polygons_to_mask(polygons, (3, 6))) == ["###...", "#####.", "..###."]
    assert polygons_area(polygons, (3, 6)) == 11


def test_no_polygon_is_an_empty_mask():
    assert shown(polygons_to_mask([], (2, 3))) == ["...", "..."] and polygons_area([], (2, 3)) == 0
    assert mask_to_polygons(np.zeros((2, 3), bool)) == []


def test_a_polygon_beyond_the_image_is_cut_at_its_border():
    assert shown(polygons_to_mask([[-5, 1, 2, 1, 2, 9, -5, 9]], (3, 4))) == ["....", "##..", "##.."]


def test_a_pixel_becomes_the_square_around_it():
    (polygon,) = mask_to_polygons(drawn("....", "..#.", "...."))
    assert points(polygon) == {(2, 1), (3, 1), (3, 2), (2, 2)} and len(polygon) == 8


def test_a_block_keeps_its_full_width_and_has_four_corners():
    (polygon,) = mask_to_polygons(drawn(".....", ".###.", ".###."))
    assert points(polygon) == {(1, 1), (4, 1), (4, 3), (1, 3)} and len(polygon) == 8


def test_regions_apart_become_polygons_of_their_own():
    assert sorted(min(points(polygon)) for polygon in mask_to_polygons(drawn("#..#.", "#....", "....#"))) == [
        (0, 0), (3, 0), (4, 2)]


def test_every_mask_of_3_by_4_comes_back_from_its_polygons_but_for_holes():
    for bits in itertools.product((False, True), repeat=12):
        mask = np.array(bits).reshape(3, 4)
        np.testing.assert_array_equal(polygons_to_mask(mask_to_polygons(mask), (3, 4)), filled(mask))


@pytest.mark.parametrize("mask", [
    drawn("#...", ".#..", "..#.", "...#"), drawn("#.#.#", ".#.#."), drawn("#"), np.ones((1, 9), bool),
    np.ones((9, 1), bool), np.ones((3, 5), bool), drawn("###", "#.#", "#.#"), drawn("##.", ".##", "##.")])
def test_touching_corners_lines_and_notches_come_back_exactly(mask):
    np.testing.assert_array_equal(polygons_to_mask(mask_to_polygons(mask), mask.shape), mask)


def test_holes_are_dropped():
    ring = drawn("#####", "#...#", "#.#.#", "#...#", "#####")
    assert len(mask_to_polygons(ring)) == 1
    assert polygons_to_mask(mask_to_polygons(ring), (5, 5)).all()


def test_large_random_masks_come_back_from_their_polygons():
    random = np.random.default_rng(1)
    for size in ((40, 61), (61, 40)):
        for part in (0.1, 0.5):
            mask = random.random(size) < part
            np.testing.assert_array_equal(polygons_to_mask(mask_to_polygons(mask), size), filled(mask))


# --- refine: each rule alone


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


# --- refine: from the size of the map to that of the image

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


# --- objects


def test_objects_are_largest_first_with_area_box_and_mean_probability():
    mask = drawn("##...#",
                 "##...#",
                 "......",
                 "#.....",
                 ".##...")
    values = np.zeros((5, 6), np.float32)
    values[:2, :2] = [[0.5, 0.75], [1.0, 1.0]]   # mean 3.25 / 4
    values[:2, 5] = [0.5, 0.625]                 # mean 0.5625
    values[3, 0], values[4, 1:3] = 1.0, [0.5, 0.5]
    values[2, 3] = 1.0                           # not in the mask: of no object
    assert components(mask, values) == [
        {"score": 0.8125, "area": 4, "bbox": [0, 0, 2, 2]},
        {"score": 0.6667, "area": 3, "bbox": [0, 3, 3, 2]},
        {"score": 0.5625, "area": 2, "bbox": [5, 0, 1, 2]}]


def test_objects_of_one_area_are_sorted_by_place():
    mask = drawn("..#", "...", "#.#")
    assert [item["bbox"] for item in components(mask, np.ones((3, 3), np.float32))] == [
        [0, 2, 1, 1], [2, 0, 1, 1], [2, 2, 1, 1]]


def test_an_empty_mask_has_no_object_and_a_full_one_has_one():
    assert components(np.zeros((2, 5), bool), np.ones((2, 5), np.float32)) == []
    assert components(np.ones((2, 5), bool), np.full((2, 5), 0.5, np.float32)) == [
        {"score": 0.5, "area": 10, "bbox": [0, 0, 5, 2]}]


# --- scores

TRUE = np.stack([drawn("##..", "##.."), drawn("....", "...."), drawn("#...", "...."), drawn("....", "....")], -1)
GUESS = np.stack([drawn(".##.", ".##."), drawn("....", "...#"), drawn("....", "...."), drawn("....", "....")], -1)


def test_dice_is_twice_the_common_part_over_both_and_1_where_both_are_empty():
    np.testing.assert_allclose(dice(TRUE, GUESS), [2 * 2 / (4 + 4), 0, 0, 1])
    np.testing.assert_allclose(dice(GUESS, TRUE), [0.5, 0, 0, 1])
    np.testing.assert_array_equal(dice(TRUE, TRUE), [1, 1, 1, 1])
    assert dice(np.zeros((2, 4, 0), bool), np.zeros((2, 4, 0), bool)).shape == (0,)


def test_intersection_and_union_count_pixels_of_each_class():
    both, either = intersection_union(TRUE, GUESS)
    assert both.tolist() == [2, 0, 0, 0] and either.tolist() == [6, 1, 1, 0]


def test_iou_of_a_data_set_sums_before_it_divides():
    small, large = np.zeros((2, 4, 1), bool), np.ones((2, 4, 1), bool)
    small[0, 0] = True
    both, either = zip(intersection_union(small, small), intersection_union(large, small), strict=True)
    assert sum(both) / sum(either) == (1 + 1) / (1 + 8)


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
