"""ss_poc.training.crops: crops that train, one or four in a picture, for TensorFlow and for people."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from coco_folder import noise
from drawn_samples import PLENTY, as_they_are, boxes, coded, equal, flip_only, kept_bytes, labelled, whole

from ss_poc.core.errors import ImageError
from ss_poc.training.augmentation import default_augmentation
from ss_poc.training.crops import Crops, Mosaic
from ss_poc.training.feed import preview, tf_dataset
from ss_poc.training.regions import RENEW

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
    monkeypatch.setattr("ss_poc.training.regions.FEWEST_BLOCKS", 2)
    monkeypatch.setattr("ss_poc.training.regions.PIXELS_A_REGION", 240)  # ten of a photograph of 40x60
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


def mosaic(samples, fraction: float, classes: int = 1, cache_bytes: int = PLENTY, workers: int = 0, **named) -> Mosaic:
    """Crops of 16x24 and quarters of 8x12 of a source."""
    source, named = whole(samples, classes, cache_bytes), {"augmentation": as_they_are(), **named}
    return Mosaic(Crops(source, (16, 24), 4, workers=workers, **named), Crops(source, (8, 12), 4, **named), fraction)


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


# --- for TensorFlow and for people


def test_no_thread_of_tensorflow_is_waited_for_at_the_end_of_an_epoch(samples):
    """Its tuning sleeps twice as long each time, up to minutes; whoever drops the data set waits for it to wake."""
    crops = Crops(whole(samples), (16, 24), 2)
    made = tf_dataset(lambda: crops.epoch(0), len(crops), crops.crop_hw, crops.source.classes)
    assert made.options().autotune.enabled is False


def test_an_error_while_decoding_reaches_the_caller(samples):
    samples[2].path.write_bytes(b"gone bad")
    with pytest.raises(ImageError, match="no image"):
        list(Crops(whole(samples), (16, 24), 3).epoch(0))

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
