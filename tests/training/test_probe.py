"""ss_poc.training.probe: which places are kept, and that a probe learns what the features tell."""

from __future__ import annotations

import numpy as np
import pytest
from drawn_samples import boxes, labelled, whole

from ss_poc.core.config import ChosenConfig
from ss_poc.networks.linear_probe import enlarged, probe_log_odds
from ss_poc.training.loop import probe_of
from ss_poc.training.probe import CLEAN, FEWEST, LABELLED, fit_probe, fit_weights, sampled
from ss_poc.training.windows import Windows


def test_places_are_clean_or_labelled_and_never_hardly_covered():
    features = np.arange(2 * 3, dtype=np.float32).reshape(2, 3, 1)  # each place's feature is its number
    mask = np.zeros((16, 24, 2), np.uint8)
    mask[:8, :8, 0] = 1  # place 0: all of it
    mask[:8, 8:10, 1] = 1  # place 1: a quarter of it, neither clean nor labelled
    mask[8:, 16:20, 1] = 1  # place 5: half of it
    found, covered = sampled(features, mask, np.random.default_rng(0))
    assert found.dtype == np.float16 and sorted(found[:, 0]) == [0, 2, 3, 4, 5]
    by_place = {int(place): list(of) for place, of in zip(found[:, 0], covered, strict=True)}
    assert by_place == {0: [1, 0], 2: [0, 0], 3: [0, 0], 4: [0, 0], 5: [0, 0.5]}


def test_no_window_counts_for_more_than_its_share():
    mask = np.zeros((160, 240, 1), np.uint8)
    mask[:80] = 1
    _, covered = sampled(np.zeros((20, 30, 4), np.float32), mask, np.random.default_rng(0))
    assert (covered == 0).sum() == CLEAN and (covered > 0).sum() == LABELLED


def test_a_window_without_a_class_gives_clean_places_alone():
    _, covered = sampled(np.zeros((4, 6, 4), np.float32), np.zeros((32, 48, 3), np.uint8), np.random.default_rng(0))
    assert covered.shape == (24, 3) and not covered.any()


def _logits(probe, features: np.ndarray) -> np.ndarray:
    return features @ probe.kernel + probe.bias


def test_a_probe_tells_classes_apart_by_their_features():
    random = np.random.default_rng(0)
    kind = random.integers(0, 3, 3000)  # 0 is clean
    features = random.normal(0, 1, (3000, 5)) + 4 * np.eye(5)[kind]
    features[:, 4] = 7  # says nothing and never changes
    probe = fit_weights(features, np.eye(3)[kind][:, 1:].astype(np.float32))
    assert probe.kernel.shape == (5, 3) and probe.bias.shape == (3,)
    assert probe.kernel.dtype == probe.bias.dtype == np.float32
    assert (_logits(probe, features).argmax(axis=1) == kind).mean() > 0.95


def test_classes_that_share_places_share_their_probability():
    features = np.repeat([[0.0, 1.0], [1.0, 0.0]], 500, axis=0)
    covered = np.repeat([[0.0, 0.0], [1.0, 1.0]], 500, axis=0).astype(np.float32)
    logits = _logits(fit_weights(features, covered), np.array([[1.0, 0.0]]))[0]
    share = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(share[1:], 0.5, atol=0.1)


def test_a_class_that_no_place_shows_is_held_down():
    random = np.random.default_rng(0)
    covered = np.zeros((400, 2), np.float32)
    covered[:200, 0] = 1
    probe = fit_weights(random.normal(0, 1, (400, 3)), covered)
    assert probe.kernel.shape == (3, 3)
    logits = _logits(probe, random.normal(0, 1, (50, 3)))
    assert np.isfinite(logits).all() and (logits[:, 2] < logits[:, :2].min(axis=1)).all()


# --- from photographs

SIZE = (64, 96)


def _marked(root, count: int, side: int = 24) -> Windows:
    """Windows of grey photographs with a bright square that is labelled; every third is clean."""
    images, masks = [], []
    for number in range(count):
        random = np.random.default_rng(number)
        image = random.integers(90, 120, (*SIZE, 3)).astype(np.uint8)
        mask = boxes(SIZE, 1, (0, 8 * (number % 4), 8 * (number % 7), side, side) if number % 3 else (0, 0, 0, 0, 0))
        image[mask[..., 0]] = 230
        images.append(image)
        masks.append(mask)
    return Windows(whole(labelled(root, images, masks)), SIZE, 1, 400)


@pytest.fixture(scope="module")
def windows(tmp_path_factory) -> Windows:
    return _marked(tmp_path_factory.mktemp("marked"), 12)


def test_a_probe_finds_squares_on_photographs_that_it_has_not_seen(windows, tmp_path):
    probe = fit_probe(windows, (0, 1), None, seed=0)
    model = enlarged(probe_log_odds(probe, SIZE))
    others = _marked(tmp_path, 26)
    image, bits = others.window(25)
    odds = np.asarray(model(image[None].astype(np.float32), training=False))[0, ..., 0]
    marked = np.unpackbits(bits, axis=-1, count=1)[..., 0].astype(bool)
    assert marked.sum() == 24 * 24 and odds[marked].mean() > 0 > odds[~marked].mean()


def test_the_same_seed_gives_the_same_probe(windows):
    one, two, other = (fit_probe(windows, (1,), None, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.kernel, two.kernel)
    assert np.abs(one.kernel - other.kernel).max() > 0


def test_time_that_is_over_leaves_the_fewest_looks(tmp_path, monkeypatch):
    looked = []
    monkeypatch.setattr("ss_poc.training.probe.sampled",
                        lambda features, mask, random: looked.append(1) or sampled(features, mask, random))
    fit_probe(_marked(tmp_path, 60), (), 0.0, seed=0)
    assert len(looked) == FEWEST < 2 * 60


def test_objects_thinner_than_a_place_give_no_probe(tmp_path):
    assert fit_probe(_marked(tmp_path, 6, side=2), (), None, seed=0) is None


def test_none_is_fitted_where_none_is_wanted(windows):
    assert probe_of(ChosenConfig(features="none"), None, windows.source) is None
