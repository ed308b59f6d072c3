"""ss_poc.synthetic.surfaces and ss_poc.networks.pretrained: pictures to learn from, and the weights that did."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from conftest import stage

from ss_poc.core.errors import ModelError
from ss_poc.data.dataset import load_coco
from ss_poc.networks import pretrained
from ss_poc.networks.pretrained import pretrained_encoders, read_pretrained, write_pretrained
from ss_poc.synthetic.surfaces import CLASSES, SIDE, draw_surface, draw_surfaces


def test_same_seed_draws_the_same_surface_and_another_one_another():
    (image, masks), (again, masks_again) = (draw_surface(np.random.default_rng([1, 2])) for _ in range(2))
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(masks, masks_again)
    assert (image != draw_surface(np.random.default_rng([1, 3]))[0]).any()


def test_surface_is_rgb_with_a_mask_for_each_class():
    image, masks = draw_surface(np.random.default_rng(0))
    assert (image.shape, image.dtype) == ((SIDE, SIDE, 3), np.uint8)
    assert (masks.shape, masks.dtype) == ((SIDE, SIDE, 5), bool) and len(CLASSES) == 5


def test_a_fifth_is_sound_and_every_class_occurs():
    """Of 100 with a chance of 1 in 5 to be clean 20 are expected, give or take 4."""
    masks = np.stack([draw_surface(np.random.default_rng([7, number]))[1].any(axis=(0, 1)) for number in range(100)])
    assert 8 <= int((~masks.any(axis=1)).sum()) <= 34
    assert (masks.sum(axis=0) >= 10).all()


@pytest.mark.parametrize("name", CLASSES)
def test_a_defect_changes_its_own_place_and_no_other(name):
    random, seen = np.random.default_rng(5), 0
    grey = cv2.GaussianBlur(random.standard_normal((SIDE, SIDE)).astype(np.float32), (0, 0), 2) * 30 + 120
    for _ in range(10):
        where, changed = CLASSES[name][1](random, grey)
        difference = np.abs(changed - grey)
        if where.sum() > 20:
            seen += 1
            assert difference[where].mean() > 2
        # The softest edge is 6 pixels, drawn by a Gaussian that reaches four times as far.
        far = cv2.dilate(where.astype(np.uint8), np.ones((51, 51), np.uint8)) == 0
        assert not far.any() or difference[far].max() < 1e-3
    assert seen >= 5


def test_drawn_set_is_a_data_set_like_any_other(tmp_path):
    json_path = draw_surfaces(tmp_path / "surfaces", 12, 3)
    dataset = load_coco(json_path, tmp_path / "surfaces")
    assert dataset.labels == ("line", "spot", "stain", "break", "texture") and len(dataset.samples) == 12
    for number, sample in enumerate(dataset.samples):
        _, masks = draw_surface(np.random.default_rng([3, number]))
        np.testing.assert_array_equal(sample.mask(5), masks)


def test_weights_come_back_to_within_their_rounding(tmp_path):
    """Of a channel whose largest value is 127 all whole numbers are kept; halves are off by a half."""
    kernel = np.zeros((1, 1, 3, 2), np.float32)
    kernel[0, 0, :, 0], kernel[0, 0, :, 1] = (127, -3, 0.5), (0.254, -0.1, 0.0)
    gamma = np.array([0.1234567, 1e-9, 1e9], np.float32)
    write_pretrained([kernel, gamma, np.zeros((3, 3, 2, 1), np.float32)], tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["0"].dtype == np.int8
        found = [arrays[str(number)] * arrays.get(f"{number}_scale", 1) for number in range(3)]
    np.testing.assert_allclose(found[0][0, 0, :, 0], [127, -3, 0], atol=1e-5)
    np.testing.assert_allclose(found[0][0, 0, :, 1], [0.254, -0.1, 0], atol=1e-5)
    np.testing.assert_array_equal(found[1], gamma)
    assert not found[2].any()


def test_the_package_says_which_encoders_have_weights():
    assert pretrained_encoders() == ["compact16", "compact24", "compact32"]
    with pytest.raises(ModelError, match="efficientnetb0 has no weights") as refused:
        read_pretrained("efficientnetb0")
    assert "compact24" in refused.value.expected and "--weights none" in refused.value.fix


def test_every_encoder_that_is_said_to_have_weights_has_its_file():
    assert pretrained_encoders() == sorted(path.stem for path in pretrained.FOLDER.glob("*.npz"))


def test_weights_that_are_missing_from_the_package_are_an_error_that_names_the_file(tmp_path, monkeypatch):
    from ss_poc.networks.build import build_model

    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    with pytest.raises(ModelError, match="weights of compact16 are missing") as refused:
        build_model("compact", "compact16", 1, (64, 64), "synthetic")
    assert str(tmp_path / "compact16.npz") in refused.value.expected and "--weights none" in refused.value.fix


@pytest.mark.parametrize("encoder", pretrained_encoders())
def test_packaged_weights_fit_their_network_whatever_its_classes_and_size(encoder):
    from ss_poc.networks.build import build_model

    packaged = read_pretrained(encoder)
    for classes, size_hw, full in ((1, (64, 96), True), (7, (128, 64), False)):
        model = build_model("compact", encoder, classes, size_hw, "synthetic", full=full)
        own = [np.asarray(values) for values in model.weights if "head" not in values.path]
        assert len(own) == len(packaged) == len(model.weights) - 2
        for mine, theirs in zip(own, packaged, strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_weights_are_made_by_one_command(tmp_path):
    stage("pretrain", "--encoder", "compact16", "--budget", "20s", "--images", "100", "--work", str(tmp_path / "work"),
          "--out", str(tmp_path / "weights"), cwd=tmp_path)
    from ss_poc.networks.build import build_model

    found = np.load(tmp_path / "weights" / "compact16.npz")
    count = sum(name.isdigit() for name in found.files)
    assert count == len(build_model("compact", "compact16", 1, (64, 64)).weights) - 2
