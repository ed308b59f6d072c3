"""ss_poc.anomaly.good: what departs from good photographs."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.anomaly.good import Moments, fit_good, runner, score_of
from ss_poc.core.errors import DataError
from ss_poc.networks.memory import lite0_taps

import keras  # isort: skip  (after ss_poc.networks, which quietens TensorFlow)


def grain(seed: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """(h, w, 3) uint8: grey noise, alike wherever one looks."""
    grey = np.random.default_rng(seed).normal(120, 12, size)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


@pytest.fixture(scope="module")
def taps() -> keras.Model:
    return lite0_taps()


@pytest.fixture(scope="module")
def network(taps) -> keras.Model:
    """It knows grain; its good photographs have three sizes."""
    return fit_good(taps, [grain(number, size) for number, size in enumerate([(96, 128), (64, 80), (90, 101)] * 3)])


def test_a_mark_is_the_place_that_departs_most(network):
    marked = grain(99)
    marked[40:48, 88:96] = 20
    found = runner(network)(marked)[0]
    assert found.shape == (12, 16, 1) and found.dtype == np.float32
    row, column = np.unravel_index(found[..., 0].argmax(), (12, 16))
    assert 4 <= row <= 6 and 10 <= column <= 12  # (40..48, 88..96) / 8, and a place beside it
    assert score_of(found) > 1.2 * score_of(runner(network)(grain(99))[0])


def test_places_of_the_photographs_it_knows_have_a_mean_of_0_and_a_deviation_of_at_most_1(network):
    sizes = [(96, 128), (64, 80), (90, 101)] * 3
    found = np.concatenate([runner(network)(grain(number, size))[0].ravel() for number, size in enumerate(sizes)])
    assert abs(found.mean()) < 0.05 and 0.5 < found.std() < 1.01  # the mean of two that deviate by 1 each


def test_sides_that_are_no_multiple_of_16_are_taken(network):
    assert runner(network)(grain(1, (33, 50)))[0].shape == (6, 8, 1)  # 48 x 64 pixels


def test_it_is_saved_and_loaded_as_any_network(network, tmp_path):
    network.save(tmp_path / "a.keras")
    again = keras.models.load_model(tmp_path / "a.keras")
    np.testing.assert_allclose(runner(again)(grain(5))[0], runner(network)(grain(5))[0], atol=1e-4)


def test_one_photograph_without_any_texture_gives_finite_numbers(taps):
    flat = np.full((64, 96, 3), 128, np.uint8)
    network = fit_good(taps, [flat])
    assert np.isfinite(runner(network)(flat)[0]).all() and np.isfinite(runner(network)(grain(0, (64, 96)))[0]).all()


def test_without_a_photograph_there_is_nothing_to_know(taps):
    with pytest.raises(DataError, match="no good photograph"):
        fit_good(taps, [])


def test_mean_and_covariance_are_those_of_all_places_together():
    """Places (0, 0), (2, 0), (0, 4), (2, 4): means 1 and 2, variances 1 and 4, no covariance."""
    moments = Moments()
    moments.add(np.array([[[0, 0], [2, 0]]], np.float32))
    moments.add(np.array([[[0, 4]], [[2, 4]]], np.float32))
    assert moments.mean().tolist() == [1, 2] and moments.covariance().tolist() == [[1, 0], [0, 4]]
    kernel, bias = moments.whitening()
    # (2 - 1) / 1 and (4 - 2) / 2, but for the floor under the variances
    np.testing.assert_allclose(np.array([2, 4]) @ kernel + bias, [1, 1], atol=2e-3)


def test_a_score_is_led_by_the_places_that_are_farthest_off():
    """Three places that count for nothing and one of 5 + 3: (8 ** 4 / 4) ** (1 / 4)."""
    assert score_of(np.array([[-3.0, -9.0], [-3.0, 5.0]])) == pytest.approx(8 / 4**0.25)
    assert score_of(np.zeros((7, 9, 1), np.float32)) == pytest.approx(3)
