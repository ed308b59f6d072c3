"""The click network: what goes in and out, what it begins as, and what its own layers calculate."""

import numpy as np
import pytest

from ss_poc.networks.clicks import INPUTS, ColourLikeClicked, LikeClicked, click_network
from ss_poc.networks.pretrained import read_pretrained


def photograph(size=64):
    """A picture without guidance, as the network takes it."""
    inputs = np.zeros((1, size, size, INPUTS), np.float32)
    inputs[..., :3] = np.random.default_rng(0).integers(0, 256, (1, size, size, 3))
    return inputs


def test_there_is_a_logit_a_pixel():
    answer = np.asarray(click_network("compact16", 64)(photograph()))
    assert answer.shape == (1, 64, 64, 1) and np.isfinite(answer).all() and answer.min() < 0 < answer.max()


def test_what_looks_like_the_clicked_place_gets_large_numbers():
    """Features (1, 0) and (0, 2); the second place is marked in map 0, nothing in map 1: products (0, 4) and zeros."""
    features = np.array([[[[1, 0], [0, 2]]]], np.float32)
    marks = np.array([[[[0, 0], [1, 0]]]], np.float32)
    found = np.asarray(LikeClicked()([features, marks]))
    assert found.shape == (1, 1, 2, 4)
    assert found[0, 0, 0] == pytest.approx([0, 0, 0, 0]) and found[0, 0, 1] == pytest.approx([0, 4, 0, 0], rel=2e-3)


def test_the_clicked_colour_is_alike_and_others_less():
    """Grey 0 and 2, mean deviation 1, and 0.03: exp(-2 / 1.03) from one to the other."""
    colours = np.array([[[[0, 0, 0], [2, 2, 2]]]], np.float32)
    marks = np.array([[[[1, 0], [0, 0]]]], np.float32)
    found = np.asarray(ColourLikeClicked()([colours, marks]))
    assert found[0, 0, :, 0] == pytest.approx([1, np.exp(-2 / 1.03)], rel=3e-3)
    assert not found[..., 1].any()


def test_it_begins_with_the_weights_in_the_package():
    first = read_pretrained("compact16")[0]

    def has_it(network):
        return any(np.array_equal(weight, first) for weight in network.get_weights() if weight.shape == first.shape)

    assert has_it(click_network("compact16", 64)) and not has_it(click_network("compact16", 64, pretrained=False))
