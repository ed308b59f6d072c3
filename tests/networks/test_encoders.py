"""ss_poc.networks.encoders: the encoders of the libraries, their scaling and their weights."""

from __future__ import annotations

import numpy as np
import pytest
from small_networks import SIZE, forward

from ss_poc.core.errors import ModelError
from ss_poc.networks.build import build_model
from ss_poc.networks.keras2_names import segmentation_models

import keras  # isort: skip  (after ss_poc.networks, which quietens TensorFlow)


# --- the encoder's own scaling in front

PIXELS = np.array([[[0, 0, 0], [255, 255, 255], [10, 100, 200]]], np.float32)


@pytest.mark.parametrize(("encoder", "by_hand"), [
    ("efficientnetb0", (PIXELS / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
    ("vgg16", PIXELS[..., ::-1] - np.array([103.939, 116.779, 123.68])),
    ("resnet18", PIXELS),
])
def test_pixels_are_scaled_as_the_encoder_was_trained(encoder, by_hand):
    model = build_model("linknet", encoder, 1, (32, 64))
    layer = model.get_layer("preprocess")
    found = np.asarray(layer(np.resize(PIXELS, (1, 32, 64, 3))))[0, 0, :3]
    np.testing.assert_allclose(found, by_hand[0], atol=1e-3)
    own = segmentation_models().get_preprocessing(encoder)(PIXELS[None].copy())
    np.testing.assert_allclose(found, np.asarray(own)[0, 0], atol=1e-3)
    assert not layer.trainable and not layer.trainable_weights


# --- pretrained encoders without a network


def failing(error: Exception):
    calls = []

    def get_file(*args, **kwargs):
        calls.append(args)
        raise error
    return get_file, calls


@pytest.mark.parametrize("error", [
    Exception("URL fetch failure on https://example.org/resnet18.h5: None -- Temporary failure in name resolution"),
    TimeoutError("timed out"), ConnectionResetError("reset by peer")], ids=lambda error: type(error).__name__)
def test_without_the_internet_training_starts_from_scratch_with_a_warning(monkeypatch, error):
    get_file, calls = failing(error)
    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.warns(UserWarning, match="imagenet weights of resnet18 could not be downloaded.*from scratch"):
        model = build_model("linknet", "resnet18", 2, SIZE, "imagenet")
    assert calls and 0.005 < forward(model, training=True).mean() < 0.1


def test_a_download_that_is_not_the_right_file_is_refused(monkeypatch):
    monkeypatch.setattr(keras.utils, "get_file", failing(ValueError("Incomplete or corrupted file detected."))[0])
    with pytest.raises(ModelError, match="corrupted") as refused:
        build_model("linknet", "resnet18", 2, SIZE, "imagenet")
    assert "--weights none" in refused.value.fix


def test_a_real_fault_while_building_is_not_taken_for_a_missing_network(monkeypatch):
    monkeypatch.setattr(keras.utils, "get_file", failing(RuntimeError("a bug"))[0])
    with pytest.raises(RuntimeError, match="a bug"):
        build_model("linknet", "resnet18", 2, SIZE, "imagenet")
