"""ss_poc.networks.weights: weights in and out of networks."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from small_networks import SIZE, forward

from ss_poc.core.errors import ModelError
from ss_poc.networks.build import build_model
from ss_poc.networks.structure import head_of
from ss_poc.networks.weights import load_weights, stored_classes

import keras  # isort: skip  (after ss_poc.networks, which quietens TensorFlow)


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
    # The probabilities of `compact` are 1 nearly everywhere: what begins anew shows in the head itself.
    fresh, known = head_of(model), head_of(compact)
    assert np.asarray(fresh.bias)[0] == pytest.approx(-3.8918, abs=1e-3)
    assert abs(np.asarray(fresh.kernel)[..., 0] - np.asarray(known.kernel)[..., 0]).max() > 1e-3


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
