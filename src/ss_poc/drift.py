"""Do photographs still look as they did in training? A dirty lens or a dying lamp shows here first."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from .errors import ArtifactError
from .images import resize_image
from .inference import unsureness

__all__ = ["MEASURES", "Drift", "measure", "reference_of", "stability_index"]

MEASURES = ("brightness", "contrast", "sharpness", "highest_score", "confidence")
# Looks are taken from the picture at this size: what a lens does to it, noise aside.
LOOK_SIDE = 160
# Photographs a distribution is made of: the last ones, and at least so many before anything is said.
WINDOW, LEAST = 500, 30
# A stability index above this is commonly read as "another population" (Siddiqi, Credit Risk Scorecards, 2006).
SHIFTED = 0.25
BINS = 10
LEAST_SHARE = 0.005


def measure(image_rgb: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """How a photograph looks and how sure the model is of it.

    Args:
        image_rgb: (H, W, 3) uint8.
        probability: (h, w, C) in 0..1.

    Returns:
        brightness: mean grey value, 0..1; contrast: its standard deviation, 0..0.5; sharpness: standard deviation of
        the Laplacian; highest_score: highest probability of any pixel and class; confidence: 1 where the model is sure
        of every pixel, 0 where the least sure ones are at 0.5.
    """
    factor = LOOK_SIDE / max(image_rgb.shape[:2])
    whole = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    small = resize_image(whole, [max(1, round(side * min(1.0, factor))) for side in image_rgb.shape[:2]])
    grey = small.astype(np.float32) / 255
    mean, deviation = cv2.meanStdDev(grey)
    return {"brightness": float(mean[0, 0]), "contrast": float(deviation[0, 0]),
            "sharpness": float(cv2.Laplacian(grey, cv2.CV_32F).std()), "highest_score": float(probability.max()),
            "confidence": 1 - unsureness(probability)}


def reference_of(measured: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """The distributions that later photographs are held against: tenths of each measure, and how many lie in each."""
    measures = {}
    for name in MEASURES:
        values = np.array([item[name] for item in measured], float)
        edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS)) if len(values) else np.zeros(0)
        measures[name] = {"edges": [float(edge) for edge in edges], "counts": _counts(values, edges)}
    return {"images": len(measured), "measures": measures}


def _counts(values: np.ndarray, edges: Sequence[float] | np.ndarray) -> list[int]:
    """How many values lie below the first edge, from each edge to the next, and from the last one on."""
    return [int(count) for count in np.bincount(np.digitize(values, edges), minlength=len(edges) + 1)]


def stability_index(expected: Sequence[float], seen: Sequence[float]) -> float:
    """Population stability index of two histograms: Σ (seen - expected) ln(seen / expected) over the shares of bins.

    0 where they are alike. Shares are taken as at least 0.005, so that an empty bin does not make it infinite.
    """
    shares = [np.maximum(np.asarray(counts, float) / max(1, sum(counts)), LEAST_SHARE) for counts in (expected, seen)]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


class Drift:
    """The last photographs against those of training.

    Args:
        reference: what `reference_of` made; empty where the model has none.

    Raises:
        ArtifactError: a reference that cannot be.
    """

    def __init__(self, reference: Mapping[str, Any]) -> None:
        try:
            self._reference = {name: ([float(edge) for edge in reference["measures"][name]["edges"]],
                                      [int(count) for count in reference["measures"][name]["counts"]])
                               for name in MEASURES} if reference else {}
            if any(len(counts) != len(edges) + 1 or not sum(counts) for edges, counts in self._reference.values()):
                raise ValueError("counts do not fit edges")
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"the reference of the training images cannot be used: {error!r}",
                                "what `ss_poc.bento_deploy` writes", "package the model again") from None
        self._seen: deque[dict[str, float]] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()

    def add(self, measured: dict[str, float]) -> None:
        """Take one photograph's measures in."""
        with self._lock:
            self._seen.append(measured)

    def report(self) -> dict[str, Any]:
        """What was seen: for each measure the stability index, what chance alone would give, and both histograms.

        Chance gives (bins - 1) (1/n + 1/m) on average for n and m photographs (Yurdakul 2018); `shifted` is said where
        the index less that is above 0.25, and never before 30 photographs.
        """
        with self._lock:
            seen = list(self._seen)
        found = []
        for name, (edges, expected) in self._reference.items():
            counts = _counts(np.array([item[name] for item in seen], float), edges)
            index = stability_index(expected, counts) if seen else 0.0
            chance = (len(counts) - 1) * (1 / max(1, len(seen)) + 1 / sum(expected))
            found.append({"measure": name, "index": round(index, 4), "chance": round(chance, 4),
                          "shifted": len(seen) >= LEAST and index - chance > SHIFTED,
                          "edges": edges, "expected": expected, "seen": counts})
        return {"images": len(seen), "least": LEAST, "measures": found}
