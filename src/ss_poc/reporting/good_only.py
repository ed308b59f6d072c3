"""What the report of a model of good photographs alone tells besides: how far good photographs and defects are apart,
how often a good one is flagged, and which of the good ones deserve a look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import beta
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from ..core.config import Rule
from ..core.drawing import draw_heat
from ..core.files import read_json
from ..core.good_names import is_drawn, is_labelled
from ..core.images import encode_image, resize_image
from ..core.refine import resize_probability
from ..core.run import Run
from ..core.scores import interval_of
from ..data.dataset import Dataset, Sample
from ..inference.predictor import Predictor
from . import charts
from .evidence import QUALITY, Evidence, small_size

__all__ = ["GoodOnly", "Pair", "auroc", "flagged_range", "good_only", "least_score"]

SHOWN = 12  # good photographs with their heat maps
LOOKED_AT = 150  # photographs that trained, of which the strangest are shown
RESAMPLES = 1000


@dataclass(frozen=True)
class Pair:
    """A good photograph beside its heat map, both JPEG: its name, highest probability, whether it trained, and, of one
    that looks wrong among the others, by how many deviations (else 0)."""

    name: str
    highest: float
    trained: bool
    deviations: float
    pictures: tuple[bytes, bytes]


@dataclass(frozen=True)
class GoodOnly:
    """All of the section.

    Attributes:
        source: the user's folder.
        good, labelled: good photographs that validate, and those with labelled defects.
        areas: (AUROC, lower and upper bound) of good photographs against drawn and labelled defects, by kind; a kind
            without photographs is not there.
        alarms: good photographs that are called defective.
        alarm_range: 95 % interval of their fraction.
        strangest: good photographs, those that look wrong first, then by highest probability.
        histogram, roc: SVG.
    """

    source: str
    good: int
    labelled: int
    areas: dict[str, tuple[float, float, float]]
    alarms: int
    alarm_range: tuple[float, float]
    strangest: tuple[Pair, ...]
    histogram: str
    roc: str


def good_only(run: Run, dataset: Dataset, predictor: Predictor, evidence: Evidence) -> GoodOnly | None:
    """Gather the section; None of a run that trained on labels."""
    if not run.config.good_only:
        return None
    info = read_json(Path(run.data.json_path))["info"]
    kinds: dict[str, list[float]] = {"good": [], "drawn defects": [], "labelled defects": []}
    for image in evidence.images:
        kind = "labelled defects" if is_labelled(image.name) else "drawn defects" if image.true.any() else "good"
        kinds[kind] += [image.highest] if kind != "good" or not is_drawn(image.name) else []
    good = kinds["good"]
    alarms = sum(image.defect for image in evidence.images if _is_good(image.name))
    scores = {kind: np.array(found) for kind, found in kinds.items() if found}
    areas = {kind: auroc(scores["good"], found) for kind, found in scores.items() if kind != "good" and good}
    return GoodOnly(
        info["source"], len(good), len(kinds["labelled defects"]), areas, alarms,
        flagged_range(alarms, len(good)), _strangest(run, dataset, predictor, evidence, info["odd"]),
        charts.score_histogram(scores, least_score(predictor.rules[0], predictor.floors[0])), charts.roc(scores, {
            kind: area for kind, (area, _, _) in areas.items()}))


def least_score(rule: Rule, floor: float) -> float:
    """Probability that calls a photograph defective: that of the verdict, and of a pixel that is marked at all."""
    return max(rule.proba, floor)


def _is_good(name: str) -> bool:
    return not (is_drawn(name) or is_labelled(name))


def auroc(good: np.ndarray, bad: np.ndarray) -> tuple[float, float, float]:
    """Area under the ROC curve with its 95 % bootstrap interval over photographs.

    Args:
        good, bad: (N,) and (M,) scores, one or more each; bad ones should be higher.
    """
    labels = np.repeat([False, True], [len(good), len(bad)])
    area = float(roc_auc_score(labels, np.concatenate([good, bad])))
    random = np.random.default_rng(0)
    drawn = [roc_auc_score(labels, np.concatenate([random.choice(side, len(side)) for side in (good, bad)]))
             for _ in range(RESAMPLES)]
    return (area, *interval_of(np.array(drawn)))


def flagged_range(alarms: int, good: int) -> tuple[float, float]:
    """95 % interval of the fraction of good photographs that is flagged (Clopper and Pearson 1934), 0 to 1."""
    low = 0.0 if alarms == 0 else float(beta.ppf(0.025, alarms, good - alarms + 1))
    high = 1.0 if alarms == good else float(beta.ppf(0.975, alarms + 1, good - alarms))
    return low, high


def _strangest(run: Run, dataset: Dataset, predictor: Predictor, evidence: Evidence,
               odd: dict[str, float]) -> tuple[Pair, ...]:
    """Good photographs that look wrong, then those with the highest probabilities."""
    highest = {image.name: image.highest for image in evidence.images if _is_good(image.name)}
    trained = [name for name in run.split.train if _is_good(name)]
    looked = [*odd, *trained[::-(-len(trained) // LOOKED_AT)]] if trained else list(odd)
    for sample in tqdm(dataset.samples_of(dict.fromkeys(looked)), desc="looking at good photographs", unit="image",
                       disable=None):
        highest[sample.name] = float(predictor.probability(sample.image()).max())
    order = sorted(highest, key=lambda name: (-odd.get(name, 0.0), -highest[name], name))
    return tuple(Pair(sample.name, highest[sample.name], sample.name in trained, odd.get(sample.name, 0.0),
                      _pictures(sample, predictor)) for sample in dataset.samples_of(order[:SHOWN]))


def _pictures(sample: Sample, predictor: Predictor) -> tuple[bytes, bytes]:
    """The photograph and its heat map, both small."""
    image = sample.image()
    small = resize_image(image, small_size(image.shape[:2]))
    heat = draw_heat(small, resize_probability(predictor.probability(image).max(axis=-1), small.shape[:2]))
    return encode_image(small, quality=QUALITY), encode_image(heat, quality=QUALITY)
