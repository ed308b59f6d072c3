"""ss_poc.core.tiles: windows over large images, and one map of their answers."""

from __future__ import annotations

import numpy as np
import pytest
from coco_folder import noise

from ss_poc.core.tiles import OVERLAP, blend, map_size, origins, windows, windows_along


def grid(height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8: each pixel tells its row and column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows * 0 + 7], axis=-1).astype(np.uint8)


def to_part(batch: np.ndarray) -> np.ndarray:
    """A network that answers pixel by pixel, with red and blue in 0..1."""
    return batch[..., [0, 2]] / 255


# --- where windows lie


# Windows of 96 share 24 pixels at least, so a further one is needed every 72; those of 448 share 64.
@pytest.mark.parametrize(("length", "side", "expected"), [
    (1, 96, [0]), (50, 96, [0]), (96, 96, [0]), (97, 96, [0, 1]), (168, 96, [0, 72]), (169, 96, [0, 36, 73]),
    (512, 448, [0, 64]), (832, 448, [0, 384]), (833, 448, [0, 192, 385]),
    (4000, 448, [0, 355, 710, 1066, 1421, 1776, 2131, 2486, 2842, 3197, 3552])])
def test_windows_begin_at_0_end_with_the_length_and_spread_evenly(length, side, expected):
    assert origins(length, side) == expected
    assert windows_along(length, side) == len(expected)


@pytest.mark.parametrize("side", [1, 2, 3, 4, 7, 32, 96, 255, 256, 448])
def test_windows_cover_every_pixel_and_neighbours_share_the_overlap(side):
    least = min(OVERLAP, side // 4)
    for length in (*range(1, 4 * side + 3, 1 + side // 20), 10 * side + 1, 1999):
        starts = origins(length, side)
        assert starts[0] == 0 and starts[-1] == max(0, length - side)
        shared = [left + side - right for left, right in zip(starts, starts[1:], strict=False)]
        assert all(least <= pixels < side for pixels in shared), (length, side)


@pytest.mark.parametrize(("length", "side"), [(97, 96), (168, 96), (169, 96), (833, 448), (5000, 1024)])
def test_one_window_fewer_could_not_share_the_overlap(length, side):
    fewer = windows_along(length, side) - 1
    assert fewer * side - (fewer - 1) * min(OVERLAP, side // 4) < length


def test_windows_are_cut_where_they_say_row_by_row():
    image = grid(40, 100)
    found = list(windows(image, (32, 64)))
    # 8 of 32 rows and 16 of 64 columns are shared: 2 windows along both
    assert [(top, left) for top, left, _ in found] == [(0, 0), (0, 36), (8, 0), (8, 36)]
    for top, left, window in found:
        np.testing.assert_array_equal(window, image[top:top + 32, left:left + 64])


def test_an_image_smaller_than_the_window_goes_on_by_reflection_below_and_to_the_right():
    ((top, left, window),) = windows(grid(3, 4), (5, 8))
    assert (top, left) == (0, 0)
    assert window[:, 0, 0].tolist() == [0, 1, 2, 1, 0]
    assert window[0, :, 1].tolist() == [0, 1, 2, 3, 2, 1, 0, 1]


def test_an_image_smaller_along_one_side_only_is_reflected_along_that_side_only():
    found = list(windows(grid(3, 12), (5, 8)))  # 2 of 8 columns are shared: 2 windows
    assert [(top, left) for top, left, _ in found] == [(0, 0), (0, 4)]
    assert all(window.shape == (5, 8, 3) and window[:, 0, 0].tolist() == [0, 1, 2, 1, 0] for *_, window in found)
    assert found[1][2][0, :, 1].tolist() == list(range(4, 12))


def test_a_single_pixel_fills_its_window():
    ((_, _, window),) = windows(np.full((1, 1, 3), 9, np.uint8), (4, 6))
    assert window.shape == (4, 6, 3) and (window == 9).all()


# --- one map


@pytest.mark.parametrize("size_hw", [(1, 1), (20, 30), (32, 64), (33, 64), (32, 65), (20, 200), (100, 30), (100, 210)])
def test_an_answer_for_each_pixel_comes_back_at_its_pixel(size_hw):
    image = noise(size_hw, 3)
    found = blend(image, (32, 64), to_part)
    assert found.shape == (*size_hw, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found, image[..., [0, 2]] / 255, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size_hw", [(64, 112), (112, 64)])
def test_a_seam_is_a_ramp_from_one_answer_to_the_other(size_hw):
    # windows of 64 begin at 0 and 48 and share 16 pixels: pixel k of those is (k + 1/2) / 16 the second window's
    def run(batch):
        return np.arange(len(batch), dtype=np.float32)[:, None, None, None] * np.ones((1, 64, 64, 1), np.float32)

    found = blend(np.zeros((*size_hw, 3), np.uint8), (64, 64), run, batch_size=2)[..., 0]
    along = found if size_hw[1] > size_hw[0] else found.T
    expected = np.concatenate([np.zeros(48), (np.arange(16) + 0.5) / 16, np.ones(48)])
    np.testing.assert_allclose(along, np.tile(expected, (64, 1)), atol=1e-6)


def test_what_a_window_says_at_its_own_edge_counts_little_where_another_sees_further():
    def run(batch):
        answer = np.zeros((len(batch), 64, 64, 1), np.float32)
        answer[:, :, -1] = 1
        return answer

    found = blend(np.zeros((64, 112, 3), np.uint8), (64, 64), run)[..., 0]
    # column 63 is the first window's last, weight 1/2 of 16, and the second one's sixteenth, weight 15 1/2
    np.testing.assert_allclose(found[:, 63], 1 / 32, atol=1e-6)
    np.testing.assert_allclose(found[:, 111], 1, atol=1e-6)  # nobody sees further


@pytest.mark.parametrize("batch_size", [1, 2, 4, 5, 100])
def test_windows_are_answered_in_batches_of_at_most_the_asked_size(batch_size):
    asked = []

    def run(batch):
        asked.append(batch.shape)
        assert batch.dtype == np.float32
        return to_part(batch)

    blend(noise((100, 210), 0), (32, 64), run, batch_size)
    # rows: 1 + ceil(68 / 24) = 4, columns: 1 + ceil(146 / 48) = 5
    full, rest = divmod(20, batch_size)
    assert asked == [(batch_size, 32, 64, 3)] * full + [(rest, 32, 64, 3)] * (rest > 0)


def test_a_small_image_is_one_window():
    asked = []
    blend(noise((9, 13), 0), (32, 64), lambda batch: asked.append(batch.shape) or to_part(batch))
    assert asked == [(1, 32, 64, 3)]


def test_windows_without_an_answer_are_an_error():
    with pytest.raises(ValueError):
        blend(noise((32, 112), 0), (32, 64), lambda batch: to_part(batch)[:1])


# --- size of the map


@pytest.mark.parametrize(("image_hw", "scale", "expected"), [
    ((100, 250), 1.0, (100, 250)), ((100, 250), 0.5, (50, 125)), ((100, 250), 2.0, (200, 500)),
    ((3000, 4000), 0.064, (192, 256)), ((3, 1000), 0.1, (1, 100)), ((100, 250), 0, (32, 64))])
def test_size_of_the_map_is_the_images_times_the_scale_or_the_networks_own(image_hw, scale, expected):
    assert map_size(image_hw, scale, (32, 64)) == expected
