"""ss_poc.data.facts: facts of a data set."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from coco_folder import CocoFolder, box, noise
from PIL import Image

from ss_poc.core.errors import ImageError
from ss_poc.core.masks import encode_rle
from ss_poc.data.dataset import Sample
from ss_poc.data.facts import MOST_SAMPLES, Survey, survey_samples


def survey_of(folder: CocoFolder, classes: int = 1) -> Survey:
    return survey_samples(folder.load().samples, classes)


@pytest.fixture
def folder(tmp_path) -> CocoFolder:
    return CocoFolder(tmp_path, good=0)


def draw(folder: CocoFolder, *pictures: list[str], category_id: int = 1) -> None:
    """An image a picture: what is '#' is one region, as RLE."""
    for picture in pictures:
        mask = np.array([[pixel == "#" for pixel in row] for row in picture])
        number = folder.image(f"drawn{len(folder.value['images'])}.png", mask.shape)
        if mask.any():
            folder.region(number, encode_rle(mask), category_id)


def placed(folder: CocoFolder, *places_yx: tuple[int, int], category_id: int = 1) -> None:
    """An image of 40x60 a place, with an object of 4x6 whose upper left pixel is there."""
    for top, left in places_yx:
        number = folder.image(f"placed{len(folder.value['images'])}.png", (40, 60))
        folder.region(number, [box(left, top, left + 6, top + 4)], category_id)


# --- counts and sizes


def test_images_clean_ones_and_those_of_each_class_are_counted(folder):
    folder.value["categories"].append({"id": 2, "name": "Dent"})
    for number in range(5):
        folder.image(f"{number}.png")
    folder.region(1)
    folder.region(1, category_id=2)
    folder.region(2)
    folder.region(2)  # two regions of a class are one image
    found = survey_of(folder, 2)
    assert (found.images, found.clean, found.class_images) == (5, 3, (2, 1))


def test_a_class_that_is_not_among_these_images_counts_none(folder):
    folder.region(folder.image("a.png"))
    assert survey_of(folder, 3).class_images == (1, 0, 0)


def test_sizes_are_the_median_and_the_largest_of_each_side_clean_images_too(folder):
    for number, size_hw in enumerate([(40, 60), (20, 90), (30, 30)]):
        image_id = folder.image(f"{number}.png", size_hw)
        if number == 0:
            folder.region(image_id)
    found = survey_of(folder)
    assert (found.median_hw, found.largest_hw) == ((30, 60), (40, 90))


def test_median_of_two_sizes_is_between_them(folder):
    folder.region(folder.image("a.png", (10, 30)))
    folder.image("b.png", (20, 60))
    assert survey_of(folder).median_hw == (15, 45)


# --- objects


def test_objects_are_measured_by_hand(folder):
    draw(folder, ["##..#.",
                  "##..#.",
                  "....#.",
                  "##...."])
    found = survey_of(folder)
    # areas 2, 3 and 4: a tenth of the way from the first to the last is 0.2 objects on
    assert found.object_area == pytest.approx(2.2)
    assert found.covered == pytest.approx(9 / 24)
    assert found.object_width == pytest.approx(1, abs=0.1)


def test_pixels_that_touch_at_a_corner_are_one_object(folder):
    draw(folder, ["#.....",
                  ".#....",
                  "..#...",
                  "......"])
    assert survey_of(folder).object_area == 3


@pytest.mark.parametrize(("height", "width", "thickness"), [(1, 20, 1), (3, 3, 3), (3, 20, 3), (20, 5, 5), (9, 11, 9)])
def test_width_is_the_thickness_not_the_length(folder, height, width, thickness):
    number = folder.image("a.png", (30, 40))
    folder.region(number, [box(6, 5, 6 + width, 5 + height)])
    assert survey_of(folder).object_width == pytest.approx(thickness, rel=0.1)


@pytest.mark.parametrize("picture", [
    ["######", "######", "######", "......"],  # in a corner: 3 rows
    ["......", "......", "......", "......", "######", "######", "######"],
    ["###...", "###...", "###...", "###..."]])
def test_an_object_at_the_border_of_the_image_ends_there(folder, picture):
    draw(folder, picture)
    assert survey_of(folder).object_width == pytest.approx(3, rel=0.1)


def test_an_image_that_is_all_object_is_as_thick_as_its_shorter_side(folder):
    draw(folder, ["#####"] * 9)
    found = survey_of(folder)
    assert found.covered == 1.0 and found.object_area == 45
    assert found.object_width == pytest.approx(5, rel=0.1)


def test_the_thinnest_part_does_not_count_where_it_is_thicker_elsewhere(folder):
    number = folder.image("a.png", (20, 40))
    folder.region(number, [box(2, 10, 30, 11), box(20, 6, 27, 13)])  # a line through a square of 7
    assert survey_of(folder).object_width == pytest.approx(7, rel=0.1)


def test_nine_of_ten_objects_exceed_the_area_and_the_width(folder):
    for height in range(1, 23, 2):  # eleven bars, 21 wide
        folder.region(folder.image(f"{height}.png", (24, 30)), [box(4, 0, 25, height)])
    found = survey_of(folder)
    assert found.object_area == 3 * 21  # the second of eleven
    assert found.object_width == pytest.approx(3, rel=0.1)


def test_three_of_four_objects_exceed_the_common_area_and_width(folder):
    for height in range(1, 23, 2):  # eleven bars, 21 wide
        folder.region(folder.image(f"{height}.png", (24, 30)), [box(4, 0, 25, height)])
    found = survey_of(folder)
    assert found.common_area == 6 * 21  # between the third and the fourth of eleven, 5 and 7 high
    assert found.common_width == pytest.approx(6, rel=0.1)


def test_the_class_of_the_smallest_objects_says_what_is_common_however_rare(folder):
    folder.value["categories"].append({"id": 2, "name": "Dent"})
    for number in range(20):
        folder.region(folder.image(f"{number}.png", (24, 30)), [box(4, 0, 25, 15)])
    folder.region(folder.image("small.png", (24, 30)), [box(2, 2, 6, 5)], category_id=2)
    found = survey_of(folder, 3)  # the third class has no object
    assert found.common_area == 4 * 3 and found.common_width == pytest.approx(3, rel=0.1)
    assert found.object_area == 15 * 21  # a twenty-first of all objects is less than a tenth


def test_classes_that_overlap_are_objects_of_their_own_but_cover_a_pixel_once(folder):
    folder.value["categories"].append({"id": 2, "name": "Dent"})
    number = folder.image("a.png", (4, 6))
    folder.region(number, [box(0, 0, 3, 4)])
    folder.region(number, [box(2, 0, 4, 4)], category_id=2)
    found = survey_of(folder, 2)
    assert found.covered == pytest.approx(16 / 24)
    assert found.object_area == pytest.approx(8 + 0.1 * 4)  # 8 and 12


def test_the_part_covered_is_a_mean_over_labelled_images(folder):
    draw(folder, ["######", "......"], ["###...", "......"], ["......", "......"])
    assert survey_of(folder).covered == pytest.approx((1 / 2 + 1 / 4) / 2)


def test_clean_images_alone_have_no_objects(folder):
    folder.region(folder.image("a.png"))
    folder.image("b.png", (8, 12))
    folder.image("c.png", (8, 12))
    found = survey_samples([sample for sample in folder.load().samples if not sample.regions], 2)
    assert (found.images, found.clean, found.class_images) == (2, 2, (0, 0))
    assert (found.object_area, found.object_width, found.covered) == (0, 0, 0)
    assert (found.common_area, found.common_width) == (0, 0)
    assert found.median_hw == (8, 12) and found.turnable_v and found.turnable_h


# --- colour


def paint(path: Path, size_hw: tuple[int, int], *pixel: int) -> None:
    """An image of one colour, its brightness changing from row to row."""
    rows = np.arange(size_hw[0])[:, None, None] % 50
    Image.fromarray((np.zeros((*size_hw, 3)) + pixel + rows).astype(np.uint8)).save(path)


@pytest.mark.parametrize(("pixel", "grey"), [((90, 90, 90), True), ((90, 91, 90), True), ((90, 93, 90), False),
                                             ((0, 0, 200), False)])
def test_a_photograph_is_grey_if_its_colours_are_equal_but_for_rounding(folder, pixel, grey):
    folder.region(folder.image("a.png", (40, 60), draw=False))
    paint(folder.root / "a.png", (40, 60), *pixel)
    assert survey_of(folder).grey is grey


def test_one_colour_photograph_is_enough(folder):
    for name, pixel in (("a.png", (90, 90, 90)), ("b.png", (200, 0, 0)), ("c.png", (90, 90, 90))):
        folder.region(folder.image(name, (40, 60), draw=False))
        paint(folder.root / name, (40, 60), *pixel)
    assert not survey_of(folder).grey


def test_a_grey_file_is_grey(folder):
    folder.region(folder.image("a.png", (40, 60), draw=False))
    Image.fromarray(noise((40, 60), 1)[..., 0]).save(folder.root / "a.png")
    assert survey_of(folder).grey


# --- what may be turned

# Tops of an object of 4 rows in 40: middles from 0.05 to 0.4, on average 0.225, standard error 0.043.
ABOVE = [0, 2, 4, 6, 8, 10, 12, 14]
EVEN = [0, 5, 10, 15, 21, 26, 31, 36]


def test_a_class_that_keeps_to_the_upper_half_forbids_upside_down_alone(folder):
    placed(folder, *zip(ABOVE, (0, 50, 10, 40, 20, 34, 26, 28), strict=True))
    found = survey_of(folder)
    assert (found.turnable_v, found.turnable_h) == (False, True)


def test_a_class_that_keeps_to_the_right_forbids_mirroring_alone(folder):
    placed(folder, *zip(EVEN, (54 - top for top in ABOVE), strict=True))
    found = survey_of(folder)
    assert (found.turnable_v, found.turnable_h) == (True, False)


def test_a_class_that_is_spread_evenly_may_be_turned(folder):
    placed(folder, *zip(EVEN, reversed(EVEN), strict=True))
    found = survey_of(folder)
    assert (found.turnable_v, found.turnable_h) == (True, True)


def test_seven_images_prove_nothing(folder):
    placed(folder, *((top, 27) for top in ABOVE[:7]))
    assert survey_of(folder).turnable_v


def test_a_class_at_one_and_the_same_place_keeps_to_it(folder):
    placed(folder, *[(0, 27)] * 8)
    found = survey_of(folder)
    assert (found.turnable_v, found.turnable_h) == (False, True)


def test_chance_alone_does_not_keep_a_class_to_one_side(folder):
    # middles 0.05 six times and 0.95 twice: on average 0.275, but the standard error is 0.147
    placed(folder, *((top, 27) for top in [0] * 6 + [36] * 2))
    assert survey_of(folder).turnable_v


def test_a_class_that_is_mostly_but_not_always_on_one_side_may_be_turned(folder):
    # middles 0.05 of 34 and 0.95 of 6: on average 0.185 with a standard error of 0.051, but 15 % lie below
    placed(folder, *((top, 27) for top in [0] * 34 + [36] * 6))
    assert survey_of(folder).turnable_v


def test_a_little_off_the_middle_is_not_one_side(folder):
    placed(folder, *[(15, 27)] * 8)  # 17 / 40, that is 0.075 off
    assert survey_of(folder).turnable_v


def test_one_class_of_several_is_enough_to_forbid_it(folder):
    folder.value["categories"].append({"id": 2, "name": "Dent"})
    placed(folder, *((top, 27) for top in EVEN))
    placed(folder, *((36 - top, 27) for top in ABOVE), category_id=2)
    found = survey_of(folder, 2)
    assert (found.turnable_v, found.turnable_h) == (False, True)


# --- large sets and bad files


def test_of_many_images_all_are_counted_but_only_some_looked_at(folder, monkeypatch):
    folder.region(folder.image("a.png"))
    (sample,) = folder.load().samples
    many = [dataclasses.replace(sample, name=str(number)) for number in range(2 * MOST_SAMPLES + 1)]
    decoded, decode = [], Sample.image
    monkeypatch.setattr(Sample, "image", lambda self: decoded.append(self.name) or decode(self))
    found = survey_samples(many, 1)
    assert (found.images, found.class_images) == (2 * MOST_SAMPLES + 1, (2 * MOST_SAMPLES + 1,))
    assert MOST_SAMPLES / 2 <= len(decoded) <= MOST_SAMPLES
    assert min(map(int, decoded)) < 4 and max(map(int, decoded)) > 396  # from the first to the last
    assert found.object_area == 6


def test_an_image_that_has_gone_bad_is_an_error(folder):
    folder.region(folder.image("a.png"))
    samples = folder.load().samples
    samples[0].path.write_bytes(b"gone bad")
    with pytest.raises(ImageError, match="no image"):
        survey_samples(samples, 1)
