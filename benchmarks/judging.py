"""What a model is worth on photographs that took no part in its training: with its rules, and whatever the rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from sklearn.metrics import roc_auc_score

from ss_poc.core.run import Run, RunPaths, find_json
from ss_poc.core.scores import average_precisions, intersection_union, iou_of_counts
from ss_poc.data.dataset import Sample, load_coco
from ss_poc.inference.predictor import Predictor
from ss_poc.optimising.calibration import count_pixels

# Pixels that a mark may be off its label, and a label off its mark, and still count as found (`f1`).
NEAR = 2.0
COLUMNS = ("IoU, own validation split | IoU, never seen | with the best thresholds | AP of pixels | "
           "F1 within 2 pixels | IoU of labels moved by a pixel | AUROC of photographs | clean ones flagged | "
           "defective ones missed")


@dataclass(frozen=True)
class Judgement:
    """Scores of a model on some photographs; means are over the classes, pixels of all photographs counted together.

    Attributes:
        iou: mean IoU of what the run's own rules mark.
        best_iou: mean IoU where each class has the threshold that is best for these very photographs: an upper limit,
            which no run can know.
        average_precision: mean average precision of the pixels (area under precision over recall), whatever the
            threshold.
        f1: mean F1 of what the run's own rules mark, where a marked pixel within NEAR of a labelled one is right, and a
            labelled one within NEAR of a marked one is found, as for cracks (Zou et al. 2018, DeepCrack: 2 pixels).
        moved_iou: mean IoU of the labels with themselves, moved by a pixel along an axis: how much of the IoU of thin
            marks a single pixel decides.
        auroc: of the photographs, good or defective, by their highest probability; nan where all are of one kind.
        flagged, clean: clean photographs on which something is marked; all clean ones.
        missed, defective: defective photographs on which nothing is marked; all defective ones.
    """

    iou: float
    best_iou: float
    average_precision: float
    f1: float
    moved_iou: float
    auroc: float
    flagged: int
    clean: int
    missed: int
    defective: int


def judged(predictor: Predictor, samples: Sequence[Sample], classes: int) -> Judgement:
    """Look at photographs, each once."""
    areas, pixels, near, moved = np.zeros((2, classes)), 0, np.zeros((4, classes)), np.zeros((2, classes))
    truths, marks, highest = [], [], []
    for sample in samples:
        image, truth = sample.image(), sample.mask(classes)
        probability = predictor.probability(image)
        mask = predictor.prediction(probability, image.shape[:2]).mask
        areas += intersection_union(truth, mask)
        near += near_counts(truth, mask)
        moved += moved_counts(truth)
        pixels = pixels + count_pixels(probability, truth)
        for found, value in ((truths, truth.any()), (marks, mask.any()), (highest, probability.max())):
            found.append(value)
    defective, marked = np.array(truths), np.array(marks)
    return Judgement(
        mean_known(iou_of_counts(*areas)), mean_known(best_ious(pixels)), mean_known(average_precisions(pixels)),
        mean_known(f1_of_counts(near)), mean_known(iou_of_counts(*moved)),
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


def near_counts(truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Count pixels for `f1_of_counts`.

    Args:
        truth, mask: (H, W, C) bool.

    Returns:
        (4, C): marked within NEAR of a labelled pixel, marked, labelled within NEAR of a marked pixel, labelled.
    """
    counts = np.zeros((4, truth.shape[-1]))
    for channel in range(truth.shape[-1]):
        labelled, marked = truth[..., channel], mask[..., channel]
        counts[:, channel] = [(marked & _near(labelled)).sum(), marked.sum(),
                              (labelled & _near(marked)).sum(), labelled.sum()]
    return counts


def _near(plane: np.ndarray) -> np.ndarray:
    """Pixels within NEAR of one of a bool plane's."""
    if not plane.any():
        return plane
    return cv2.distanceTransform((~plane).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= NEAR


def f1_of_counts(counts: np.ndarray) -> np.ndarray:
    """F1 of each class from sums of `near_counts`, (C,) in 0..1: the harmonic mean of precision and recall; nan without
    a labelled pixel."""
    right, marked, found, labelled = counts
    precision, recall = right / np.maximum(marked, 1), found / np.maximum(labelled, 1)
    return np.where(labelled > 0, 2 * precision * recall / np.maximum(precision + recall, 1e-12), np.nan)


def moved_counts(truth: np.ndarray) -> np.ndarray:
    """Pixels in both, and in either, of labels and the same labels moved by a pixel down, and right: (2, C)."""
    pairs = ((truth[1:], truth[:-1]), (truth[:, 1:], truth[:, :-1]))
    return np.sum([intersection_union(one, other) for one, other in pairs], axis=0)


def head(first: str) -> str:
    """The head of a table: a column of that name, then COLUMNS."""
    return f"| {first} | {COLUMNS} |\n" + "| --- " * (2 + COLUMNS.count("|")) + "|"


def row(paths: RunPaths, img_path: Path) -> str:
    """Cells of COLUMNS: what a run is worth on the photographs of a folder."""
    own = np.mean([value for value in Run.read(paths).scores.iou.values() if value is not None])
    dataset = load_coco(find_json(img_path), img_path)
    found = judged(Predictor.load(paths.export, paths.rules), dataset.samples, len(dataset.labels))
    return (f"{own:.3f} | {found.iou:.3f} | {found.best_iou:.3f} | {found.average_precision:.3f} | {found.f1:.3f} | "
            f"{found.moved_iou:.3f} | {found.auroc:.3f} | {found.flagged} of {found.clean} | "
            f"{found.missed} of {found.defective}")
