"""benchmarks/judging.py: what a model is worth, by counts of pixels worked out on paper."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ss_poc.core.scores import average_precisions


@pytest.fixture
def judging(monkeypatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).resolve().parents[2] / "benchmarks")
    return importlib.import_module("judging")


# Four thresholds. Class 0: 4 labelled pixels of 16. From the highest probability down, 3 of 4 marked are right, then 3
# of 6, 4 of 10, 4 of 16. Class 1 is on no photograph.
COUNTS = np.array([[[0, 1, 0, 3], [0, 0, 0, 0]], [[6, 4, 2, 4], [10, 3, 2, 1]]], float)


def test_average_precision_is_precision_where_recall_grows():
    found = average_precisions(COUNTS)
    assert found[0] == pytest.approx(3 / 4 * 3 / 4 + 1 / 4 * 4 / 10) and np.isnan(found[1])
    scores = np.repeat([3, 2, 1, 0], [4, 2, 4, 6])
    true = np.zeros(16, bool)
    true[[0, 1, 2, 6]] = True
    assert found[0] == pytest.approx(average_precision_score(true, scores))


def test_the_best_iou_is_that_of_the_best_threshold(judging):
    """3 / (4 + 4 - 3), 3 / (4 + 6 - 3), 4 / (4 + 10 - 4), 4 / 16."""
    found = judging.best_ious(COUNTS)
    assert found[0] == pytest.approx(3 / 5) and np.isnan(found[1])


class Sees:
    """A predictor that knows its photographs: 0.9 where a pixel is white, marks from 0.5 on."""

    def probability(self, image: np.ndarray) -> np.ndarray:
        return np.where(image[..., :1] > 200, 0.9, image[..., :1] / 1000).astype(np.float32)

    def prediction(self, probability: np.ndarray, size_hw: tuple[int, int]):
        assert probability.shape[:2] == size_hw
        return type("Prediction", (), {"mask": probability > 0.5})


class Photograph:
    def __init__(self, white: list[tuple[int, int]], labelled: list[tuple[int, int]], grey: int = 0) -> None:
        self._image, self._mask = np.full((4, 6, 3), grey, np.uint8), np.zeros((4, 6, 1), bool)
        for place in white:
            self._image[place] = 255
        for place in labelled:
            self._mask[place] = True

    def image(self) -> np.ndarray:
        return self._image

    def mask(self, classes: int) -> np.ndarray:
        assert classes == 1
        return self._mask


def test_photographs_are_counted_together_and_by_kind(judging):
    """2 of 3 labelled pixels are marked; a miss; a false alarm of 1 pixel; a clean one: 2 / (5 + 3 - 2)."""
    photographs = [Photograph([(0, 0), (0, 1)], [(0, 0), (0, 1), (0, 2)]), Photograph([], [(3, 5), (3, 4)], grey=50),
                   Photograph([(1, 1)], []), Photograph([], [])]
    found = judging.judged(Sees(), photographs, 1)
    assert found.iou == pytest.approx(2 / 6)
    assert (found.flagged, found.clean, found.missed, found.defective) == (1, 2, 1, 2)
    assert found.auroc == pytest.approx((0.5 + 1 + 0 + 1) / 4)  # 0.9 and 0.05 against 0.9 and 0
    assert found.best_iou == pytest.approx(2 / 6) and 0 < found.average_precision < 1


def test_without_a_defective_photograph_there_is_nothing_to_tell_apart(judging):
    found = judging.judged(Sees(), [Photograph([], [])], 1)
    assert np.isnan(found.auroc) and np.isnan(found.iou) and (found.flagged, found.clean, found.defective) == (0, 1, 0)
