"""Which windows an answer looks at: a network that marks what is bright tells what they held."""

import numpy as np
import pytest

from ss_poc.clicks.guidance import Box, Click
from ss_poc.clicks.look import SIZE, pieces_clicked
from ss_poc.clicks.predictor import ClickPredictor


class Bright:
    """Marks what is brighter than 128, and keeps what it was given."""

    def __init__(self):
        self.seen = []

    def __call__(self, batch):
        self.seen.append(batch[0])
        return (batch[..., :1] > 128.5).astype(np.float32)


def answered(image, clicks, box=None, previous=None, prior=None):
    network = Bright()
    predictor = ClickPredictor(network)
    predictor.set_image(image)
    return predictor.predict(clicks, box, previous, prior), network.seen


def dark(height, width):
    return np.full((height, width, 3), 60, np.uint8)


def iou(found, true):
    return (found & true).sum() / (found | true).sum()


def test_a_small_block_on_a_large_photograph_is_enlarged():
    """A block of 30 pixels: after a first look at 256, one at 64 (the least), four times as large."""
    image = dark(1500, 2000)
    image[700:730, 900:930] = 200
    found, seen = answered(image, [Click(915, 715)])
    assert len(seen) == 2 and (seen[1][..., 0] > 128.5).mean() == pytest.approx((30 / 64)**2, abs=0.02)
    assert iou(found.mask, image[..., 0] > 128) > 0.97


def test_a_region_larger_than_the_first_window_is_seen_whole():
    image = dark(1500, 2000)
    image[200:1200, 300:1500] = 200
    found, _ = answered(image, [Click(900, 700)])
    assert iou(found.mask, image[..., 0] > 128) > 0.98


def test_a_scratch_is_followed_across_the_photograph_at_its_own_resolution():
    """3 pixels wide, 1,800 long: at the scale at which it fits into a window, it would be 0.3 pixels wide."""
    image = dark(900, 2000)
    image[400:403, 100:1900] = 200
    found, seen = answered(image, [Click(1000, 401)])
    assert iou(found.mask, image[..., 0] > 128) > 0.95
    assert all((window[..., 0] > 128.5).sum() <= 4 * SIZE for window in seen)


def test_only_what_was_clicked_on_is_the_region():
    image = dark(200, 300)
    image[50:90, 50:90] = 200
    image[50:90, 120:160] = 200
    found, _ = answered(image, [Click(70, 70)])
    assert found.mask[70, 70] and not found.mask[70, 140]


def test_two_positive_clicks_mean_both_pieces():
    image = dark(200, 300)
    image[50:90, 50:90] = 200
    image[50:90, 120:160] = 200
    first, _ = answered(image, [Click(70, 70)])
    both, _ = answered(image, [Click(70, 70), Click(140, 70)], previous=first.probability)
    assert both.mask[70, 70] and both.mask[70, 140] and both.mask.sum() == pytest.approx(2 * 40 * 40, rel=0.05)


def test_the_click_reaches_the_network_where_it_is():
    """The photograph is smaller than the window: 300 wide and 100 high, the window is 256 and lies above and below."""
    _, seen = answered(dark(100, 300), [Click(20, 50)])
    rows, columns = np.nonzero(seen[0][..., 3])
    assert abs(rows.mean() - 128) < 1.5 and abs(columns.mean() - 20.5) < 1.5


def test_a_box_at_the_border_has_its_place_in_the_window():
    image = dark(400, 300)
    image[:40, 260:] = 200
    found, seen = answered(image, [], Box(255, 0, 300, 45))
    assert seen[0][..., 6].any() and not seen[0][..., 3].any()
    assert iou(found.mask, image[..., 0] > 128) > 0.95


def test_the_last_answer_and_what_a_model_says_are_handed_to_the_network():
    image, said = dark(300, 400), np.zeros((300, 400), np.float32)
    said[100:140, 200:240] = 0.9
    _, seen = answered(image, [Click(220, 120)], prior=said)
    assert seen[0][..., 5].max() == pytest.approx(0.9)
    _, seen = answered(image, [Click(220, 120)], previous=said)
    assert seen[0][..., 5].max() == pytest.approx(0.9)


def test_what_is_not_found_is_an_empty_mask():
    found, _ = answered(dark(100, 300), [Click(20, 50)])
    assert found.mask.shape == (100, 300) and not found.mask.any()


def test_pieces_without_a_click_are_left_out():
    mask = np.zeros((10, 20), bool)
    mask[2:4, 2:4] = mask[6:8, 12:15] = True
    assert pieces_clicked(mask, [Click(13, 7)]).sum() == 6
    assert pieces_clicked(mask, [Click(0, 0)]).sum() == 10
    assert not pieces_clicked(np.zeros((10, 20), bool), [Click(0, 0)]).any()
