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


def test_marks_within_two_pixels_of_their_label_are_right(judging):
    """A line of 6 labelled, one of 6 marked two rows below, and 2 marked three rows below: 6 of 8 marked are right, all
    labelled are found: 2 * 0.75 / 1.75."""
    truth, mask = np.zeros((2, 5, 6, 1), bool)
    truth[0] = mask[2] = True
    mask[3, :2] = True
    counts = judging.near_counts(truth, mask)
    assert counts.tolist() == [[6], [8], [6], [6]]
    assert judging.f1_of_counts(counts) == pytest.approx(1.5 / 1.75)


def test_nothing_marked_has_f1_0_and_nothing_labelled_none(judging):
    truth, mask = np.zeros((2, 5, 6, 2), bool)
    truth[1, 2, 0] = mask[1, 2, 1] = True
    assert judging.near_counts(truth, mask).tolist() == [[0, 0], [0, 1], [0, 0], [1, 0]]
    found = judging.f1_of_counts(judging.near_counts(truth, mask))
    assert found[0] == 0 and np.isnan(found[1])


def test_a_thin_label_moved_by_a_pixel_hardly_covers_itself(judging):
    """A line of one row and four columns: moved down it covers nothing, 0 of 8 pixels; moved right 3 of 5."""
    truth = np.zeros((5, 7, 1), bool)
    truth[2, 1:5] = True
    assert judging.moved_counts(truth).tolist() == [[3], [13]]
    assert judging.moved_counts(np.zeros((5, 7, 1), bool)).tolist() == [[0], [0]]
