"""Which recipe of a plan is best: scores of all folds and seeds together, and whether they differ by more than chance.

A recipe is scored on every photograph that validates in one of its runs; recipes are compared on those that validate
in all of them, with the same seeds. Intervals are bootstrapped over workpieces: photographs of one say the same twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from ..core.errors import ArtifactError
from ..core.run import Run
from ..core.scores import bootstrap_weights, interval_of
from ..core.text_table import counted, text_table
from ..data.split import workpiece_of
from ..reporting.paired import RESAMPLES, change, dice_of_images, image_counts, iou_of_pixels
from .plan import PlannedRun

__all__ = ["ranking"]

# Seed and name of a photograph that validated.
Place = tuple[int, str]


@dataclass(frozen=True)
class _Score:
    """What a recipe reaches on a data set.

    Attributes:
        recipe: it.
        dice, iou: mean Dice of an image, IoU of all pixels; (B,) of each in `drawn` and `drawn_iou`.
        of_seeds: mean Dice of an image by each seed alone.
    """

    recipe: str
    dice: float
    iou: float
    drawn: np.ndarray
    drawn_iou: np.ndarray
    of_seeds: tuple[float, ...]


def ranking(runs: Sequence[PlannedRun]) -> str:
    """Rank the recipes of a plan, on each data set and on all of them.

    Args:
        runs: of the plan; those that are not done are left out.

    Returns:
        Tables for people.

    Raises:
        ArtifactError: no run is done, or labels or photographs changed between runs on a data set.
    """
    done = [run for run in runs if run.done]
    if not done:
        raise ArtifactError(f"none of {counted(len(runs), 'run')} is done", "at least one that is trained and searched",
                            "start them: python -m ss_poc.runs plan.yaml")
    text, of_sets = [], []
    for number, (name, members) in enumerate(groupby(done, key=lambda run: run.config.data_set)):
        found = [*members]
        head, scores = _scores(found, number)
        planned = sum(run.config.data_set == name for run in runs)
        text += [f"{name}: {len(found)} of {counted(planned, 'run')} done; {head}", _table(scores), ""]
        of_sets.append({score.recipe: score for score in scores})
    shared = [recipe for recipe in of_sets[0] if all(recipe in found for found in of_sets)]
    if len(of_sets) > 1 and shared:
        text += [f"mean of {counted(len(of_sets), 'data set')}",
                 _table([_mean([found[recipe] for found in of_sets]) for recipe in shared]), ""]
    return "\n".join(text).rstrip()


def _scores(runs: Sequence[PlannedRun], seed: int) -> tuple[str, list[_Score]]:
    """What was compared, and the scores of the recipes of one data set."""
    labels = _same_data(runs)
    counts: dict[str, dict[Place, np.ndarray]] = {}
    for run in runs:
        counts.setdefault(run.recipe, {}).update(
            {(run.config.seed, image): found for image, found in image_counts(run.paths, labels).items()})
    places = sorted(set.intersection(*(set(found) for found in counts.values())))
    if not places:
        return "no photograph validates in all recipes yet", []
    pattern = runs[0].config.group or ""
    pieces = {image: workpiece_of(image, pattern) or image for _, image in places}
    order = {piece: index for index, piece in enumerate(sorted({*pieces.values()}))}
    weights = bootstrap_weights(len(order), RESAMPLES, seed)[:, [order[pieces[image]] for _, image in places]]
    head = f"compared on {counted(len({*pieces}), 'photograph')}" + (f" of {counted(len(order), 'workpiece')}"
                                                                    if pattern else "")
    return head, [_score(recipe, places, np.stack([found[place] for place in places]), weights)
                  for recipe, found in counts.items()]


def _same_data(runs: Sequence[PlannedRun]) -> Sequence[str]:
    """Classes of runs on one data set, in channel order."""
    data = {run.name: Run.read(run.paths).data for run in runs}
    if len({item.fingerprint for item in data.values()}) > 1:
        first = next(iter(data.values())).fingerprint
        raise ArtifactError("labels or photographs changed between runs: not as in the first are those of "
                            + ", ".join(name for name, item in data.items() if item.fingerprint != first),
                            "runs on the same photographs and labels", "give the plan a new name, and start it again")
    return next(iter(data.values())).labels


def _score(recipe: str, places: Sequence[Place], counts: np.ndarray, weights: np.ndarray) -> _Score:
    """Scores of pixels, (N, C, 3), of photographs that are drawn by weights, (B, N)."""
    seeds = np.array([seed for seed, _ in places])
    ones = np.ones((1, len(places)))
    return _Score(recipe, dice_of_images(counts, ones)[0], iou_of_pixels(counts, ones)[0],
                  dice_of_images(counts, weights), iou_of_pixels(counts, weights),
                  tuple(dice_of_images(counts, (seeds == seed)[None].astype(float))[0] for seed in np.unique(seeds)))


def _mean(scores: Sequence[_Score]) -> _Score:
    """Of one recipe on several data sets; each counts the same, and chance on one knows nothing of the others."""
    seeds = zip(*(score.of_seeds for score in scores), strict=False)
    return _Score(scores[0].recipe, float(np.mean([score.dice for score in scores])),
                  float(np.mean([score.iou for score in scores])),
                  np.mean([score.drawn for score in scores], axis=0),
                  np.mean([score.drawn_iou for score in scores], axis=0), tuple(float(np.mean(one)) for one in seeds))


def _table(scores: Sequence[_Score]) -> str:
    ranked = sorted(scores, key=lambda score: -score.dice)
    rows = [["", "recipe", "Dice of an image", "of seeds", "against the first", "IoU of all pixels",
             "against the first"]]
    for place, score in enumerate(ranked, 1):
        best = ranked[0]
        rows.append([str(place), score.recipe, _with_interval(score.dice, score.drawn),
                     " to ".join(f"{bound(score.of_seeds):.3f}" for bound in (min, max) if len(score.of_seeds) > 1),
                     change(score.dice, best.dice, score.drawn, best.drawn) if place > 1 else "",
                     _with_interval(score.iou, score.drawn_iou),
                     change(score.iou, best.iou, score.drawn_iou, best.drawn_iou) if place > 1 else ""])
    return text_table(rows, left=range(1, 7)) if scores else ""


def _with_interval(value: float, drawn: np.ndarray) -> str:
    low, high = interval_of(drawn)
    return f"{value:.3f} ({low:.3f} to {high:.3f})"
