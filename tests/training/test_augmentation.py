"""ss_poc.training.augmentation: the default one and pipelines of the user's."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import albumentations
import cv2
import numpy as np
import pytest
from drawn_samples import as_they_are, boxes, coded, equal, flip_only, labelled, whole

from ss_poc.core.errors import ConfigError
from ss_poc.training.augmentation import default_augmentation, load_augmentation
from ss_poc.training.crops import Crops

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


def test_a_pipeline_without_steps_changes_nothing_and_is_not_taken_for_the_default_one(samples, tmp_path):
    path = tmp_path / "nothing.yaml"
    albumentations.save(albumentations.Compose([]), path, data_format="yaml")
    default = default_augmentation(1.0, (40, 60))
    images, bits = Crops(whole(samples), (40, 60), 7, augmentation=load_augmentation(path), default=default).batch(0, 0)
    # a crop is the whole photograph, so the seven are those on the disk, whatever their order
    stored = {sample.image().tobytes(): sample.mask(1)[..., 0] for sample in samples}
    assert {image.tobytes() for image in images} == set(stored)
    for image, planes in zip(images, np.unpackbits(bits, axis=-1), strict=True):
        np.testing.assert_array_equal(planes[..., 0], stored[image.tobytes()])


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
