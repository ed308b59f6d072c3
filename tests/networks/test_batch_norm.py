"""Batch normalisation in one kernel: the numbers of Keras' own, and the same network around it."""

from __future__ import annotations

import numpy as np
import pytest

from ss_poc.networks.batch_norm import FusedBatchNormalization, fused
from ss_poc.networks.build import build_model

import keras  # isort: skip


def one_channel(layer: keras.layers.Layer) -> keras.layers.Layer:
    layer.build((None, 1, 2, 1))
    layer.gamma.assign([3.0])
    layer.beta.assign([10.0])
    return layer


def test_values_become_mean_beta_and_deviation_gamma():
    """Of 1 and 5 the mean is 3 and the deviation 2: they become -1 and 1, times 3 plus 10."""
    layer = one_channel(FusedBatchNormalization(epsilon=1e-9))
    found = layer(np.array([1.0, 5.0], np.float32).reshape(1, 1, 2, 1), training=True)
    assert np.asarray(found).ravel() == pytest.approx([7.0, 13.0], abs=1e-4)


def test_moving_statistics_go_a_part_of_the_way():
    """With momentum 0.75 a quarter of the way: from 0 to the mean 3, from 1 to the unbiased variance 8."""
    layer = one_channel(FusedBatchNormalization(momentum=0.75))
    layer(np.array([1.0, 5.0], np.float32).reshape(1, 1, 2, 1), training=True)
    assert float(layer.moving_mean[0]) == pytest.approx(0.75)
    assert float(layer.moving_variance[0]) == pytest.approx(0.75 * 1 + 0.25 * 8)


def test_held_still_it_uses_the_moving_statistics_and_leaves_them():
    layer = one_channel(FusedBatchNormalization(epsilon=1e-9))
    layer.trainable = False
    found = layer(np.array([1.0, 5.0], np.float32).reshape(1, 1, 2, 1), training=True)
    assert np.asarray(found).ravel() == pytest.approx([13.0, 25.0], abs=1e-4)
    assert float(layer.moving_mean[0]) == 0.0


def test_statistics_of_16_bit_maps_are_not_rounded():
    """The mean of 1 and 256 is 128.5; the nearest that bfloat16 knows are 128 and 129."""
    layer = FusedBatchNormalization(momentum=0.0, dtype="mixed_bfloat16")
    layer(np.repeat([1.0, 256.0], 1000).reshape(1, 2, 1000, 1), training=True)
    assert float(layer.moving_mean[0]) == pytest.approx(128.5, abs=0.01)
    assert layer.moving_variance.dtype == "float32"


@pytest.mark.parametrize(("architecture", "encoder"), [("compact", "compact16"), ("unet", "efficientnetb0")])
def test_a_fused_network_has_the_weights_and_answers_of_the_first(architecture, encoder):
    first = build_model(architecture, encoder, 2, (64, 96))
    before = first.get_weights()
    second = fused(first)
    assert [value.shape for value in second.get_weights()] == [value.shape for value in before]
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(second.get_weights(), before, strict=True))
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3)).astype(np.float32)
    assert np.allclose(np.asarray(first(image, training=False)), np.asarray(second(image, training=False)), atol=1e-6)


def kinds(model: keras.Model) -> list[type]:
    return [kind for layer in model.layers
            for kind in (kinds(layer) if isinstance(layer, keras.Model) else [type(layer)])]


def test_none_of_keras_own_is_left_in_a_network():
    found = kinds(fused(build_model("unet", "efficientnetb0", 1, (64, 64))))
    assert FusedBatchNormalization in found and keras.layers.BatchNormalization not in found


def test_a_normalisation_that_the_kernel_cannot_do_stays():
    image = keras.Input((4, 6, 3))
    model = fused(keras.Model(image, keras.layers.BatchNormalization(scale=False)(image)))
    assert keras.layers.BatchNormalization in kinds(model) and FusedBatchNormalization not in kinds(model)


def test_gradients_are_those_of_keras_own():
    tensorflow = pytest.importorskip("tensorflow")
    image = np.random.default_rng(1).normal(5, 3, (2, 4, 6, 3)).astype(np.float32)
    found = []
    for kind in (keras.layers.BatchNormalization, FusedBatchNormalization):
        layer = kind()
        layer.build((None, 4, 6, 3))
        with tensorflow.GradientTape() as tape:
            x = tensorflow.constant(image)
            tape.watch(x)
            loss = tensorflow.reduce_sum(layer(x, training=True)**3)
        found.append([np.asarray(item) for item in tape.gradient(loss, [x, layer.gamma.value, layer.beta.value])])
    for theirs, mine in zip(*found, strict=True):
        assert np.allclose(theirs, mine, rtol=1e-3, atol=1e-3)
