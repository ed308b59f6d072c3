"""ss_poc.training.losses: losses and scores against values worked out on paper."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from ss_poc.core.config import LOSSES
from ss_poc.core.errors import ConfigError
from ss_poc.training import losses
from ss_poc.training.losses import loss_function

import tensorflow as tf  # isort: skip  (after ss_poc.training.losses, which quietens it)


def batch(*channels: list[list[float]]) -> np.ndarray:
    """(1, H, W, C) from one written-out plane a class."""
    return np.stack([np.array(channel, np.float32) for channel in channels], axis=-1)[None]


def value(name: str, true: np.ndarray, probability: np.ndarray) -> float:
    return float(loss_function(name)(true, probability))


# Three pixels at 1/2, one clean pixel at 1/4; 2 of 4 are true. A clean row below would be all the same.
TRUE = batch([[1, 0], [0, 1]])
HALF = batch([[0.5, 0.5], [0.25, 0.5]])
BCE = (3 * log(2) - log(0.75)) / 4
DICE = (2 * 1.0 + 1) / (2 + 1.75 + 1)


# --- losses on paper


def test_bce_of_a_half_is_the_logarithm_of_two():
    for true in (0.0, 1.0):
        found = losses.bce(np.full((2, 3, 5, 2), true, np.float32), np.full((2, 3, 5, 2), 0.5, np.float32))
        assert float(found) == pytest.approx(log(2), abs=1e-6)
    assert float(losses.bce(TRUE, HALF)) == pytest.approx(BCE, abs=1e-6)


def test_soft_dice_is_smoothed_by_one_and_taken_for_each_class():
    np.testing.assert_allclose(losses.soft_dice(TRUE, HALF), [DICE], atol=1e-6)
    two = losses.soft_dice(batch([[1, 0, 0]], [[0, 0, 0]]), batch([[1, 0, 0]], [[0.5, 0.5, 1]]))
    np.testing.assert_allclose(two, [(2 + 1) / (1 + 1 + 1), (0 + 1) / (0 + 2 + 1)], atol=1e-6)


def test_soft_dice_adds_up_the_images_of_a_batch_first():
    true = np.concatenate([batch([[1, 1, 1]]), batch([[0, 0, 0]])])
    probability = np.concatenate([batch([[1, 1, 0]]), batch([[1, 0, 0]])])
    np.testing.assert_allclose(losses.soft_dice(true, probability), [(2 * 2 + 1) / (3 + 3 + 1)], atol=1e-6)


@pytest.mark.parametrize(("name", "expected"), [
    ("bce_dice", BCE + 1 - DICE),
    ("bce_logdice", BCE - log(DICE)),
    # hit 1, false alarms 3/4, missed 1
    ("tversky", 1 - (1 + 1) / (1 + 0.3 * 0.75 + 0.7 * 1 + 1) + 0.1 * BCE),
    # (1 - p)^2 of what is right is 1/4 for three and 1/16 for one; 3/4 for true pixels, 1/4 for clean ones; 2 are true
    ("focal", ((0.75 + 0.75 + 0.25) * 0.25 * log(2) + 0.25 * 0.0625 * -log(0.75)) / 2),
    # errors 1/2 1/2 1/2 1/4: three at 1/2 bring the Jaccard loss to 1 whatever their order
    ("lovasz", 0.5 + 0.1 * BCE),
    # 2 of 4 are true: sqrt(2 / (2 + 1)) is below 1, so they weigh 1; Dice is smoothed by 20
    ("balanced_dice", 5 * BCE + 0.5 * (1 - (2 * 1.0 + 20) / (2 + 1.75 + 20))),
])
def test_a_loss_of_four_pixels_is_what_paper_says(name, expected):
    assert value(name, TRUE, HALF) == pytest.approx(expected, abs=1e-5)


def test_balanced_weighs_one_pixel_of_sixteen_by_the_root_of_what_is_left():
    true = batch([[1, 0, 0, 0]] + [[0] * 4] * 3)
    weight = (15 / (1 + 1))**0.5
    half = np.full_like(true, 0.5)
    found = float(losses.balanced(true, half, gamma=0.0))
    assert found == pytest.approx(5 * (15 + weight) * log(2) / 16, abs=1e-5)
    assert float(losses.balanced(true, half)) == pytest.approx(found * 0.5**1.5, abs=1e-5)


def test_a_loss_takes_probabilities_of_half_the_size():
    """Of four pixels one is true: the one pixel that stands for them is a quarter true."""
    true, half = batch([[1, 0], [0, 0]]), batch([[0.5]])
    assert value("balanced", true, half) == pytest.approx(5 * 0.25**1.5 * log(2), abs=1e-5)


def lovasz_alone(true: np.ndarray, probability: np.ndarray) -> float:
    return value("lovasz", true, probability) - 0.1 * float(losses.bce(true, probability))


def test_lovasz_of_a_hard_prediction_is_one_minus_iou():
    true, hard = batch([[1, 1, 0, 0]]), batch([[1, 0, 1, 0]])  # 1 in both, 3 in either
    assert lovasz_alone(true, hard) == pytest.approx(1 - 1 / 3, abs=1e-5)
    assert lovasz_alone(true, true) == pytest.approx(0, abs=1e-5)
    assert lovasz_alone(true, 1 - true) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("probability", "expected"), [
    ([[0.6, 0.3]], 0.4),               # the missed 0.4 comes first and alone takes IoU from 1 to 0
    ([[0.6, 0.7]], 0.7 / 2 + 0.4 / 2),  # the false 0.7 takes it to 1/2, the missed 0.4 to 0
])
def test_lovasz_weighs_errors_by_what_they_cost(probability, expected):
    assert lovasz_alone(batch([[1, 0]]), batch(probability)) == pytest.approx(expected, abs=1e-5)


# --- what every loss must keep


@pytest.mark.parametrize("name", LOSSES)
def test_better_is_lower(name):
    right, nearly, unsure = np.clip(TRUE, 0.01, 0.99), np.clip(TRUE, 0.2, 0.8), np.full_like(TRUE, 0.5)
    values = [value(name, TRUE, probability) for probability in (TRUE, right, nearly, unsure, 1 - nearly, 1 - TRUE)]
    assert values == sorted(values) and values[0] < 0.02 and len(set(values)) == 6


@pytest.mark.parametrize("name", ["bce_dice", "bce_logdice", "tversky", "lovasz"])
@pytest.mark.parametrize("guess", [0.0, 0.9])
def test_an_absent_class_does_not_lower_the_region_part(name, guess):
    def region(true: np.ndarray, probability: np.ndarray) -> float:
        share = 0.1 if name in ("tversky", "lovasz") else 1.0
        return value(name, true, probability) - share * float(losses.bce(true, probability))

    absent = np.zeros_like(TRUE)
    with_absent = region(np.concatenate([TRUE, absent], -1), np.concatenate([HALF, absent + guess], -1))
    assert with_absent == pytest.approx(region(TRUE, HALF), abs=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_a_false_alarm_of_an_absent_class_costs(name):
    absent = np.zeros((2, 3, 5, 1), np.float32)
    assert value(name, absent, absent + 0.5) > value(name, absent, absent + 0.1) > value(name, absent, absent) >= 0


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_any_defect_has_a_finite_loss_near_0_when_right(name):
    absent = np.zeros((2, 3, 5, 2), np.float32)
    assert 0 <= value(name, absent, absent) < 1e-4


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("true", [TRUE, np.zeros_like(TRUE), np.ones_like(TRUE)], ids=["mixed", "none", "all"])
def test_value_and_gradient_are_finite_at_the_ends(name, true):
    for plane in ([[0, 0], [0, 0]], [[1, 1], [1, 1]], [[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, 0.5], [1, 0.5]]):
        probability = tf.Variable(batch(plane))
        with tf.GradientTape() as tape:
            loss = loss_function(name)(tf.constant(true), probability)
        gradient = tape.gradient(loss, probability).numpy()
        assert loss.shape == () and np.isfinite(loss.numpy()) and np.isfinite(gradient).all()


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_raises_true_pixels_and_lowers_clean_ones(name):
    probability = tf.Variable(batch([[0.45, 0.5, 0.55], [0.4, 0.6, 0.35]]))
    true = batch([[1, 0, 0], [0, 1, 1]])
    with tf.GradientTape() as tape:
        loss = loss_function(name)(tf.constant(true), probability)
    gradient = tape.gradient(loss, probability).numpy()
    assert (gradient[true == 1] < 0).all() and (gradient[true == 0] > 0).all()


def test_every_loss_of_the_settings_is_known_and_no_other():
    assert all(callable(loss_function(name)) for name in LOSSES)
    with pytest.raises(ConfigError, match="loss is 'dice'") as refused:
        loss_function("dice")
    assert all(name in refused.value.expected for name in LOSSES)
