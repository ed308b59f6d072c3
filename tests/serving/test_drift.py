"""ss_poc.serving.drift: measures of a photograph, and whether the last ones differ from those of training."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ss_poc.core.errors import ArtifactError
from ss_poc.inference.appearance import MEASURES, measure, reference_of
from ss_poc.serving.drift import Drift, stability_index


def test_measures_of_pictures_made_by_hand():
    probability = np.full((4, 6, 2), 0.25, np.float32)
    flat = measure(np.full((40, 60, 3), 51, np.uint8), probability)
    assert flat == pytest.approx({"brightness": 0.2, "contrast": 0, "sharpness": 0, "highest_score": 0.25,
                                  "confidence": 0.5}, abs=1e-6)
    halves = np.zeros((40, 60, 3), np.uint8)
    halves[:, 30:] = 255
    found = measure(halves, probability)
    assert found["brightness"] == pytest.approx(0.5) and found["contrast"] == pytest.approx(0.5)
    assert found["sharpness"] > 0


def test_a_blurred_picture_is_less_sharp():
    import cv2

    picture = np.random.default_rng(0).integers(0, 256, (90, 120, 3)).astype(np.uint8)
    nothing = np.zeros((4, 6, 1), np.float32)
    assert measure(cv2.blur(picture, (5, 5)), nothing)["sharpness"] < 0.5 * measure(picture, nothing)["sharpness"]


def test_stability_index_by_hand():
    assert stability_index([5, 5], [50, 50]) == 0
    # (0.75 - 0.5) ln(0.75 / 0.5) + (0.25 - 0.5) ln(0.25 / 0.5)
    assert stability_index([1, 1], [3, 1]) == pytest.approx(0.25 * math.log(1.5) - 0.25 * math.log(0.5))
    assert stability_index([1, 1], [1, 0]) < 4  # an empty bin is no infinity


def looks(value: float) -> dict[str, float]:
    return dict.fromkeys(MEASURES, value)


def spread(low: float, high: float, count: int) -> list[dict[str, float]]:
    return [looks(float(value)) for value in np.linspace(low, high, count)]


def test_the_same_kind_of_photographs_is_no_drift_and_darker_ones_are():
    drift = Drift(reference_of(spread(0.4, 0.6, 100)))
    for item in spread(0.4, 0.6, 60):
        drift.add(item)
    assert not any(item["shifted"] for item in drift.report()["measures"])
    for item in spread(0.2, 0.39, 400):
        drift.add(item)
    assert all(item["shifted"] for item in drift.report()["measures"])


def test_nothing_is_said_of_a_few_photographs():
    drift = Drift(reference_of(spread(0.4, 0.6, 100)))
    for item in spread(0.0, 0.1, 29):
        drift.add(item)
    report = drift.report()
    assert report["images"] == 29 and not any(item["shifted"] for item in report["measures"])
    drift.add(looks(0.1))
    assert all(item["shifted"] for item in drift.report()["measures"])


def test_only_the_last_photographs_count():
    drift = Drift(reference_of(spread(0.4, 0.6, 100)))
    for item in spread(0.0, 0.1, 300) + spread(0.4, 0.6, 500):
        drift.add(item)
    report = drift.report()
    assert report["images"] == 500 and not any(item["shifted"] for item in report["measures"])


def test_training_photographs_that_are_all_alike_give_one_edge_and_still_work():
    drift = Drift(reference_of([looks(0.5)] * 40))
    for _ in range(40):
        drift.add(looks(0.5))
    report = drift.report()
    assert all(item["edges"] == [0.5] and item["expected"] == [0, 40] and not item["shifted"]
               for item in report["measures"])


def test_a_model_without_reference_reports_no_measures_and_a_damaged_one_is_refused():
    assert Drift({}).report()["measures"] == []
    reference = reference_of(spread(0, 1, 10))
    reference["measures"]["contrast"]["counts"] = [1]
    for broken in (reference, {"measures": {}}, {"measures": dict.fromkeys(MEASURES, {"edges": "x", "counts": [1]})}):
        with pytest.raises(ArtifactError):
            Drift(broken)
