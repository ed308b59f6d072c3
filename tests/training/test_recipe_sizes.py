"""ss_poc.training.recipe: scale, size, window and crop that follow from a data set and a machine."""

from __future__ import annotations

import dataclasses

import pytest
from recipes import CPU, GPU, LARGE, THIN, chosen

from ss_poc.core.config import parse_size
from ss_poc.training.recipe import LEAST_PIXELS, window

pytestmark = pytest.mark.usefixtures("limits")


# --- scale


def test_thin_objects_are_looked_at_pixel_by_pixel():
    config, rows = chosen()
    assert config.scale == 1.0
    assert rows["scale"].value == "1 (native)" and "3 pixels wide" in rows["scale"].why


def test_small_objects_are_looked_at_pixel_by_pixel_however_round():
    # 12 / sqrt(121) > 1
    config, rows = chosen(survey=dataclasses.replace(THIN, object_width=30.0, object_area=121.0))
    assert config.scale == 1.0 and "121 pixels" in rows["scale"].why


@pytest.mark.parametrize(("width", "area", "scale", "says"), [
    (24.0, 14400.0, 0.25, "24 pixels wide"),  # 6 / 24; 12 / 120 = 0.1; the image 0.181
    (600.0, 900.0, 0.4, "900 pixels"),  # 12 / 30
    (600.0, 1e6, 0.181, "no smaller")])  # sqrt(49152 / 1500000)
def test_the_most_demanding_of_width_area_and_image_sets_the_scale(width, area, scale, says):
    config, rows = chosen(survey=dataclasses.replace(THIN, object_width=width, object_area=area))
    assert config.scale == scale and rows["scale"].value == f"{scale:g}" and says in rows["scale"].why


def test_large_objects_in_large_photographs_are_shrunk_to_the_least_pixels_and_no_further():
    config, rows = chosen(survey=LARGE)
    assert config.scale == 0.064  # 192 * 256 pixels of 12 million
    assert round(3000 * config.scale) * round(4000 * config.scale) >= LEAST_PIXELS
    assert (config.size, config.crop) == ("192x256", "192x256")
    assert "1000 of 1000 images fit one" in rows["size"].why and "whole images" in rows["crop"].why


@pytest.mark.parametrize(("width", "scale"), [(7.9, 1.0), (8.0, 0.75), (8.1, 0.741), (6.0, 1.0), (0.5, 1.0)])
def test_a_little_shrinking_is_not_worth_it(width, scale):
    assert chosen(survey=dataclasses.replace(THIN, object_width=width))[0].scale == scale


@pytest.mark.parametrize(("width", "area", "scale"), [
    (12.0, 1e4, 0.5), (10.0, 1e4, 0.6), (8.0, 1e4, 0.75),  # 6 / 12, 6 / 10, 6 / 8
    (100.0, 400.0, 0.6),  # 12 / 20
    (100.0, 1e6, 0.5),  # no less than half
    (7.9, 1e4, 1.0), (100.0, 255.0, 1.0),  # 0.759, 0.751: a little shrinking is not worth it
    (0.0, 0.0, 1.0)])  # a run of an earlier version did not say
def test_large_photographs_are_shrunk_for_three_of_four_objects(width, area, scale):
    config, rows = chosen(survey=dataclasses.replace(THIN, common_width=width, common_area=area))
    assert config.scale == scale and ("3 of 4 objects" in rows["scale"].why) == (scale < 1)


@pytest.mark.parametrize(("median_hw", "here", "scale"), [
    ((448, 448), CPU, 1.0), ((490, 500), CPU, 1.0),  # one window; 448 / 495
    ((448, 896), CPU, 0.707), ((896, 896), CPU, 0.5), ((896, 448), CPU, 0.707),
    ((1000, 1500), GPU, 1.0), ((1024, 2048), GPU, 0.707), ((4000, 4000), GPU, 0.5)])
def test_photographs_are_shrunk_for_most_objects_until_a_window_shows_one_and_no_further(median_hw, here, scale):
    survey = dataclasses.replace(THIN, median_hw=median_hw, largest_hw=median_hw, common_width=100.0, common_area=1e6)
    assert chosen(survey=survey, here=here)[0].scale == scale


def test_a_scale_that_suits_nine_of_ten_objects_may_be_smaller_still():
    config, rows = chosen(survey=dataclasses.replace(LARGE, common_width=900.0, common_area=1e7))
    assert config.scale == 0.064 and "no smaller" in rows["scale"].why


@pytest.mark.parametrize(("budget", "cores", "scale"), [
    ("2m", 2, 1.0),  # 90 s, two cores: 67500 pixels for each of 4000 crops, more than a crop has
    ("1m", 2, 0.541),  # 22500 of the 76800 pixels of an image
    ("1m", 4, 0.765), ("40s", 2, 0.4)])  # 7500 pixels would be 0.3125, but an object of 400 needs 8 / 20
def test_images_are_shrunk_where_the_time_is_too_short_to_see_4000_crops(budget, cores, scale):
    survey = dataclasses.replace(THIN, images=128, median_hw=(240, 320), largest_hw=(240, 320), object_width=10.0)
    config, rows = chosen(budget=budget, survey=survey, here=dataclasses.replace(CPU, cores=cores))
    assert config.scale == scale and ("too short" in rows["scale"].why) == (scale < 1)


def test_small_photographs_are_not_shrunk():
    small = dataclasses.replace(LARGE, median_hw=(120, 200), largest_hw=(120, 200))
    assert chosen(survey=small)[0].scale == 1.0


def test_no_object_at_all_is_no_reason_to_fail():
    config, _ = chosen(survey=dataclasses.replace(THIN, object_area=0.0, object_width=0.0, clean=1000,
                                                  class_images=(0, 0)))
    assert config.scale == 1.0


# --- size, window and crop


def test_a_size_alone_squeezes_whole_images():
    config, rows = chosen(size="256x320")
    assert (config.scale, config.size, config.crop) == (None, "256x320", "256x320")
    assert rows["scale"].value == "whole image" and "as you asked" in rows["scale"].why
    assert "size" not in rows


def test_a_size_and_a_scale_are_a_window_at_that_scale():
    config, rows = chosen(size="256x320", scale=0.5)
    assert (config.scale, config.size) == (0.5, "256x320")
    assert rows["size"].why == rows["scale"].why == "as you asked"
    assert config.crop == "224x224"  # of 500x750


def test_a_scale_alone_leaves_the_window_to_be_chosen():
    config, _ = chosen(scale=0.1)
    assert (config.size, config.crop) == ("128x160", "128x160")  # 100x150


@pytest.mark.parametrize(("largest_hw", "here", "crop"), [
    ((1000, 1500), CPU, "224x224"), ((1000, 1500), GPU, "512x512"),
    ((100, 200), CPU, "128x224"), ((100, 200), GPU, "128x224"),  # whole images
    ((256, 288), CPU, "256x288"),  # 73728 pixels, a little more than the 50176 of a crop
    ((256, 320), CPU, "224x224"),  # 81920 pixels: too much more
    ((64, 4000), CPU, "64x768"), ((4000, 64), CPU, "768x64"),  # 50176 / 64 = 784
    ((64, 4000), GPU, "64x4000"), ((20, 20), CPU, "32x32")])
def test_crops_have_about_the_pixels_that_the_machine_takes_and_no_more_than_an_image(largest_hw, here, crop):
    survey = dataclasses.replace(THIN, median_hw=largest_hw, largest_hw=largest_hw)
    config, rows = chosen(survey=survey, here=here)
    assert config.crop == rows["crop"].value == crop
    height, width = parse_size(crop)
    assert ("whole images: they are small" in rows["crop"].why) == (height >= largest_hw[0] and width >= largest_hw[1])


def test_crops_cut_out_say_what_they_save():
    # 1024x1504 pixels against 224x224
    assert "31 times the pixels" in chosen()[1]["crop"].why


def test_a_gpu_takes_larger_windows():
    survey = dataclasses.replace(THIN, median_hw=(4000, 4000), largest_hw=(4000, 4000))
    assert chosen(survey=survey)[0].size == "448x448"
    assert chosen(survey=survey, here=GPU)[0].size == "1024x1024"


@pytest.mark.parametrize("here", [CPU, GPU])
@pytest.mark.parametrize("image_hw", [(1000, 1500), (90, 2040), (2040, 90), (300, 400), (20, 30)])
def test_pspnet_gets_sizes_that_it_can_take(image_hw, here):
    survey = dataclasses.replace(THIN, median_hw=image_hw, largest_hw=image_hw)
    config, _ = chosen(survey=survey, here=here, architecture="pspnet")
    for size in (config.size, config.crop):
        assert all(length % 96 == 0 for length in parse_size(size)), size


# --- the cheapest window


@pytest.mark.parametrize(("sizes_hw", "expected"), [
    ([(100, 300)], (128, 320)),  # rounded up: one window, nothing to spare
    ([(96, 96)], (96, 96)),
    ([(5000, 5000)], (448, 448)),  # no larger fits 448 * 448 pixels
    # Half of the images are no larger than 90: from 96 on. Windows of 96 share 24 pixels, 400 of them take 6. All in
    # windows of 96x96: 2 + 36, 350208 pixels; of 416x416: 2 + 1, 519168; of 96x416: 2 + 6, 319488.
    ([(90, 90)] * 2 + [(400, 400)], (96, 416)),
    # The middle one of these is 245 pixels wide: nothing smaller than 256, though it would cost less.
    ([(90, 90), (400, 400)], (416, 416)),
    # Seventy small ones: 70 + 36 of 96x96, 976896 pixels, against 70 + 6 of 96x416, 3035136.
    ([(90, 90)] * 70 + [(400, 400)], (96, 96)),
    # Ten large ones: 1 + 10 of 416x416, 1903616; 1 + 60 of 96x416, 2436096; 1 + 360 of 96x96, 3326976.
    ([(90, 90)] + [(400, 400)] * 10, (416, 416))])
def test_the_window_is_the_one_that_costs_the_fewest_pixels(sizes_hw, expected):
    assert window(sizes_hw, 448 * 448) == expected


def test_the_order_of_the_images_does_not_matter():
    sizes_hw = [(90, 90), (400, 400), (130, 700), (90, 90), (333, 100)]
    assert len({window(order, 448 * 448) for order in (sizes_hw, sizes_hw[::-1], sorted(sizes_hw))}) == 1


@pytest.mark.parametrize("multiple", [32, 96])
@pytest.mark.parametrize("sizes_hw", [[(90, 2040)], [(2040, 90)], [(1, 1)], [(9, 99999)], [(700, 500), (31, 4000)]])
@pytest.mark.parametrize("most", [100 * 100, 448 * 448, 1024 * 1024])
def test_the_window_is_of_whole_strides_and_within_the_bound(sizes_hw, multiple, most):
    height, width = window(sizes_hw, most, multiple)
    assert height % multiple == 0 and width % multiple == 0 and height and width
    assert height * width <= most


def test_a_bound_below_one_stride_gives_one_stride():
    assert window([(500, 500)], 100, multiple=32) == (32, 32)
