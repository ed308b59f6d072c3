"""ss_poc.generator: samples to crops that train and windows that validate."""

from __future__ import annotations

import dataclasses
import itertools
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import albumentations
import cv2
import numpy as np
import pytest
from coco_folder import CocoFolder, noise
from PIL import Image

from ss_poc.augmentation import default_augmentation, load_augmentation
from ss_poc.data import Sample
from ss_poc.errors import ConfigError, ImageError
from ss_poc.generator import RENEW, Crops, Mosaic, preview, tf_dataset
from ss_poc.masks import encode_rle
from ss_poc.parallel import ahead
from ss_poc.sources import Draws, Source, cut, inside, resize_nearest
from ss_poc.windows import Windows

PLENTY = 10**9
HAND = np.arange(4)[:, None] * 10 + np.arange(6)  # pixel (y, x) of 4x6 is 10 y + x


def coded(size_hw: tuple[int, int], number: int) -> np.ndarray:
    """(H, W, 3) uint8 whose pixels tell row, column and number."""
    rows, columns = np.mgrid[:size_hw[0], :size_hw[1]]
    return np.stack([rows, columns, rows * 0 + number], axis=-1).astype(np.uint8)


def boxes(size_hw: tuple[int, int], classes: int, *places: tuple[int, int, int, int, int]) -> np.ndarray:
    """(H, W, C) bool mask with a rectangle a (channel, top, left, height, width)."""
    mask = np.zeros((*size_hw, classes), bool)
    for channel, top, left, height, width in places:
        mask[top:top + height, left:left + width, channel] = True
    return mask


def labelled(root: Path, images: list[np.ndarray], masks: list[np.ndarray]) -> tuple[Sample, ...]:
    """The samples of a folder of these images, read through its json; every class must be in one of them."""
    folder = CocoFolder(root, good=0)
    classes = masks[0].shape[-1]
    folder.value["categories"] = [{"id": channel + 1, "name": f"class {channel}"} for channel in range(classes)]
    for number, (image, mask) in enumerate(zip(images, masks, strict=True)):
        name = f"{number:03}.png"
        image_id = folder.image(name, image.shape[:2], draw=False)
        Image.fromarray(image).save(folder.root / name)
        for channel in np.flatnonzero(mask.any(axis=(0, 1))):
            folder.region(image_id, encode_rle(mask[..., channel]), int(channel) + 1)
    return folder.load().samples


@pytest.fixture
def samples(tmp_path):
    """Seven coded images of 40x60; number 3 is clean, the others have a box at rows 10..19 and columns 10..29."""
    masks = [boxes((40, 60), 1, *[(0, 10, 10, 10, 20)] * (number != 3)) for number in range(7)]
    return labelled(tmp_path, [coded((40, 60), number) for number in range(7)], masks)


@pytest.fixture
def mixed(tmp_path):
    """Sixteen images of class 0, one of class 1, three clean, all 40x60 and coded."""
    masks = [boxes((40, 60), 2, (0, 5, 7, 8, 9)) for _ in range(16)]
    masks += [boxes((40, 60), 2, (1, 20, 30, 8, 9)), *[boxes((40, 60), 2)] * 3]
    return labelled(tmp_path, [coded((40, 60), number) for number in range(20)], masks)


@pytest.fixture
def decodings(monkeypatch):
    """Names of the samples that are decoded, in order."""
    names, decode = [], Sample.image
    monkeypatch.setattr(Sample, "image", lambda self: names.append(self.name) or decode(self))
    return names


def whole(samples, classes: int = 1, cache_bytes: int = PLENTY, scale: float = 1.0) -> Source:
    return Source(samples, classes, scale, (32, 64), cache_bytes)


def as_they_are() -> albumentations.Compose:
    """A pipeline of the user's that changes nothing; unlike none at all, it has the samples shuffled."""
    return albumentations.Compose([])


def flip_only() -> albumentations.Compose:
    return albumentations.Compose([albumentations.HorizontalFlip(p=1.0)])


def equal(left, right) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(left, right, strict=True))


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


# --- crops


def test_crops_hold_an_image_and_its_mask_at_the_same_place(tmp_path):
    sizes = [(40, 60), (100, 33), (32, 48)]
    masks = [np.random.default_rng(number).random((*size, 11)) < 0.3 for number, size in enumerate(sizes)]
    samples = labelled(tmp_path, [coded(size, number) for number, size in enumerate(sizes)], masks)
    crops = Crops(whole(samples, 11), (32, 32), 4, count=40, sampling=0.5)
    seen = set()
    for index in range(10):
        images, bits = crops.batch(0, index)
        assert images.shape == (4, 32, 32, 3) and bits.shape == (4, 32, 32, 2) and images.dtype == bits.dtype == "uint8"
        for image, planes in zip(images, np.unpackbits(bits, axis=-1, count=11), strict=True):
            rows, columns, number = image[..., 0], image[..., 1], int(image[0, 0, 2])
            assert (np.diff(rows[:, 0].astype(int)) == 1).all() and (np.diff(columns[0].astype(int)) == 1).all()
            np.testing.assert_array_equal(planes, masks[number][rows, columns])
            seen.add(number)
    assert seen == {0, 1, 2}


def test_an_image_smaller_than_the_crop_is_all_in_it(tmp_path):
    mask = boxes((20, 30), 1, (0, 0, 0, 1, 1), (0, 19, 29, 1, 1))
    samples = labelled(tmp_path, [coded((20, 30), 5)], [mask])
    for default in (None, default_augmentation(0, (32, 64))):
        image, bits = Crops(whole(samples), (32, 64), 1, default=default).crop(0, 0)
        assert {(y, x) for y, x, _ in image.reshape(-1, 3).tolist()} == set(itertools.product(range(20), range(30)))
        np.testing.assert_array_equal(bits[..., 0] > 0, mask[image[..., 0], image[..., 1], 0])


def test_a_crop_drawn_around_an_object_has_a_pixel_of_it(mixed):
    crops = Crops(whole(mixed, 2), (16, 24), 1, count=200, sampling=1.0)
    assert all(crops.crop(0, item)[1].any() for item in range(200))


@pytest.mark.parametrize("strength", [0.0, 1.0])
def test_a_crop_drawn_around_an_object_nearly_always_keeps_it_when_augmented(tmp_path, strength):
    masks = [boxes((90, 120), 1, (0, top, left, 6, 6)) for top, left in [(0, 0), (84, 114), (40, 50), (0, 60)]]
    samples = labelled(tmp_path, [noise((90, 120), number) for number in range(4)], masks)
    crops = Crops(whole(samples), (32, 48), 1, 200, sampling=1.0, default=default_augmentation(strength, (32, 48)))
    kept = sum(crops.crop(0, item)[1].any() for item in range(200))
    assert kept == 200 if strength == 0 else kept >= 180


@pytest.mark.parametrize("size_hw", [(33, 49), (36, 54), (40, 60), (41, 61)])
def test_an_object_at_the_border_is_found_in_an_image_little_larger_than_the_crop(tmp_path, size_hw):
    bottom, right = size_hw[0] - 1, size_hw[1] - 1
    masks = [boxes(size_hw, 1, (0, top, left, 1, 1)) for top in (0, bottom) for left in (0, right)]
    samples = labelled(tmp_path, [coded(size_hw, number) for number in range(4)], masks)
    default = default_augmentation(0, (32, 48))
    crops = Crops(whole(samples), (32, 48), 1, count=40, sampling=1.0, default=default)
    assert all(crops.crop(0, item)[1].any() for item in range(40))


def test_classes_are_drawn_by_the_root_of_their_number_of_images(mixed):
    crops = Crops(whole(mixed, 2), (16, 24), 1, sampling=1.0)
    drawn = Counter(int(crops.crop(epoch, item)[0][0, 0, 2]) for epoch in range(20) for item in range(20))
    # sixteen images of class 0 and one of class 1: 4 to 1, so 80 of 400, give or take 8; no clean one
    assert 50 < drawn[16] < 110 and set(drawn) == set(range(17))


def test_without_sampling_an_epoch_shows_every_sample_once(mixed):
    crops = Crops(whole(mixed, 2), (16, 24), 4, augmentation=as_they_are())
    orders = []
    for epoch in range(3):
        numbers = [int(image[0, 0, 2]) for images, _ in crops.epoch(epoch) for image in images]
        assert sorted(numbers) == list(range(20))
        orders.append(tuple(numbers))
    assert len(set(orders)) == 3
    plain = Crops(whole(mixed, 2), (16, 24), 4)
    assert [int(image[0, 0, 2]) for images, _ in plain.epoch(1) for image in images] == list(range(20))


def test_a_last_batch_is_filled_up_with_other_samples(samples):
    crops = Crops(whole(samples), (16, 24), 3, augmentation=as_they_are())
    batches = list(crops.epoch(0))
    assert len(crops) == 3 and [len(images) for images, _ in batches] == [3, 3, 3]
    numbers = [int(image[0, 0, 2]) for images, _ in batches for image in images]
    assert sorted(numbers[:7]) == list(range(7)) and numbers[7] != numbers[8]


def test_a_second_round_of_an_epoch_has_an_order_of_its_own(samples):
    crops = Crops(whole(samples), (16, 24), 14, count=14, augmentation=as_they_are())
    numbers = crops.batch(0, 0)[0][:, 0, 0, 2].tolist()
    assert sorted(numbers[:7]) == sorted(numbers[7:]) == list(range(7)) and numbers[:7] != numbers[7:]


@pytest.mark.parametrize(("count", "batch_size", "steps"), [(0, 3, 3), (0, 7, 1), (0, 8, 1), (1, 4, 1), (20, 4, 5),
                                                            (21, 4, 6)])
def test_an_epoch_has_the_crops_asked_for_in_whole_batches(samples, count, batch_size, steps):
    assert len(Crops(whole(samples), (16, 24), batch_size, count)) == steps


def test_crops_without_sampling_lie_anywhere(samples):
    crops = Crops(whole(samples), (16, 24), 1)
    corners = np.array([crops.crop(epoch, 0)[0][0, 0, :2] for epoch in range(100)])
    # upper left pixels are in rows 0..24 and columns 0..36, and often at the ends
    assert corners.min(axis=0).tolist() == [0, 0] and corners.max(axis=0).tolist() == [24, 36]
    assert len({tuple(corner) for corner in corners.tolist()}) > 40


def test_clean_images_have_their_share(mixed):
    crops = Crops(whole(mixed, 2), (16, 24), 1, sampling=0.7)
    numbers = [int(crops.crop(epoch, item)[0][0, 0, 2]) for epoch in range(20) for item in range(20)]
    # 0.3 of the crops are not around an object; 3 of 20 images are clean, so twice that part of them shows a clean one,
    # and 3 of 20 of the others: 0.3 * (0.3 + 0.7 * 0.15) = 0.1215 of 400, that is 49 give or take 7
    assert 21 < sum(number >= 17 for number in numbers) < 77
    assert {17, 18, 19} <= set(numbers)


def test_a_class_that_no_sample_has_is_never_drawn(samples):
    crops = Crops(whole(samples, 3), (16, 24), 2, count=40, sampling=1.0)
    for images, bits in crops.epoch(0):
        assert np.unpackbits(bits, axis=-1, count=3)[..., 1:].sum() == 0 and bits.any(axis=(1, 2, 3)).all()
        assert 3 not in images[:, 0, 0, 2]


@pytest.mark.parametrize("sampling", [0.0, 0.7, 1.0])
def test_clean_images_alone_give_empty_masks(mixed, sampling):
    crops = Crops(whole(mixed[17:], 2), (16, 24), 2, count=10, sampling=sampling,
                  default=default_augmentation(1.0, (16, 24)))
    batches = list(crops.epoch(0))
    assert len(batches) == 5 and not any(bits.any() for _, bits in batches)
    assert preview(crops, ["#ff0000", "#00ff00"]).any()


def test_labelled_images_alone_need_no_clean_ones(mixed):
    crops = Crops(whole(mixed[:17], 2), (16, 24), 17, sampling=0.3)
    assert set(crops.batch(0, 0)[0][:, 0, 0, 2].tolist()) <= set(range(17))


# --- the same again


@pytest.mark.parametrize("cache_bytes", [0, PLENTY])
def test_a_batch_depends_on_seed_epoch_and_index_alone(mixed, cache_bytes):
    def crops(seed, workers):
        return Crops(whole(mixed, 2, cache_bytes), (16, 24), 3, seed=seed, sampling=0.5, workers=workers,
                     default=default_augmentation(1.0, (16, 24)))

    alone, together = crops(7, 1), crops(7, 4)
    for epoch in (0, 1):
        list(together.epoch(epoch))
    expected = [alone.batch(4, index) for index in reversed(range(len(alone)))][::-1]
    assert all(equal(left, right) for left, right in zip(expected, together.epoch(4), strict=True))
    other = crops(8, 1)
    assert not any(equal(other.batch(4, index), expected[index]) for index in range(len(alone)))
    assert not any(equal(alone.batch(5, index), expected[index]) for index in range(len(alone)))


def test_the_first_epoch_is_the_same_whether_samples_are_kept_or_not(mixed):
    kept, fresh = (Crops(whole(mixed, 2, size), (16, 24), 5, sampling=0.5, default=default_augmentation(1.0, (16, 24)))
                   for size in (PLENTY, 0))
    assert all(equal(left, right) for left, right in zip(kept.epoch(0), fresh.epoch(0), strict=True))


def test_samples_that_are_not_kept_serve_their_regions_some_epochs_and_then_others(samples, decodings):
    crops = Crops(whole(samples, cache_bytes=0), (16, 24), 1, count=10, seed=3)
    found = [[crops.crop(epoch, item) for item in range(10)] for epoch in range(2 * RENEW + 1)]
    for item in range(10):
        changes = [epoch for epoch in range(1, 2 * RENEW + 1)
                   if not equal(found[epoch][item], found[epoch - 1][item])]
        # in turn: those of item 0 in epoch 4 and 8, of item 3 from 28 of 10 crops an epoch on, of item 9 from 4
        assert changes[0] == -(-(40 - 4 * item) // 10) and np.diff(changes).tolist() == [RENEW] * (len(changes) - 1)
    again = Crops(whole(samples, cache_bytes=0), (16, 24), 1, count=10, seed=3)  # as if resumed
    assert all(equal(again.crop(7, item), found[7][item]) for item in range(10))


def test_many_crops_are_cut_from_a_photograph_that_was_decoded_once(samples, decodings, monkeypatch):
    monkeypatch.setattr("ss_poc.generator.FEWEST_BLOCKS", 2)
    monkeypatch.setattr("ss_poc.generator.PIXELS_A_REGION", 240)  # ten of a photograph of 40x60
    crops = Crops(whole(samples, cache_bytes=0), (16, 24), 7, count=70, sampling=0.5, workers=1)
    shown = [{int(image[0, 0, 2]) for image in images} for images, _ in crops.epoch(0)]
    # seven blocks, one in each place of a batch: all batches show the same photographs, at other places
    assert len(crops) == 10 and len({frozenset(numbers) for numbers in shown}) == 1 and len(shown[0]) > 1
    assert len(decodings) <= 7
    assert len({crops.batch(0, index)[0].tobytes() for index in range(10)}) == 10


def test_a_region_that_serves_several_epochs_is_augmented_anew_in_each(samples, decodings):
    crops = Crops(whole(samples, cache_bytes=0), (16, 24), 1, default=default_augmentation(1.0, (16, 24)))
    pictures = {crops.crop(epoch, 0)[0].tobytes() for epoch in range(RENEW)}
    assert len(pictures) == RENEW and len(decodings) == 1


def kept_bytes(work) -> int:
    """Bytes that are still taken after `work`, by what it made."""
    work()  # whatever is loaded on first use
    tracemalloc.start()
    try:
        made = work()
        taken, _ = tracemalloc.get_traced_memory()
        del made
        return taken
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("default", [None, default_augmentation(1.0, (32, 48))], ids=["plain", "augmented"])
def test_regions_take_no_more_memory_than_their_own_pixels(tmp_path, default):
    masks = [boxes((200, 300), 1, (0, 100, 200, 9, 9)), boxes((200, 300), 1)]
    samples = labelled(tmp_path, [noise((200, 300), number) for number in range(2)], masks)

    def work():
        crops = Crops(whole(samples, cache_bytes=0), (32, 48), 4, count=12, default=default, workers=1)
        for epoch in (0, RENEW):
            list(crops.epoch(epoch))
        return crops

    # 12 regions of at most 40x60 pixels of 4 bytes are 115200; a single decoded image is 240000
    assert kept_bytes(work) < 400_000


# --- crops put together from four


def mosaic(samples, part: float, classes: int = 1, cache_bytes: int = PLENTY, workers: int = 0, **named) -> Mosaic:
    """Crops of 16x24 and quarters of 8x12 of a source."""
    source, named = whole(samples, classes, cache_bytes), {"augmentation": as_they_are(), **named}
    return Mosaic(Crops(source, (8, 12), 4, **named), part, source, (16, 24), 4, workers=workers, **named)


def quarters_of(array: np.ndarray) -> list[np.ndarray]:
    """Upper left and right, lower left and right."""
    return [array[..., top:top + 8, left:left + 12, :] for top in (0, 8) for left in (0, 12)]


def test_a_mosaic_is_four_crops_each_with_its_own_mask(tmp_path):
    masks = [np.random.default_rng(number).random((40, 60, 9)) < 0.3 for number in range(6)]
    samples = labelled(tmp_path, [coded((40, 60), number) for number in range(6)], masks)
    crops, numbers = mosaic(samples, 1.0, 9), []
    for images, bits in crops.epoch(0):
        assert images.shape == (4, 16, 24, 3) and bits.shape == (4, 16, 24, 2)
        for image, planes in zip(images, np.unpackbits(bits, axis=-1, count=9), strict=True):
            for part, plane in zip(quarters_of(image), quarters_of(planes), strict=True):
                rows, columns, number = part[..., 0], part[..., 1], int(part[0, 0, 2])
                assert (np.diff(rows[:, 0].astype(int)) == 1).all() and (np.diff(columns[0].astype(int)) == 1).all()
                np.testing.assert_array_equal(plane, masks[number][rows, columns])
                numbers.append(number)
    assert len(numbers) == 32 and set(numbers) == set(range(6))


def test_quarters_lie_row_by_row(samples):
    crops = mosaic(samples, 1.0)
    quarters = Crops(whole(samples), (8, 12), 4, augmentation=as_they_are())
    image, _ = crops.crop(2, 3)
    for number, part in enumerate(quarters_of(image)):
        np.testing.assert_array_equal(part, quarters.crop(2, 12 + number)[0])


@pytest.mark.parametrize(("part", "least", "most"), [(0.0, 0, 0), (0.3, 90, 150), (1.0, 400, 400)])
def test_so_many_crops_are_put_together(samples, part, least, most):
    crops = mosaic(samples, part, count=4)
    plain = Crops(whole(samples), (16, 24), 4, augmentation=as_they_are(), count=4)
    together = sum(not equal(crops.crop(epoch, item), plain.crop(epoch, item))
                   for epoch in range(100) for item in range(4))
    assert least <= together <= most  # of 400: 120, give or take 9


@pytest.mark.parametrize("cache_bytes", [0, PLENTY])
def test_a_mosaic_depends_on_seed_epoch_and_index_alone(mixed, cache_bytes):
    settings = {"sampling": 0.5, "augmentation": flip_only(), "seed": 7}
    alone, together = (mosaic(mixed, 0.5, 2, cache_bytes, workers, **settings) for workers in (1, 4))
    for epoch in (0, 1):
        list(together.epoch(epoch))
    expected = [alone.batch(4, index) for index in reversed(range(len(alone)))][::-1]
    assert all(equal(left, right) for left, right in zip(expected, together.epoch(4), strict=True))
    other = mosaic(mixed, 0.5, 2, cache_bytes, **{**settings, "seed": 8})
    assert not any(equal(other.batch(4, index), expected[index]) for index in range(len(alone)))


# --- windows


def all_of(windows: Windows) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every batch of them, in order."""
    return [windows.batch(index) for index in range(len(windows))]


def test_windows_cover_every_pixel_of_every_sample(tmp_path):
    sizes = [(40, 60), (20, 100), (100, 20), (9, 11), (32, 48)]
    masks = [np.random.default_rng(number).random((*size, 9)) < 0.2 for number, size in enumerate(sizes)]
    samples = labelled(tmp_path, [coded(size, number) for number, size in enumerate(sizes)], masks)
    windows = Windows(whole(samples, 9), (32, 48), 4, most=1000)
    # windows of 32 share 8 and those of 48 share 12: 2x2, 1x3, 4x1, 1, 1
    assert len(windows.places) == 4 + 3 + 4 + 1 + 1 and len(windows) == 4
    batches = all_of(windows)
    assert [len(images) for images, _ in batches] == [4, 4, 4, 1]
    seen = set()
    for images, bits in batches:
        assert images.shape[1:] == (32, 48, 3) and bits.shape[1:] == (32, 48, 2)
        for image, planes in zip(images, np.unpackbits(bits, axis=-1, count=9), strict=True):
            number = int(image[0, 0, 2])
            np.testing.assert_array_equal(planes, masks[number][image[..., 0], image[..., 1]])
            seen |= {tuple(pixel) for pixel in image.reshape(-1, 3).tolist()}
    assert seen == {(y, x, number) for number, size in enumerate(sizes) for y in range(size[0]) for x in range(size[1])}


def test_a_small_sample_is_continued_as_the_service_does_it(tmp_path):
    samples = labelled(tmp_path, [coded((3, 4), 1)], [boxes((3, 4), 1, (0, 0, 0, 1, 1))])
    image, bits = Windows(whole(samples), (5, 8), 1, most=10).window(0)
    assert image[:, 0, 0].tolist() == [0, 1, 2, 1, 0] and image[0, :, 1].tolist() == [0, 1, 2, 3, 2, 1, 0, 1]
    assert np.argwhere(bits[..., 0]).tolist() == [[0, 0], [0, 6], [4, 0], [4, 6]]


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_a_sample_of_the_windows_size_is_one_window(tmp_path, scale):
    image = coded((32, 64), 1)
    mask = boxes((32, 64), 1, (0, 3, 5, 7, 11))
    windows = Windows(whole(labelled(tmp_path, [image], [mask]), scale=scale), (32, 64), 8, most=10)
    ((images, bits),) = all_of(windows)
    np.testing.assert_array_equal(images, image[None])
    np.testing.assert_array_equal(bits[0] > 0, mask)


def test_more_windows_than_asked_for_are_a_draw_that_stays(samples):
    # windows of 16x24 share 4 and 6: each sample of 40x60 has 3x3
    assert len(Windows(whole(samples), (16, 24), 4, most=63).places) == 63
    windows = Windows(whole(samples), (16, 24), 4, most=62, seed=5)
    assert len(windows.places) == 62 and len(windows) == 16
    few = Windows(whole(samples), (16, 24), 4, most=10, seed=5)
    batches = all_of(few)
    assert [len(images) for images, _ in batches] == [4, 4, 2]
    again = all_of(Windows(whole(samples, cache_bytes=0), (16, 24), 4, most=10, seed=5))
    assert all(equal(left, right) for left, right in zip(batches, again, strict=True))
    assert few.places != Windows(whole(samples), (16, 24), 4, most=10, seed=6).places


def test_drawn_windows_show_objects_and_clean_places(mixed):
    windows = Windows(whole(mixed, 2), (16, 24), 8, most=100, seed=1)
    numbers = [place.number for place in windows.places]
    # half are around an object; of the others 0.6 are of a clean image
    assert 15 < sum(number >= 17 for number in numbers) < 45 and 16 in numbers
    planes = np.concatenate([bits for _, bits in all_of(windows)])
    assert planes.any(axis=(1, 2, 3)).sum() >= 35
    assert all(8 <= place.y <= 32 and 12 <= place.x <= 48 for place in windows.places)


def test_windows_of_clean_samples_alone(mixed):
    windows = Windows(whole(mixed[17:], 2), (16, 24), 8, most=5)
    ((images, bits),) = all_of(windows)
    assert len(images) == 5 and not bits.any()


def test_windows_are_kept_so_that_samples_are_decoded_once(samples, decodings):
    windows = Windows(whole(samples, cache_bytes=0), (40, 60), 2, most=100)
    first = all_of(windows)
    assert sorted(decodings) == [f"{number:03}.png" for number in range(7)]
    assert all(equal(left, right) for left, right in zip(first, all_of(windows), strict=True))
    assert len(decodings) == 7


def test_windows_take_no_more_memory_than_their_own_pixels(tmp_path):
    samples = labelled(tmp_path, [noise((1200, 48), 1)], [boxes((1200, 48), 1, (0, 100, 20, 9, 9))])

    def work():
        windows = Windows(whole(samples, cache_bytes=0), (32, 48), 4, most=100)
        all_of(windows)
        return windows

    # 50 windows of 32x48 pixels of 4 bytes are 307200; the decoded image, as often, 11.5 million
    assert kept_bytes(work) < 1_000_000


# --- augmentation


SHAPE_HW = (120, 160)


def shapes(number: int) -> np.ndarray:
    """(120, 160) bool: a disc, a bar and a triangle, elsewhere for each number."""
    canvas = np.zeros(SHAPE_HW, np.uint8)
    cv2.circle(canvas, (40 + 9 * number, 40), 18, 1, -1)
    cv2.rectangle(canvas, (90 - 8 * number, 70), (110 - 8 * number, 115), 1, -1)
    cv2.fillConvexPoly(canvas, np.array([[120, 10 + number], [155, 20], [130, 60]]), 1)
    return canvas > 0


@pytest.mark.parametrize("crop_hw", [(64, 96), (96, 96), (128, 192)])
@pytest.mark.parametrize("classes", [3, 11])
def test_the_mask_never_moves_against_the_image(tmp_path, crop_hw, classes):
    # the three colours of the image are its first, last but one and last class
    shown = (0, classes - 2, classes - 1)
    images, masks = [], []
    for number in range(4):
        mask = np.zeros((*SHAPE_HW, classes), bool)
        for place, channel in enumerate(shown):
            mask[..., channel] = shapes(number + place)
        for channel in set(range(classes)) - set(shown):
            mask[..., channel] = shapes(0)
        masks.append(mask)
        images.append(mask[..., list(shown)].astype(np.uint8) * 255)
    crops = Crops(whole(labelled(tmp_path, images, masks), classes), crop_hw, 4, seed=2,
                  default=default_augmentation(1.0, crop_hw, grey=True))
    kernel = np.ones((5, 5), np.uint8)
    compared = 0
    for epoch in range(10):
        for image, planes in zip(*crops.batch(epoch, 0), strict=True):
            planes = np.unpackbits(planes, axis=-1, count=classes)
            for place, channel in enumerate(shown):
                bright, plane = image[..., place] > 127, np.ascontiguousarray(planes[..., channel])
                # what lies outside of the crop may be either
                near = cv2.dilate(plane, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
                deep = cv2.erode(plane, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
                assert not (bright & (near == 0)).any() and not (~bright & (deep == 1)).any()
                compared += bool(plane.any())
    assert compared > 60


def test_masks_are_never_interpolated_even_with_many_classes(samples):
    crops = Crops(whole(samples, 11), (32, 64), 7, default=default_augmentation(1.0, (32, 64)))
    for epoch in range(3):
        planes = np.unpackbits(crops.batch(epoch, 0)[1], axis=-1)
        assert planes.shape == (7, 32, 64, 16) and planes[..., 0].any() and not planes[..., 1:].any()


def augmented(root: Path, image: np.ndarray, default: albumentations.Compose, tries: int) -> Iterator:
    """Crops of an image of their size whose upper left quarter is an object: (image, (h, w) mask)."""
    height, width = image.shape[:2]
    mask = boxes((height, width), 1, (0, 0, 0, height // 2, width // 2))
    crops = Crops(whole(labelled(root, [image], [mask])), (height, width), 1, default=default)
    for epoch in range(tries):
        made, bits = crops.crop(epoch, 0)
        yield made, bits[..., 0] > 0


def turns(root: Path, size_hw: tuple[int, int], turn_v: bool, turn_h: bool, tries: int) -> Counter:
    """How often the corners (upper left and right, lower left and right) were in which order; 1234 is upright."""
    height, width = size_hw
    image = np.zeros((*size_hw, 3), np.uint8)
    for number, place in enumerate(itertools.product((0, height // 2), (0, width // 2)), start=1):
        image[place[0]:, place[1]:] = number
    found: Counter = Counter()
    for made, mask in augmented(root, image, default_augmentation(0.0, size_hw, turn_v=turn_v, turn_h=turn_h), tries):
        np.testing.assert_array_equal(mask, made[..., 0] == 1)
        found["".join(str(corner) for corner in made[[0, 0, -1, -1], [0, -1, 0, -1], 0])] += 1
    return found


@pytest.mark.parametrize(("turn_v", "turn_h", "expected"), [
    (False, False, {"1234"}), (False, True, {"1234", "2143"}), (True, False, {"1234", "3412"}),
    (True, True, {"1234", "2143", "3412", "4321"})])
def test_photographs_are_turned_as_they_may_be_each_way_as_often(tmp_path, turn_v, turn_h, expected):
    found = turns(tmp_path, (32, 48), turn_v, turn_h, 200)
    assert set(found) == expected
    assert min(found.values()) > 0.6 * 200 / len(expected)


@pytest.mark.parametrize(("turn_v", "turn_h", "ways"), [(True, True, 8), (True, False, 2), (False, True, 2),
                                                        (False, False, 1)])
def test_squares_are_turned_by_quarters_too_where_everything_may_be(tmp_path, turn_v, turn_h, ways):
    found = turns(tmp_path, (32, 32), turn_v, turn_h, 200)
    assert len(found) == ways and min(found.values()) > 0.4 * 200 / ways
    assert ("1324" in found) == (ways == 8)  # rows for columns


@pytest.mark.parametrize("grey", [False, True])
def test_strength_0_leaves_the_pixels_as_they_are(samples, grey):
    source = whole(samples)
    default = default_augmentation(0.0, (32, 48), grey, turn_v=False, turn_h=False)
    augmented = Crops(source, (32, 48), 7, seed=4, sampling=0.5, default=default)
    plain = Crops(source, (32, 48), 7, seed=4, sampling=0.5, augmentation=as_they_are())
    assert all(equal(augmented.batch(epoch, 0), plain.batch(epoch, 0)) for epoch in range(10))


def test_more_strength_changes_more(samples):
    source = whole(samples)
    plain = Crops(source, (32, 48), 7, augmentation=as_they_are())
    changes = []
    for strength in (0.3, 1.0, 2.0):
        default = default_augmentation(strength, (32, 48), turn_v=False, turn_h=False)
        crops = Crops(source, (32, 48), 7, default=default)
        changes.append(np.mean([np.abs(crops.batch(epoch, 0)[0].astype(int) - plain.batch(epoch, 0)[0]).mean()
                                for epoch in range(6)]))
    assert changes == sorted(changes) and changes[0] > 1


@pytest.mark.parametrize("grey", [True, False])
def test_colours_are_turned_unless_photographs_are_grey(tmp_path, grey):
    image = np.full((32, 48, 3), (150, 120, 90), np.uint8)  # red is as far from green as green from blue
    uneven = []
    for made, _ in augmented(tmp_path, image, default_augmentation(1.0, (32, 48), grey), 40):
        red, green, blue = made.astype(int).transpose(2, 0, 1)
        uneven.append(int(np.abs((red - green) - (green - blue)).max()))
    assert max(uneven) <= 2 if grey else 5 < sum(distance > 4 for distance in uneven) < 35


def test_steps_of_the_augmentation_come_independently(tmp_path):
    # 0.7 are scaled, turned or sheared, 0.8 change in brightness or contrast: each often without the other
    image = np.zeros((32, 48, 3), np.uint8)
    image[:, 24:] = 200
    both: Counter = Counter()
    for made, mask in augmented(tmp_path, image, default_augmentation(1.0, (32, 48), True, False, False), 200):
        both[bool(np.array_equal(mask, boxes((32, 48), 1, (0, 0, 0, 16, 24))[..., 0])),
             bool(np.median(made[:, 30:]) == 200)] += 1
    # moved and brightened 0.56, moved 0.14, brightened 0.24, neither 0.06
    assert both[False, False] > 80 and both[False, True] > 14 and both[True, False] > 28 and both[True, True] > 3


def test_turning_brings_in_the_surroundings_of_the_crop_not_its_reflection(tmp_path):
    # sixteen classes that are the bits of row and column: where each pixel comes from can be read off the mask
    image = coded((140, 200), 1)
    samples = labelled(tmp_path, [image], [np.unpackbits(image[..., :2], axis=-1).astype(bool)])
    default = default_augmentation(0.3, (32, 48), turn_v=False, turn_h=False)
    crops, counted = Crops(whole(samples, 16), (32, 48), 1, default=default), 0
    for epoch in range(80):
        rows, columns = crops.crop(epoch, 0)[1].astype(int).transpose(2, 0, 1)
        if rows.min() > 0 and rows.max() < 139 and columns.min() > 0 and columns.max() < 199:
            assert (np.diff(columns, axis=1) >= 0).all() and (np.diff(rows, axis=0) >= 0).all()
            counted += 1
    assert counted > 20


def test_crops_differ_from_epoch_to_epoch(samples):
    crops = Crops(whole(samples), (32, 48), 1, default=default_augmentation(1.0, (32, 48)))
    assert len({crops.crop(epoch, 0)[0].tobytes() for epoch in range(10)}) == 10


# --- pipelines of the user's


def test_a_pipeline_of_the_users_gets_the_crop_as_it_is(samples):
    source = whole(samples)
    plain = Crops(source, (32, 48), 7, augmentation=as_they_are())
    flipped = Crops(source, (32, 48), 7, augmentation=flip_only(), default=default_augmentation(1.0, (32, 48)))
    for (images, bits), (turned, turned_bits) in zip(plain.epoch(2), flipped.epoch(2), strict=True):
        np.testing.assert_array_equal(turned, images[:, :, ::-1])
        np.testing.assert_array_equal(turned_bits, bits[:, :, ::-1])
    # the whole image: its box spans columns 10..29 of 60, so 30..49 once flipped
    _, bits = Crops(source, (40, 60), 1, sampling=1.0, augmentation=flip_only()).crop(0, 0)
    assert np.flatnonzero(bits[15, :, 0]).tolist() == list(range(30, 50))


def test_pipeline_is_read_from_albumentations_yaml(samples, tmp_path):
    path = tmp_path / "flip.yaml"
    albumentations.save(flip_only(), path, data_format="yaml")
    read, made = (Crops(whole(samples), (32, 48), 7, augmentation=pipeline)
                  for pipeline in (load_augmentation(path), flip_only()))
    assert equal(read.batch(1, 0), made.batch(1, 0))


@pytest.mark.parametrize("step", [
    albumentations.RandomCrop(16, 16, p=1.0), albumentations.Resize(50, 70, p=1.0),
    albumentations.Rotate((45, 45), p=1.0),
    albumentations.Affine(scale=1.3, mask_interpolation=cv2.INTER_LINEAR, p=1.0)], ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("classes", [1, 11])
def test_a_pipeline_that_resizes_or_interpolates_gives_batches_of_one_size_and_whole_masks(samples, step, classes):
    crops = Crops(whole(samples, classes), (32, 64), 7, augmentation=albumentations.Compose([step]))
    images, bits = crops.batch(0, 0)
    assert images.shape == (7, 32, 64, 3) and images.dtype == np.uint8
    assert bits.shape == (7, 32, 64, -(-classes // 8))
    planes = np.unpackbits(bits, axis=-1)
    assert planes[..., 0].any() and not planes[..., 1:].any()


@pytest.mark.parametrize("content", ["", "no: pipeline", "{ broken", None])
def test_a_wrong_pipeline_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "wrong.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"wrong\.yaml"):
        load_augmentation(path)


def test_a_single_step_is_no_pipeline(tmp_path):
    path = tmp_path / "step.yaml"
    albumentations.save(albumentations.HorizontalFlip(), path, data_format="yaml")
    with pytest.raises(ConfigError, match="is a HorizontalFlip"):
        load_augmentation(path)


# --- threads


@pytest.mark.parametrize("workers", [1, 3, 20])
def test_what_is_made_ahead_comes_in_order_and_only_a_little_ahead(workers):
    made, most = [], workers + 2

    def make(index):
        made.append(index)
        return np.array(index), np.array(-index)

    for taken, (left, right) in enumerate(ahead(make, 30, workers)):
        assert (int(left), int(right)) == (taken, -taken)
        assert len(made) <= taken + most
    assert sorted(made) == list(range(30))
    assert list(ahead(make, 0, workers)) == []


def test_threads_end_with_who_takes_from_them():
    before = threading.active_count()
    stream = ahead(lambda index: (np.array(index), np.array(index)), 1000, 3)
    next(stream)
    stream.close()
    assert threading.active_count() == before


def test_no_thread_of_tensorflow_is_waited_for_at_the_end_of_an_epoch(samples):
    """Its tuning sleeps twice as long each time, up to minutes; whoever drops the data set waits for it to wake."""
    crops = Crops(whole(samples), (16, 24), 2)
    made = tf_dataset(lambda: crops.epoch(0), len(crops), crops.crop_hw, crops.source.classes)
    assert made.options().autotune.enabled is False


def test_an_error_while_decoding_reaches_the_caller(samples):
    samples[2].path.write_bytes(b"gone bad")
    with pytest.raises(ImageError, match="no image"):
        list(Crops(whole(samples), (16, 24), 3).epoch(0))
    with pytest.raises(ImageError, match="no image"):
        all_of(Windows(whole(samples), (16, 24), 3, most=1000))


def test_an_unknown_channel_is_an_error(samples):
    strange = dataclasses.replace(samples[0], regions=tuple(dataclasses.replace(region, channel=5)
                                                            for region in samples[0].regions))
    with pytest.raises(IndexError):
        whole([strange]).decoded(0)


# --- for TensorFlow and for people


def test_tf_data_unpacks_the_epoch_that_is_asked_for(tmp_path):
    mask = np.random.default_rng(0).random((40, 60, 11)) < 0.5
    samples = labelled(tmp_path, [coded((40, 60), number) for number in range(5)], [mask] * 5)
    crops = Crops(whole(samples, 11), (32, 48), 2, augmentation=as_they_are())
    epochs = iter([2, 5])
    dataset = tf_dataset(lambda: crops.epoch(next(epochs)), len(crops), (32, 48), 11)
    assert int(dataset.cardinality()) == 3
    for epoch in (2, 5):
        count = 0
        for index, (images, masks) in enumerate(dataset):
            expected, bits = crops.batch(epoch, index)
            assert images.dtype == masks.dtype == "uint8" and masks.shape == (2, 32, 48, 11)
            np.testing.assert_array_equal(images.numpy(), expected)
            np.testing.assert_array_equal(masks.numpy(), np.unpackbits(bits, axis=-1, count=11))
            np.testing.assert_array_equal(masks.numpy()[0], mask[expected[0, ..., 0], expected[0, ..., 1]])
            count += 1
        assert count == 3


def test_preview_shows_crops_with_objects_first(samples):
    crops = Crops(whole(samples), (40, 60), 4, augmentation=as_they_are())
    sheet = preview(crops, ["#ff0000"], count=4)
    assert sheet.dtype == np.uint8 and sheet.shape == (40 + 12, 4 * 66 + 6, 3)
    # whole images, four across: the box at rows 10..19 and columns 10..29 of each has red over it
    for column in range(4):
        picture = sheet[6:46, 6 + 66 * column:66 + 66 * column].astype(int)
        reddish = picture[..., 0] - picture[..., 1] > 50
        assert reddish[10:20, 10:30].all() and picture[0, 0, 2] != 3


def test_preview_of_few_crops_shows_all(samples):
    crops = Crops(whole(samples[:2]), (40, 60), 1, augmentation=as_they_are())
    assert preview(crops, ["#ff0000"]).shape == (52, 4 * 66 + 6, 3)


def test_draws_stay_inside_and_name_the_sample_that_chance_left(mixed):
    draws = Draws(whole(mixed, 2), sampling=0.0)
    for item in range(50):
        number, y, x = draws.place(np.random.default_rng(item), 9, (16, 24))
        assert number == 9 and 8 <= y <= 32 and 12 <= x <= 48
