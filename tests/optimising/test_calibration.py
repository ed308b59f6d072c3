"""Probabilities that mean what they say: fitted on counted pixels, judged on images left out, part of the graph."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import onnxruntime
import pytest

from ss_poc.core.files import sha256_file
from ss_poc.core.model_spec import read_spec, write_spec
from ss_poc.core.platt import IDENTITY, Calibration
from ss_poc.core.run import Run
from ss_poc.inference.kept import KeptMaps
from ss_poc.inference.predictor import Predictor
from ss_poc.networks import keras_setup  # noqa: F401  (quietens TensorFlow)
from ss_poc.networks.onnx_file import convert
from ss_poc.optimising import calibration, export
from ss_poc.optimising.calibration import (
    BINS,
    CENTRES,
    calibrated,
    count_pixels,
    cross_fitted,
    expected_error,
    fit,
    write_into,
)

import keras  # noqa: E402  isort: skip


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def image_of(factor, offset, pixels=100.0):
    """Counts of an image in which the log-odds times `factor` plus `offset` are right: (2, 1, BINS)."""
    every = np.full(BINS, pixels)
    return np.stack([every * sigmoid(factor * CENTRES + offset), every])[:, None]


@pytest.mark.parametrize(("factor", "offset"), [(1.0, 0.0), (2.0, -1.0), (0.5, -1.5)])
def test_what_stretches_and_shifts_the_log_odds_is_found(factor, offset):
    (found,) = fit([image_of(factor, offset)] * 3)
    assert found.factor == pytest.approx(factor, abs=0.02) and found.offset == pytest.approx(offset, abs=0.02)


def test_a_class_with_few_labels_or_on_few_images_stays_as_it_is():
    empty = image_of(1, -3)
    empty[0] = 0
    assert fit([image_of(1, -3)] * 2) == [IDENTITY]
    assert fit([image_of(1, -3)] * 2 + [empty]) == [IDENTITY]
    assert fit([image_of(1, -3, pixels=0.1)] * 3) == [IDENTITY]
    assert fit([empty] * 5) == [IDENTITY]


def test_a_model_that_takes_sound_surface_for_defects_is_not_turned_round():
    assert fit([image_of(-1, 0)] * 3) == [IDENTITY]


def test_a_probability_of_a_half_that_stands_for_a_fifth_is_off_by_three_tenths():
    counts = np.zeros((2, 1, BINS))
    counts[1, 0, BINS // 2], counts[0, 0, BINS // 2] = 100, 20  # log-odds 0.025: 0.506
    assert expected_error([counts], [[IDENTITY]]) == pytest.approx(0.306, abs=1e-3)
    right = Calibration(1.0, float(np.log(0.2 / 0.8)) - 0.025)
    assert expected_error([counts], [[right]]) == pytest.approx(0, abs=1e-6)


def test_pixels_that_are_surely_sound_do_not_count():
    counts = np.zeros((2, 1, BINS))
    counts[1, 0, 0] = 1e9
    assert expected_error([counts], [[IDENTITY]]) == 0


def test_an_image_is_judged_by_what_other_workpieces_say():
    high, low = image_of(1, 2), image_of(1, -2)
    found = cross_fitted([high] * 3 + [low] * 3, ["a"] * 3 + ["b"] * 3)
    assert [round(image[0].offset) for image in found] == [-2, -2, -2, 2, 2, 2]
    alone = cross_fitted([high] * 3, ["a"] * 3)
    assert [round(image[0].offset) for image in alone] == [2, 2, 2]


def test_pixels_are_counted_at_the_scale_of_the_map():
    probability = np.full((2, 3, 2), 0.5, np.float32)
    probability[0, 0, 0] = 1.0
    truth = np.zeros((4, 6, 2), bool)
    truth[:2, :2, 0] = True  # the upper left place
    truth[0, 2, 0] = True  # a quarter of the next
    counts = count_pixels(probability, truth)
    assert counts.shape == (2, 2, BINS) and counts[1].sum(axis=-1).tolist() == [6, 6]
    assert counts[0].sum(axis=-1).tolist() == [1.25, 0]
    assert counts[0, 0].nonzero()[0].tolist() == [BINS // 2, BINS - 1]


@pytest.mark.parametrize("last", ["sigmoid", "mean of two"])
def test_the_graph_gives_calibrated_probabilities_of_each_class(tmp_path, last):
    image = keras.Input((32, 64, 3))
    answers = [keras.layers.Conv2D(2, 3, padding="same", activation="sigmoid")(image) for _ in range(2)]
    model = keras.Model(image, answers[0] if last == "sigmoid" else keras.ops.mean(keras.ops.stack(answers), axis=0))
    pixels = np.random.default_rng(0).uniform(-3, 3, (2, 32, 64, 3)).astype(np.float32)
    model(pixels)  # Keras exports nothing that was never called
    convert(model, tmp_path / "model.onnx")

    def run(pixels):
        session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
        assert [len(session.get_outputs()), session.get_outputs()[0].type] == [1, "tensor(float)"]
        return session.run(None, {session.get_inputs()[0].name: pixels})[0]

    before = run(pixels)
    calibrations = [Calibration(1.5, -1.0), IDENTITY]
    write_into(tmp_path / "model.onnx", calibrations)
    expected = np.stack([item.apply(before[..., channel]) for channel, item in enumerate(calibrations)], axis=-1)
    found = run(pixels)
    assert np.abs(calibrated(before, calibrations) - expected).max() < 1e-6
    assert found.shape == (2, 32, 64, 2) and np.abs(found - expected).max() < 1e-5
    assert np.isfinite(run(np.full((1, 32, 64, 3), 1e6, np.float32))).all()


def test_an_export_is_calibrated_on_the_images_that_validate(run, labelled, tmp_path, monkeypatch):
    monkeypatch.chdir(labelled.parent)
    monkeypatch.setattr(calibration, "FEWEST_IMAGES", 1)
    folder = tmp_path / "export"
    shutil.copytree(run.export, folder)
    image = np.full((*Run.read(run).size_hw, 3), 105, np.uint8)
    image[20:30, 20:50] = 20  # as a scratch of the set is
    before = Predictor.load(folder).probability(image)
    found = export._calibrate(Run.read(run), folder, KeptMaps())
    assert list(found["classes"]) == ["scratch", "pit"] and 0 <= found["before"] <= 1 and 0 <= found["after"] <= 1
    write_spec(folder, dataclasses.replace(read_spec(run.export), sha256=sha256_file(folder / "model.onnx")))
    expected = [Calibration(*found["classes"][label]).apply(before[..., channel])
                for channel, label in enumerate(("scratch", "pit"))]
    assert np.abs(Predictor.load(folder).probability(image) - np.stack(expected, axis=-1)).max() < 1e-4
    assert any(Calibration(*values) != IDENTITY for values in found["classes"].values())


def test_a_class_on_too_few_images_and_a_model_of_good_photographs_leave_the_graph(run, labelled, tmp_path,
                                                                                 monkeypatch):
    monkeypatch.chdir(labelled.parent)
    folder = tmp_path / "export"
    shutil.copytree(run.export, folder)
    digest, made = sha256_file(folder / "model.onnx"), Run.read(run)
    assert export._calibrate(made, folder, KeptMaps()) == {}
    good = dataclasses.replace(made, config=dataclasses.replace(made.config, good_only=True))
    monkeypatch.setattr(calibration, "FEWEST_IMAGES", 1)
    assert export._calibrate(good, folder, KeptMaps()) == {}
    assert sha256_file(folder / "model.onnx") == digest
