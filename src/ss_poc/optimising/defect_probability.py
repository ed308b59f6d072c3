"""How likely is a photograph to have a defect? A number beside the verdict, and how far it may be believed.

The highest probability of any pixel and class says little as it is: one speck in a million pixels reaches it. On the
photographs that validate its log-odds are fitted to whether a photograph has any label (`core.platt`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..core.platt import Calibration
from ..core.platt import log_odds as log_odds_of
from ..core.text_table import counted
from .calibration import folds_of, platt

__all__ = ["believe", "error_by_chance", "expected_error", "fit"]

# With fewer defective photographs, or clean ones, there is no probability.
FEWEST = 5
# As much as so many photographs, the highest probability of a pixel counts as it is: it is calibrated already. 10 and
# 20 gave the least log-loss on photographs left out of the fit (docs/optimising.md).
PRIOR = 20
# Bins of the expected calibration error. More of them hold few photographs each, and then the error is mostly chance:
# with 10 bins, exactly right probabilities seemed off by 0.08 on 93 photographs, with 5 by 0.06.
BINS = 5
DRAWS = 1000


def fit(highest: np.ndarray, defective: np.ndarray) -> Calibration:
    """Fit the probability of a defect to photographs, beginning with the highest probability of a pixel.

    Each photograph counts once as what it is, and PRIOR / N times as `highest` says. So few photographs change little,
    and nothing becomes certain where a model separates them without a mistake.

    Args:
        highest: (N,) highest probability of any pixel and class, 0..1.
        defective: (N,) bool.

    Returns:
        The calibration.
    """
    weight = PRIOR / len(highest)
    return platt(log_odds_of(highest), defective + weight * highest, ~defective + weight * (1 - highest))


def believe(highest: np.ndarray, defective: np.ndarray, groups: Sequence[str]) -> dict[str, Any]:
    """Fit the probability of a defect, and judge it on photographs that were left out of the fit.

    Args:
        highest: (N,) highest probability of any pixel and class, 0..1.
        defective: (N,) bool.
        groups: of each photograph its workpiece: those of one are left out together.

    Returns:
        `factor` and `offset`; expected calibration error, 0..1, of `highest` as it is (`before`) and fitted (`after`);
        that of probabilities that are exactly right (`chance` and `chance_high`, see `error_by_chance`), and `images`.
        Where there is no probability: `why`.
    """
    from sklearn.metrics import roc_auc_score

    some, none = int(defective.sum()), int((~defective).sum())
    if min(some, none) < FEWEST:
        return {"why": f"{counted(some, 'defective photograph')} and {counted(none, 'clean one')} validate; a "
                       f"probability of a defect takes at least {FEWEST} of each"}
    if roc_auc_score(defective, highest) <= 0.5:
        return {"why": "defective photographs do not score higher than clean ones"}
    fitted = fit(highest, defective)
    fitted_elsewhere, folds = np.zeros(len(highest)), np.array(folds_of(groups))
    for fold in np.unique(folds):
        out = folds == fold
        others = ~out if not out.all() else out
        fitted_elsewhere[out] = fit(highest[others], defective[others]).apply(highest[out])
    chance, chance_high = error_by_chance(fitted_elsewhere)
    return {"factor": fitted.factor, "offset": fitted.offset, "before": expected_error(highest, defective),
            "after": expected_error(fitted_elsewhere, defective), "chance": chance, "chance_high": chance_high,
            "images": len(highest)}


def expected_error(probability: np.ndarray, defective: np.ndarray) -> float:
    """Expected calibration error (Naeini et al. 2015), in BINS bins of equally many photographs.

    Of a hundred photographs most lie near 0 or 1: bins of equal width, as for pixels, would hold one or two each in
    between, whose mean is chance.

    Args:
        probability: (N,) of a defect, 0..1.
        defective: (N,) bool.
    """
    order = np.argsort(probability, kind="stable")
    off = [abs(float((defective[places] - probability[places]).sum())) for places in np.array_split(order, BINS)]
    return sum(off) / len(order)


def error_by_chance(probability: np.ndarray) -> tuple[float, float]:
    """Tell how far off exactly right probabilities seem on so few photographs.

    Args:
        probability: (N,) of a defect, 0..1.

    Returns:
        The expected calibration error where the photographs with a defect are drawn by these very probabilities: mean
        of DRAWS draws, and what 95 % of them stay below (a parametric bootstrap).
    """
    random = np.random.default_rng(0)
    errors = [expected_error(probability, random.random(len(probability)) < probability) for _ in range(DRAWS)]
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))
