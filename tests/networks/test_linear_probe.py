"""ss_poc.networks.linear_probe: the joined network against its two sections, computed one by one."""

from __future__ import annotations

import numpy as np
import pytest
from small_networks import IMAGES, SIZE, forward

from ss_poc.core.errors import ModelError
from ss_poc.networks.build import build_model
from ss_poc.networks.linear_probe import (
    PROBE_FILE,
    Probe,
    enlarged,
    log_odds,
    probe_features,
    probe_log_odds,
    read_probe,
    with_probe,
    write_probe,
)

FEATURES = 40 + 112 + 320


@pytest.fixture(scope="module")
def probe() -> Probe:
    random = np.random.default_rng(3)
    return Probe(random.normal(0, 0.2, (FEATURES, 3)).astype(np.float32),
                 random.normal(0, 1, 3).astype(np.float32))


def _sigmoid(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


def test_features_have_a_place_for_every_eight_pixels():
    assert forward(probe_features(SIZE)).shape == (2, SIZE[0] // 8, SIZE[1] // 8, FEATURES)


def test_maps_weighed_before_they_are_enlarged_give_what_features_weighed_afterwards_give(probe):
    logits = forward(probe_features(SIZE)) @ probe.kernel + probe.bias
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    share = np.clip((exponents / exponents.sum(axis=-1, keepdims=True))[..., 1:], 1e-4, 1 - 1e-4)
    found = forward(probe_log_odds(probe, SIZE))
    assert found.shape == (2, SIZE[0] // 8, SIZE[1] // 8, 2)
    np.testing.assert_allclose(found, np.log(share / (1 - share)), atol=2e-3)


def test_a_probe_is_never_surer_than_one_in_ten_thousand():
    sure = Probe(np.zeros((FEATURES, 2), np.float32), np.array([0, 50], np.float32))
    np.testing.assert_allclose(forward(probe_log_odds(sure, SIZE)), np.log(9999), atol=0.01)


@pytest.mark.parametrize("weight", [0.5, 1.0])
def test_log_odds_of_both_are_averaged(compact, probe, weight):
    known = probe_log_odds(probe, SIZE)
    mean = (forward(log_odds(compact)) + weight * forward(enlarged(known))) / (1 + weight)
    np.testing.assert_allclose(forward(with_probe(compact, known, weight, "single")), _sigmoid(mean), atol=1e-5)


def test_the_network_sees_all_views_and_the_probe_the_last(compact, probe):
    known, alone = probe_log_odds(probe, SIZE), log_odds(compact)
    turned = IMAGES[:, ::-1, ::-1].copy()
    network = (forward(alone) + forward(alone, turned)[:, ::-1, ::-1]) / 2
    mean = (network + forward(enlarged(known), turned)[:, ::-1, ::-1]) / 2
    np.testing.assert_allclose(forward(with_probe(compact, known, 1.0, "turned")), _sigmoid(mean), atol=1e-4)


def test_networks_that_give_probabilities_alone_can_be_joined_as_well(probe):
    model = build_model("linknet", "efficientnetb0", 2, SIZE)
    clipped = np.clip(forward(model), 1e-4, 1 - 1e-4)
    np.testing.assert_allclose(forward(log_odds(model)), np.log(clipped / (1 - clipped)), atol=1e-3)
    assert forward(with_probe(model, probe_log_odds(probe, SIZE), 0.5, "single")).shape == (2, *SIZE, 2)


def test_a_probe_that_was_written_is_read_again(probe, tmp_path):
    write_probe(tmp_path / PROBE_FILE, probe)
    found = read_probe(tmp_path / PROBE_FILE, 2)
    np.testing.assert_array_equal(found.kernel, probe.kernel)
    np.testing.assert_array_equal(found.bias, probe.bias)


def test_a_probe_of_other_classes_is_refused(probe, tmp_path):
    write_probe(tmp_path / PROBE_FILE, probe)
    with pytest.raises(ModelError, match=r"is of \(472, 3\)"):
        read_probe(tmp_path / PROBE_FILE, 5)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut"])
def test_a_damaged_probe_is_refused(tmp_path, content):
    (tmp_path / PROBE_FILE).write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read"):
        read_probe(tmp_path / PROBE_FILE, 2)
