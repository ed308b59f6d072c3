"""ss_poc.networks.memory: a network joined with a memory of good photographs."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.networks.build import build_model
from ss_poc.networks.memory import MOST_Z, WEIGHT, Z_SCORE, lite0_taps, memory_of_good, with_memory
from ss_poc.networks.weights import load_weights

import keras  # isort: skip  (after ss_poc.networks, which quietens TensorFlow)

SIZE_HW = (64, 96)
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, *SIZE_HW, 3)).astype(np.float32)


def log_odds(model: keras.Model) -> np.ndarray:
    probability = np.asarray(model(IMAGES, training=False), np.float64)
    return np.log(probability / (1 - probability))


@pytest.fixture(scope="module")
def alone() -> keras.Model:
    return build_model("compact", "compact16", 1, SIZE_HW)


@pytest.fixture
def joined(alone) -> keras.Model:
    return with_memory(alone, memory_of_good(lite0_taps(None)))


def test_a_memory_that_knows_nothing_changes_nothing(alone, joined):
    assert joined.input_shape == alone.input_shape and joined.output_shape == alone.output_shape
    np.testing.assert_allclose(log_odds(joined), log_odds(alone), atol=1e-4)


def test_a_photograph_that_departs_moves_its_most_suspicious_place_and_none_below_its_mean(alone, joined):
    """z is -1 and 0.5 whatever is seen, and weighs 0.3; then one is far above MOST_Z, and counts as that."""
    joined.get_layer(WEIGHT).set_weights([np.full((1, 1, 1, 1), 0.3)])
    before = log_odds(alone)
    highest, mean = before.max(axis=(1, 2), keepdims=True), before.mean(axis=(1, 2), keepdims=True)
    for biases, counted in (((-1.0, 0.5), -0.5), ((100.0, 0.5), MOST_Z + 0.5)):
        joined.get_layer(Z_SCORE).set_weights([np.zeros((1, 1, 2, 1)), np.array(biases)])
        moved = log_odds(joined) - before
        np.testing.assert_allclose(moved[before == highest], 0.3 * counted, atol=2e-2)
        np.testing.assert_allclose(moved[before < mean], 0, atol=1e-3)
        half = np.abs(before - (highest + mean) / 2) < 0.01 * (highest - mean)  # halfway: a quarter
        np.testing.assert_allclose(moved[half], 0.3 * counted / 4, atol=2e-2)


def test_each_scale_has_its_own_units(alone, joined):
    """4 times 1 and 1 times -2, and what is added to each."""
    layer = joined.get_layer(Z_SCORE)
    layer.set_weights([np.array([[[[1.0], [-2.0]]]]), np.array([0.5, 3.0])])
    scores = np.array([[[[4.0, 1.0]]]], np.float32)
    np.testing.assert_allclose(np.ravel(layer(scores)), [4.5, 1.0])


def test_it_is_loaded_by_the_name_of_its_encoder(joined, tmp_path):
    joined.get_layer(WEIGHT).set_weights([np.full((1, 1, 1, 1), 0.7)])
    joined.save(tmp_path / "model.keras")
    again = build_model("compact", "compact16+good", 1, SIZE_HW)
    load_weights(again, tmp_path / "model.keras")
    np.testing.assert_allclose(log_odds(again), log_odds(joined), atol=1e-4)
