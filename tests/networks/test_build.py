"""ss_poc.networks.build: names to networks."""

from __future__ import annotations

import numpy as np
import pytest
from small_networks import IMAGES, SIZE, forward

from ss_poc.core.config import ARCHITECTURES
from ss_poc.core.errors import ConfigError, ModelError
from ss_poc.networks.build import build_model, default_encoder, encoder_names

import keras  # isort: skip  (after ss_poc.networks, which quietens TensorFlow)


# --- networks


@pytest.mark.parametrize(("architecture", "encoder", "size"), [
    ("compact", "", SIZE), ("compact", "compact24", SIZE), ("unet", "efficientnetb0", SIZE), ("fpn", "", SIZE),
    ("linknet", "resnet18", SIZE), ("pspnet", "", (96, 192)), ("unetpp", "efficientnetb4", SIZE)])
def test_a_network_takes_pixels_and_starts_by_calling_few_of_them_a_defect(architecture, encoder, size):
    model = build_model(architecture, encoder, 3, size)
    assert model.input_shape == (None, *size, 3) and model.output_shape == (None, *size, 3)
    images = np.random.default_rng(0).uniform(0, 255, (2, *size, 3)).astype(np.float32)
    probability = forward(model, images, training=True)  # with the statistics of the batch, as in the first step
    assert probability.shape == (2, *size, 3) and probability.dtype == np.float32
    assert probability.min() >= 0 and probability.max() <= 1
    assert 0.005 < probability.mean() < 0.1


def test_compact_starts_there_outside_of_training_too():
    assert 0.01 < forward(build_model("compact", "", 1, SIZE)).mean() < 0.04


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_pictures_have_finite_probabilities(compact, level):
    assert np.isfinite(forward(compact, np.full((1, *SIZE, 3), level, np.float32))).all()


def test_the_answer_to_an_image_does_not_depend_on_its_batch(compact):
    np.testing.assert_allclose(forward(compact, IMAGES[1:]), forward(compact)[1:], atol=1e-5)


def test_all_classes_may_be_there_at_once(compact):
    model = build_model("compact", "", 2, SIZE)
    model.set_weights(compact.get_weights())
    head = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)][-1]
    head.set_weights([np.asarray(head.kernel) * 0, np.array([9, 9], np.float32)])
    assert forward(model).min() > 0.99  # sigmoid, not softmax


def test_compact_has_no_pretrained_weights_and_says_so():
    with pytest.warns(UserWarning, match="compact has no pretrained weights"):
        build_model("compact", "", 1, (32, 64), "imagenet")


# --- names and sizes


@pytest.mark.parametrize("call", [lambda: build_model("vit", "", 2, SIZE), lambda: default_encoder("vit")])
def test_an_unknown_architecture_is_refused_with_those_that_are(call):
    with pytest.raises(ModelError, match="'vit'") as refused:
        call()
    assert all(name in refused.value.expected for name in ARCHITECTURES)


@pytest.mark.parametrize(("architecture", "encoder", "known"), [
    ("compact", "efficientnetb0", "compact16"), ("unet", "compact16", "efficientnetb0"), ("unet", "resnet", "resnet18"),
    ("fpn", "densenet121", "vgg16")])
def test_an_encoder_that_does_not_go_with_it_is_refused_with_those_that_do(architecture, encoder, known):
    with pytest.raises(ModelError, match=f"'{encoder}' does not go with {architecture}") as refused:
        build_model(architecture, encoder, 2, SIZE)
    assert known in refused.value.expected and "densenet" not in refused.value.expected


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_has_a_default_among_its_encoders(architecture):
    assert default_encoder(architecture) in encoder_names(architecture)


@pytest.mark.parametrize("size", [(64, 90), (65, 96), (0, 64), (100, 100)])
def test_a_size_off_the_stride_is_refused(size):
    with pytest.raises(ConfigError, match="multiples of 32"):
        build_model("compact", "", 2, size)


@pytest.mark.parametrize(("size", "advice"), [((64, 96), "96x96"), ((256, 320), "288x288"), ((96, 160), "96x192")])
def test_pspnet_says_which_size_it_can_take(size, advice):
    with pytest.raises(ModelError, match="pspnet cannot take") as refused:
        build_model("pspnet", "", 2, size)
    assert refused.value.expected == "multiples of 96" and refused.value.fix == f"try --size {advice}"


def test_an_encoder_that_cannot_take_a_small_size_says_so():
    with pytest.raises(ModelError, match="inceptionv3 cannot be built for 64x96") as refused:
        build_model("fpn", "inceptionv3", 2, SIZE)
    assert "--size" in refused.value.fix


def test_tensorflow_multiplies_with_onednn_on_every_processor():
    from tensorflow.python.framework.test_util import IsMklEnabled

    assert IsMklEnabled()
