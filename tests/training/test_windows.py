"""ss_poc.training.windows: samples cut into the windows that validate."""

from __future__ import annotations

import numpy as np
import pytest
from coco_folder import noise
from drawn_samples import boxes, coded, equal, kept_bytes, labelled, whole

from ss_poc.core.errors import ImageError
from ss_poc.training.windows import Windows


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


def test_an_error_while_decoding_a_sample_that_validates_reaches_the_caller(samples):
    samples[2].path.write_bytes(b"gone bad")
    with pytest.raises(ImageError, match="no image"):
        all_of(Windows(whole(samples), (16, 24), 3, most=1000))
