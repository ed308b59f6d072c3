"""ss_poc.anomaly.good: what departs from good photographs."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.anomaly.good import Moments, fit_good, runner
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


def scores(network: keras.Model, image: np.ndarray) -> np.ndarray:
    (found,) = runner(network)(image)
    assert found.shape == (1, 1, 2) and found.dtype == np.float32
    return found.ravel()


def test_a_mark_is_the_place_that_departs_most_and_makes_the_photograph_depart(network):
    marked = grain(99)
    marked[40:48, 88:96] = 20
    fine, coarse = runner(keras.Model(network.input, [network.get_layer(f"distance_{scale}").output
                                                      for scale in ("fine", "coarse")]))(marked)
    assert fine.shape == (48, 64, 1) and coarse.shape == (3, 4, 1)
    row, column = np.unravel_index(fine[..., 0].argmax(), (48, 64))
    assert 19 <= row <= 24 and 43 <= column <= 48  # (40..48, 88..96) / 2, and a place beside it
    assert coarse[..., 0].argmax() == 1 * 4 + 2  # row 40 / 32, column 88 / 32
    assert (scores(network, marked) > 1.2 * scores(network, grain(99))).all()


def test_photographs_that_it_knows_have_scores_of_about_1(network):
    """Their places have a mean square distance of 1, less where the floor of the variances counts; powers raise it."""
    found = np.array([scores(network, grain(number, size))
                      for number, size in enumerate([(96, 128), (64, 80), (90, 101)] * 3)])
    assert (found > 0.8).all() and (found < 2).all()


def test_sides_of_any_length_from_32_on_are_taken(network):
    for size_hw in ((32, 32), (33, 50), (61, 100)):
        assert np.isfinite(scores(network, grain(1, size_hw))).all()


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

