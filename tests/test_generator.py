"""ss_poc.generator: samples to batches."""

from __future__ import annotations

import albumentations
import cv2
import numpy as np
import pytest
from coco_folder import CocoFolder, box

from ss_poc.errors import ConfigError
from ss_poc.generator import Batches, default_augmentation, load_augmentation, preview, resize_mask


@pytest.fixture
def samples(tmp_path):
    folder = CocoFolder(tmp_path, good=0)
    for number in range(7):
        image_id = folder.image(f"{number}.png", size_hw=(40, 60))
        if number != 3:
            folder.region(image_id, [box(10, 10, 30, 20)], category_id=1)
    return folder.load().samples


def flip_only() -> albumentations.Compose:
    return albumentations.Compose([albumentations.HorizontalFlip(p=1.0)])


def test_batches_hold_images_as_0_to_255_and_masks_as_0_or_1_at_the_asked_size(samples):
    images, masks = Batches(samples, 1, (32, 64), 4).batch(0, 0)
    assert images.shape == (4, 32, 64, 3) and images.dtype == np.float32 and images.max() > 200
    assert masks.shape == (4, 32, 64, 1) and set(np.unique(masks)) == {0.0, 1.0}


def test_an_image_without_regions_gives_an_empty_mask(samples):
    image, mask = Batches(samples, 1, (32, 64), 4).augmented(3, 0)
    assert mask.shape == (32, 64, 1) and not mask.any()


def test_an_epoch_holds_every_sample_once_and_a_smaller_last_batch(samples):
    batches = Batches(samples, 1, (32, 64), 3, seed=1, augmentation=default_augmentation())
    assert [len(images) for images, _ in batches.epoch(0)] == [3, 3, 1]
    assert sorted(batches.order(0)) == list(range(7))


def test_order_changes_with_the_epoch_and_stays_without_augmentation(samples):
    shuffled = Batches(samples, 1, (32, 64), 3, augmentation=flip_only())
    assert list(shuffled.order(0)) != list(shuffled.order(1))
    assert list(Batches(samples, 1, (32, 64), 3).order(5)) == list(range(7))


def test_a_batch_depends_on_seed_epoch_and_index_alone(samples):
    first = Batches(samples, 1, (32, 64), 3, seed=7, augmentation=default_augmentation(), workers=2)
    again = Batches(samples, 1, (32, 64), 3, seed=7, augmentation=default_augmentation(), workers=1,
                    cache_bytes=10**8)
    list(first.epoch(0))
    for (left, left_mask), (right, right_mask) in zip(first.epoch(4), again.epoch(4), strict=True):
        np.testing.assert_array_equal(left, right)
        np.testing.assert_array_equal(left_mask, right_mask)
    other = Batches(samples, 1, (32, 64), 3, seed=8, augmentation=default_augmentation())
    assert not np.array_equal(other.batch(4, 0)[0], first.batch(4, 0)[0])


def test_image_and_mask_are_augmented_alike(samples):
    plain = Batches(samples, 1, (40, 60), 1)
    flipped = Batches(samples, 1, (40, 60), 1, augmentation=flip_only())
    image, mask = plain.augmented(0, 0)
    turned, turned_mask = flipped.augmented(0, 0)
    np.testing.assert_array_equal(turned, image[:, ::-1])
    np.testing.assert_array_equal(turned_mask, mask[:, ::-1])
    # the box spans columns 10..29 of 60, so 30..49 once flipped
    assert turned_mask[15].ravel().nonzero()[0].tolist() == list(range(30, 50))


def test_masks_are_never_interpolated_even_with_many_classes(samples):
    batches = Batches(samples, 11, (32, 64), 7, augmentation=default_augmentation())
    for epoch in range(3):
        _, masks = batches.batch(epoch, 0)
        assert masks.shape == (7, 32, 64, 11) and set(np.unique(masks)) <= {0.0, 1.0}


def test_resized_mask_takes_the_pixel_at_each_centre():
    mask = np.zeros((4, 8, 1), bool)
    mask[:2, 4:] = True
    assert resize_mask(mask, (2, 4))[..., 0].tolist() == [[0, 0, 1, 1], [0, 0, 0, 0]]
    assert resize_mask(mask, (8, 16))[..., 0].sum() == 4 * mask.sum()


def test_samples_are_cached_when_they_fit_and_only_then(samples, monkeypatch):
    small, large = (Batches(samples, 1, (32, 64), 7, cache_bytes=size) for size in (100, 10**7))
    assert not small.cached and large.cached
    before = large.batch(0, 0)
    monkeypatch.setattr(type(samples[0]), "image", lambda self: pytest.fail("decoded again"))
    np.testing.assert_array_equal(large.batch(0, 0)[0], before[0])
    np.testing.assert_array_equal(large.batch(0, 0)[1], before[1])


def test_pipeline_is_read_from_albumentations_yaml(samples, tmp_path):
    path = tmp_path / "flip.yaml"
    albumentations.save(flip_only(), path, data_format="yaml")
    batches = Batches(samples, 1, (40, 60), 1, augmentation=load_augmentation(path))
    np.testing.assert_array_equal(batches.augmented(0, 0)[0], Batches(samples, 1, (40, 60), 1).decoded(0)[0][:, ::-1])


def test_a_cropping_pipeline_still_gives_batches_of_one_size(samples):
    crop = albumentations.Compose([albumentations.RandomCrop(16, 16, p=1.0)])
    images, masks = Batches(samples, 1, (32, 64), 7, augmentation=crop).batch(0, 0)
    assert images.shape == (7, 32, 64, 3) and masks.shape == (7, 32, 64, 1)


@pytest.mark.parametrize("content", ["", "no: pipeline", "{ broken", None])
def test_a_wrong_pipeline_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "wrong.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"wrong\.yaml"):
        load_augmentation(path)


def test_an_error_while_decoding_reaches_the_caller(samples):
    samples[2].path.write_bytes(b"gone bad")
    with pytest.raises(Exception, match="no image"):
        list(Batches(samples, 1, (32, 64), 3).epoch(0))


def test_tf_data_gives_the_epoch_that_is_asked_for(samples):
    batches = Batches(samples, 1, (32, 64), 3, augmentation=default_augmentation())
    epochs = iter([2, 5])
    dataset = batches.dataset(lambda: next(epochs))
    assert int(dataset.cardinality()) == 3
    for epoch in (2, 5):
        for index, (images, masks) in enumerate(dataset):
            np.testing.assert_array_equal(images.numpy(), batches.batch(epoch, index)[0])
            np.testing.assert_array_equal(masks.numpy(), batches.batch(epoch, index)[1])


def test_preview_shows_samples_with_regions_first(samples):
    sheet = preview(Batches(samples, 1, (40, 60), 4, augmentation=flip_only()), ["#ff0000"], count=4)
    assert sheet.dtype == np.uint8 and sheet.shape[1] > 4 * 60
    reddish = (sheet[..., 0].astype(int) - sheet[..., 1] > 60).sum()
    assert reddish > 4 * 100
    assert cv2.imencode(".jpg", sheet)[0]
