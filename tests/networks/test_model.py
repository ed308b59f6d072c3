"""ss_poc.networks.model: names to networks, and weights in and out."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ss_poc.core.config import ARCHITECTURES
from ss_poc.core.errors import ConfigError, ModelError
from ss_poc.networks.model import (
    build_model,
    default_encoder,
    encoder_layers,
    encoder_names,
    load_weights,
    stored_classes,
    with_views,
)

import keras  # isort: skip  (after ss_poc.networks, which quietens TensorFlow)

SIZE = (64, 96)
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, *SIZE, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same starting weights in every run."""
    keras.utils.set_random_seed(0)


def forward(model: keras.Model, images: np.ndarray = IMAGES, training: bool = False) -> np.ndarray:
    return np.asarray(model(images, training=training))


@pytest.fixture(scope="module")
def compact() -> keras.Model:
    """A compact network with every weight moved away from where it starts."""
    model, random = build_model("compact", "", 2, SIZE), np.random.default_rng(1)
    for weight in model.weights:
        factor, offset = random.uniform(0.7, 1.3, weight.shape), random.uniform(0, 0.02, weight.shape)
        weight.assign(np.asarray(weight) * factor + offset)
    return model


@pytest.fixture(scope="module")
def saved(compact, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model_1_0.5.keras"
    compact.save(path)
    return path


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


# --- the encoder's own scaling in front

PIXELS = np.array([[[0, 0, 0], [255, 255, 255], [10, 100, 200]]], np.float32)


@pytest.mark.parametrize(("encoder", "by_hand"), [
    ("efficientnetb0", (PIXELS / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
    ("vgg16", PIXELS[..., ::-1] - np.array([103.939, 116.779, 123.68])),
    ("resnet18", PIXELS),
])
def test_pixels_are_scaled_as_the_encoder_was_trained(encoder, by_hand):
    from ss_poc.networks.keras_setup import segmentation_models

    model = build_model("linknet", encoder, 1, (32, 64))
    layer = model.get_layer("preprocess")
    found = np.asarray(layer(np.resize(PIXELS, (1, 32, 64, 3))))[0, 0, :3]
    np.testing.assert_allclose(found, by_hand[0], atol=1e-3)
    own = segmentation_models().get_preprocessing(encoder)(PIXELS[None].copy())
    np.testing.assert_allclose(found, np.asarray(own)[0, 0], atol=1e-3)
    assert not layer.trainable and not layer.trainable_weights


# --- weights in and out


def test_a_saved_network_built_again_gives_the_same(compact, saved):
    fresh = build_model("compact", "compact16", 2, SIZE)
    assert np.abs(forward(fresh) - forward(compact)).max() > 1e-3
    np.testing.assert_array_equal(forward(build_model("compact", "", 2, SIZE, str(saved))), forward(compact))


def test_a_saved_network_with_an_encoder_built_again_gives_the_same(tmp_path):
    model = build_model("linknet", "resnet18", 1, SIZE)
    forward(model, training=True)
    model.save(tmp_path / "a.keras")
    again = build_model("linknet", "resnet18", 1, SIZE, str(tmp_path / "a.keras"))
    np.testing.assert_array_equal(forward(again), forward(model))


def test_weights_go_into_another_input_size(compact, saved):
    other = build_model("compact", "", 2, (32, 64), str(saved))
    for one, two in zip(other.get_weights(), compact.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def refused_weights(path: Path, architecture: str = "compact", encoder: str = "", classes: int = 2) -> ModelError:
    with warnings.catch_warnings(record=True) as heard, pytest.raises(ModelError) as refused:
        warnings.simplefilter("always")
        build_model(architecture, encoder, classes, SIZE, str(path))
    assert not [item for item in heard if item.category is UserWarning]  # one sentence, not one for every layer
    assert str(path) in refused.value.what and "\n" not in refused.value.what and refused.value.expected
    return refused.value


def test_weights_of_another_network_are_refused(saved):
    assert "does not fit" in refused_weights(saved, "compact", "compact24", 2).what


def test_another_number_of_classes_renews_the_head_and_keeps_everything_else(compact, saved):
    assert stored_classes(saved) == 2
    model = build_model("compact", "", 3, SIZE, str(saved))
    assert forward(model).shape == (2, *SIZE, 3)
    for one, two in zip(model.get_weights()[:-2], compact.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(one, two)
    bias = model.get_weights()[-1]
    assert bias.tolist() == [pytest.approx(-3.8918, abs=1e-3)] * 3  # log(0.02 / 0.98), where every network starts


def test_a_class_that_the_weights_know_keeps_its_channel(compact, saved):
    """Known: 0 and 1. Now: a new class, then what was 1, then what was 0."""
    model = build_model("compact", "", 3, SIZE, str(saved), kept=[None, 1, 0])
    np.testing.assert_allclose(forward(model)[..., 1:], forward(compact)[..., ::-1], atol=1e-6)
    assert abs(forward(model)[..., 0] - forward(compact)[..., 0]).max() > 1e-3


def test_the_encoder_ends_at_the_smallest_map_and_holds_still_when_frozen():
    model = build_model("compact", "", 2, SIZE)
    names = [layer.name for layer in encoder_layers(model)]
    assert "head" not in names and 0.4 < len(names) / len(model.layers) < 0.8
    nested = encoder_layers(build_model("linknet", "resnet18", 2, SIZE))
    assert any(isinstance(layer, keras.layers.Conv2D) for layer in nested)
    assert not any(layer.name.startswith(("decoder", "final")) for layer in nested)


@pytest.mark.parametrize("part", [0, 10, 0.5, -1])
def test_a_weights_file_cut_off_is_refused(saved, tmp_path, part):
    data, path = saved.read_bytes(), tmp_path / "cut.keras"
    path.write_bytes(data[:int(len(data) * part)] if isinstance(part, float) else data[:part])
    assert "does not fit" in refused_weights(path).what


@pytest.mark.parametrize("content", [b"", b"not a keras file", b"PK\x03\x04" + bytes(100),
                                     b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_what_is_no_keras_file_is_refused(tmp_path, content):
    (tmp_path / "a.keras").write_bytes(content)
    refused_weights(tmp_path / "a.keras")


def test_a_missing_weights_file_or_a_folder_is_refused(tmp_path):
    assert "there is no weights file" in refused_weights(tmp_path / "none.keras").what
    (tmp_path / "folder.keras").mkdir()
    assert "there is no weights file" in refused_weights(tmp_path / "folder.keras").what


def test_a_weights_file_with_one_wrong_byte_is_refused(saved, tmp_path):
    data = bytearray(saved.read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.keras").write_bytes(data)
    refused_weights(tmp_path / "a.keras")


@pytest.mark.parametrize("weights", [None, b"", b"no hdf5", b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_an_archive_without_sound_weights_is_refused(tmp_path, weights):
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        if weights is not None:
            archive.writestr("model.weights.h5", weights)
    refused_weights(tmp_path / "a.keras")


def test_code_in_a_weights_file_is_never_run(compact, tmp_path):
    trap = tmp_path / "trap"
    source = f"lambda x, path={str(trap)!r}: (open(path, 'w').close(), x)[1]"
    output = keras.layers.Lambda(eval(source),  # noqa: S307  (the attack)
                                  output_shape=(*SIZE, 2))(compact.output)
    trapped = keras.Model(compact.input, output)
    forward(trapped)
    assert trap.exists()  # it would work
    trapped.save(tmp_path / "a.keras")
    trap.unlink()
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        assert "Lambda" in archive.read("config.json").decode()
    try:
        model = build_model("compact", "", 2, SIZE, str(tmp_path / "a.keras"))
    except ModelError:
        pass
    else:
        forward(model)
        assert not any(isinstance(layer, keras.layers.Lambda) for layer in model.layers)
    assert not trap.exists()


def test_loading_into_a_network_says_the_same(compact, tmp_path):
    (tmp_path / "a.keras").write_bytes(b"x")
    before = [weight.copy() for weight in compact.get_weights()]
    with pytest.raises(ModelError, match="does not fit this network"):
        load_weights(compact, tmp_path / "a.keras")
    assert all(np.array_equal(one, two) for one, two in zip(before, compact.get_weights(), strict=True))


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


def test_compact_has_no_pretrained_weights_and_says_so():
    with pytest.warns(UserWarning, match="compact has no pretrained weights"):
        build_model("compact", "", 1, (32, 64), "imagenet")


# --- views


@pytest.mark.parametrize(("views", "flips"), [("single", [()]), ("mirrored", [(), (1,)]), ("upside_down", [(), (0,)]),
                                              ("turned", [(), (0, 1)]), ("all", [(), (1,), (0,), (0, 1)])])
def test_views_average_what_is_said_of_mirror_images(views, flips):
    model = build_model("compact", "compact16", 2, (32, 64))
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3)).astype(np.float32)
    said = [np.flip(model(np.flip(image, axes)[None].copy(), training=False)[0], axes) for axes in flips]
    found = np.asarray(with_views(model, views)(np.stack([image, image[::-1]]), training=False))
    assert found.shape == (2, 32, 64, 2)
    np.testing.assert_allclose(found[0], np.mean(said, axis=0), atol=1e-5)


def test_turned_views_of_a_turned_image_are_the_answer_turned():
    model = with_views(build_model("compact", "compact16", 2, (32, 64)), "turned")
    image = np.random.default_rng(1).integers(0, 256, (1, 32, 64, 3)).astype(np.float32)
    upright, turned = (np.asarray(model(each.copy(), training=False)) for each in (image, image[:, ::-1, ::-1]))
    np.testing.assert_allclose(turned[:, ::-1, ::-1], upright, atol=1e-5)
    assert np.abs(upright - upright[:, ::-1, ::-1]).max() > 1e-5  # or it would say nothing
