"""What a model is worth on photographs that took no part in its training: with its rules, and whatever the rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import roc_auc_score

from ss_poc.core.scores import average_precisions, intersection_union, iou_of_counts
from ss_poc.data.dataset import Sample
from ss_poc.inference.predictor import Predictor
from ss_poc.optimising.calibration import count_pixels


@dataclass(frozen=True)
class Judgement:
    """Scores of a model on some photographs; means are over the classes, pixels of all photographs counted together.

    Attributes:
        iou: mean IoU of what the run's own rules mark.
        best_iou: mean IoU where each class has the threshold that is best for these very photographs: an upper limit,
            which no run can know.
        average_precision: mean average precision of the pixels (area under precision over recall), whatever the
            threshold.
        auroc: of the photographs, good or defective, by their highest probability; nan where all are of one kind.
        flagged, clean: clean photographs on which something is marked; all clean ones.
        missed, defective: defective photographs on which nothing is marked; all defective ones.
    """

    iou: float
    best_iou: float
    average_precision: float
    auroc: float
    flagged: int
    clean: int
    missed: int
    defective: int


def judged(predictor: Predictor, samples: Sequence[Sample], classes: int) -> Judgement:
    """Look at photographs, each once."""
    areas, pixels = np.zeros((2, classes)), 0
    truths, marks, highest = [], [], []
    for sample in samples:
        image, truth = sample.image(), sample.mask(classes)
        probability = predictor.probability(image)
        mask = predictor.prediction(probability, image.shape[:2]).mask
        areas += intersection_union(truth, mask)
        pixels = pixels + count_pixels(probability, truth)
        for found, value in ((truths, truth.any()), (marks, mask.any()), (highest, probability.max())):
            found.append(value)
    defective, marked = np.array(truths), np.array(marks)
    return Judgement(
        mean_known(iou_of_counts(*areas)), mean_known(best_ious(pixels)), mean_known(average_precisions(pixels)),
        float(roc_auc_score(defective, highest)) if 0 < defective.sum() < len(defective) else float("nan"),
        int((marked & ~defective).sum()), int((~defective).sum()), int((~marked & defective).sum()),
        int(defective.sum()))


def mean_known(values: np.ndarray) -> float:
    """Mean of the values that are not nan; nan where all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def best_ious(pixels: np.ndarray) -> np.ndarray:
    """IoU of each class with its best threshold, (C,) in 0..1; nan for a class without a labelled pixel.

    Args:
        pixels: as for `average_precisions`.
    """
    hit, marked = np.cumsum(pixels[..., ::-1], axis=-1)
    true = np.where(hit[:, -1:] > 0, hit[:, -1:], np.nan)
    return (hit / (true + marked - hit)).max(axis=-1)
