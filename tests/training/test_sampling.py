"""ss_poc.training.sampling: photographs decoded, brought to a scale, kept and cut."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from drawn_samples import boxes, coded, equal, labelled, whole

from ss_poc.training.crops import Crops
from ss_poc.training.sampling import Draws, cut, inside, resize_nearest

HAND = np.arange(4)[:, None] * 10 + np.arange(6)  # pixel (y, x) of 4x6 is 10 y + x


# --- cutting


@pytest.mark.parametrize(("y", "x", "size_hw", "rows", "columns"), [
    (2, 3, (2, 4), [1, 2], [1, 2, 3, 4]),  # inside
    (2, 3, (4, 6), [0, 1, 2, 3], [0, 1, 2, 3, 4, 5]),  # all of it
    (1, 1, (4, 4), [1, 0, 1, 2], [1, 0, 1, 2]),  # upper left corner
    (1, 5, (4, 4), [1, 0, 1, 2], [3, 4, 5, 4]),  # upper right
    (3, 1, (4, 4), [1, 2, 3, 2], [1, 0, 1, 2]),  # lower left
    (3, 5, (4, 4), [1, 2, 3, 2], [3, 4, 5, 4]),  # lower right
    (2, 3, (7, 6), [1, 0, 1, 2, 3, 2, 1], [0, 1, 2, 3, 4, 5]),  # too low: in the middle, one more below
    (2, 3, (4, 9), [0, 1, 2, 3], [1, 0, 1, 2, 3, 4, 5, 4, 3]),
    (2, 3, (12, 2), [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1], [2, 3])])  # reflected more than once
def test_a_cut_goes_on_by_reflection_where_the_image_ends(y, x, size_hw, rows, columns):
    found = cut(np.dstack([HAND, HAND + 100]).astype(np.uint8), y, x, size_hw)
    expected = HAND[np.ix_(rows, columns)]
    assert found[..., 0].tolist() == expected.tolist() and found[..., 1].tolist() == (expected + 100).tolist()


@pytest.mark.parametrize(("y", "x", "size_hw"), [(2, 3, (2, 2)), (0, 0, (4, 4)), (2, 3, (9, 9))])
@pytest.mark.parametrize("planes", [1, 2, 3, 5])
def test_a_cut_keeps_its_planes_however_many(y, x, size_hw, planes):
    assert cut(np.zeros((4, 6, planes), np.uint8), y, x, size_hw).shape == (*size_hw, planes)


def test_a_cut_of_a_single_row_repeats_it():
    found = cut(HAND[:1, :, None].astype(np.uint8), 0.5, 3, (3, 4))
    assert found[..., 0].tolist() == [[1, 2, 3, 4]] * 3


@pytest.mark.parametrize(("middle", "side", "length", "expected"), [
    (50, 20, 100, 50), (3, 20, 100, 10), (10, 20, 100, 10), (99, 20, 100, 90), (-5, 20, 100, 10), (500, 20, 100, 90),
    (3, 20, 20, 10), (3, 20, 21, 10), (50, 20, 21, 11),
    (3, 20, 15, 7.5), (14, 20, 15, 7.5), (0, 1, 1, 0.5)])
def test_a_crop_is_moved_inside_the_image_or_to_its_middle(middle, side, length, expected):
    assert inside(middle, side, length) == expected


# --- masks as bits


def test_resized_mask_takes_the_pixel_at_each_centre():
    mask = np.zeros((4, 8, 1), np.uint8)
    mask[:2, 4:] = 192
    assert resize_nearest(mask, (2, 4))[..., 0].tolist() == [[0, 0, 192, 192], [0, 0, 0, 0]]
    assert resize_nearest(mask, (8, 16))[..., 0].sum() == 4 * mask.sum()
    assert resize_nearest(mask, (4, 8)) is mask
    # the centre of 4 rows is where row 2 begins; the centres of the halves of 6 columns are in columns 1 and 4
    assert resize_nearest(HAND[..., None].astype(np.uint8), (1, 2))[..., 0].tolist() == [[21, 24]]


def test_resizing_never_invents_a_value_and_never_leaves_the_mask():
    mask = np.random.default_rng(0).choice([1, 16, 255], (7, 13, 2)).astype(np.uint8)
    for size_hw in ((1, 1), (3, 31), (50, 5), (7, 12), (700, 1)):
        found = resize_nearest(mask, size_hw)
        assert found.shape == (*size_hw, 2) and set(np.unique(found)) <= {1, 16, 255}


# --- decoded samples


@pytest.mark.parametrize(("classes", "planes"), [(1, 1), (8, 1), (9, 2), (11, 2)])
def test_classes_are_bits_and_come_back_as_they_were(tmp_path, classes, planes):
    # class c is a box of its own size; neighbouring classes overlap
    mask = boxes((40, 60), classes, *[(channel, 2 * channel, 3 * channel, 5, 7 + channel)
                                      for channel in range(classes)])
    source = whole(labelled(tmp_path, [coded((40, 60), 9)], [mask]), classes)
    image, bits = source.decoded(0)
    assert bits.shape == (40, 60, planes) and bits.dtype == np.uint8
    np.testing.assert_array_equal(np.unpackbits(bits, axis=-1, count=classes), mask)
    np.testing.assert_array_equal(image, coded((40, 60), 9))


def test_a_clean_image_has_no_bits(samples):
    image, bits = whole(samples).decoded(3)
    assert bits.shape == (40, 60, 1) and not bits.any() and image[0, 0, 2] == 3


@pytest.mark.parametrize(("scale", "size_hw"), [(0.5, (20, 30)), (2.0, (80, 120)), (0.0, (32, 64)), (0.1, (4, 6))])
def test_samples_are_brought_to_the_scale_or_squeezed(samples, scale, size_hw):
    source = whole(samples, scale=scale)
    image, bits = source.decoded(0)
    assert source.map_size(0) == image.shape[:2] == bits.shape[:2] == size_hw
    # the box covers a quarter of the rows and a third of the columns
    assert bits.any(axis=-1).sum() == pytest.approx(size_hw[0] * size_hw[1] / 12, rel=0.2)
    assert set(np.unique(bits)) == {0, 128}


def test_an_object_may_be_lost_where_images_are_shrunk(tmp_path):
    mask = boxes((40, 60), 1, (0, 0, 0, 1, 1))
    source = whole(labelled(tmp_path, [coded((40, 60), 1)], [mask]), scale=0.1)
    assert not source.decoded(0)[1].any()
    image, bits = Crops(source, (4, 6), 1, sampling=1.0).batch(0, 0)
    assert image.shape == (1, 4, 6, 3) and not bits.any()


@pytest.mark.parametrize(("classes", "bytes_a_pixel"), [(1, 4), (8, 4), (9, 5)])
def test_samples_are_kept_if_all_fit_and_only_then(samples, decodings, classes, bytes_a_pixel):
    size = 7 * 40 * 60 * bytes_a_pixel
    fits, not_quite = whole(samples, classes, size), whole(samples, classes, size - 1)
    assert fits.cached and not not_quite.cached
    for _ in range(3):
        fits.decoded(2)
    assert decodings == ["002.png"]
    first, second = not_quite.decoded(2), not_quite.decoded(2)  # the last one is at hand still
    assert decodings == ["002.png"] * 2 and equal(first, second)
    not_quite.decoded(0)
    assert equal(not_quite.decoded(2), first) and decodings == ["002.png", "002.png", "000.png", "002.png"]


def test_an_unknown_channel_is_an_error(samples):
    strange = dataclasses.replace(samples[0], regions=tuple(dataclasses.replace(region, channel=5)
                                                            for region in samples[0].regions))
    with pytest.raises(IndexError):
        whole([strange]).decoded(0)


def test_draws_stay_inside_and_name_the_sample_that_chance_left(mixed):
    draws = Draws(whole(mixed, 2), sampling=0.0)
    for item in range(50):
        number, y, x = draws.place(np.random.default_rng(item), 9, (16, 24))
        assert number == 9 and 8 <= y <= 32 and 12 <= x <= 48
