"""ss_poc.core.masks: RLE, polygons and objects, on masks small enough to write out."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from drawn_masks import drawn, shown
from pycocotools import mask as coco_mask

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
