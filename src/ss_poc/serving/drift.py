"""Do photographs still look as they did in training? A dirty lens or a dying lamp shows here first."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..core.errors import ArtifactError
from ..inference.appearance import MEASURES, histogram

__all__ = ["Drift", "stability_index"]

# The last photographs that make a distribution, and the number before which nothing is called different.
WINDOW, LEAST = 500, 30
# A stability index above this is commonly read as "another population" (Siddiqi, Credit Risk Scorecards, 2006).
SHIFTED = 0.25
LEAST_FRACTION = 0.005


def stability_index(expected: Sequence[float], seen: Sequence[float]) -> float:
    """Compute the population stability index of two histograms of the same bins.

    It is Σ (seen - expected) ln(seen / expected) over the fractions of the bins: 0 where they are alike. A fraction is
    taken as at least 0.005, so that an empty bin does not make it infinite.

    Args:
        expected: count of each bin in training.
        seen: count of each bin now.
    """
    first, second = (np.maximum(np.asarray(counts, float) / max(1, sum(counts)), LEAST_FRACTION)
                     for counts in (expected, seen))
    return float(((second - first) * np.log(second / first)).sum())


class Drift:
    """The last photographs against those of training.

    Args:
        reference: histograms that `reference_of` made of the training images; empty where the model has none.

    Raises:
        ArtifactError: the reference is damaged.
    """

    def __init__(self, reference: Mapping[str, Any]) -> None:
        self._reference = _read(reference) if reference else {}
        self._seen: deque[dict[str, float]] = deque(maxlen=WINDOW)
        self._lock = threading.Lock()

    def add(self, measured: dict[str, float]) -> None:
        """Take the measures of one photograph in, by name."""
        with self._lock:
            self._seen.append(measured)

    def counts(self) -> dict[str, list[int]]:
        """Count the last photographs in each bin of each measure; nothing where the model has no reference."""
        with self._lock:
            seen = list(self._seen)
        return {name: histogram(np.array([item[name] for item in seen], float), edges)
                for name, (edges, _) in self._reference.items()}

    def report(self, counts: Mapping[str, list[int]] | None = None) -> dict[str, Any]:
        """Compare the last photographs with those of training, measure by measure.

        Chance alone gives (bins - 1) (1/n + 1/m) on average for n and m photographs (Yurdakul 2018); `shifted` is true
        where the index less that is above 0.25, and never before 30 photographs.

        Args:
            counts: as of `counts`, of several workers together; None for the photographs of this one.

        Returns:
            `images` (number of photographs), `least` (30) and `measures`: of each its name, the stability `index`,
            `chance`, `shifted`, and both histograms (`edges`, `expected`, `seen`).
        """
        images, found = len(self._seen), []
        for name, seen in (self.counts() if counts is None else counts).items():
            edges, expected = self._reference[name]
            images = sum(seen)
            index = stability_index(expected, seen) if images else 0.0
            chance = (len(seen) - 1) * (1 / max(1, images) + 1 / sum(expected))
            found.append({"measure": name, "index": round(index, 4), "chance": round(chance, 4),
                          "shifted": images >= LEAST and index - chance > SHIFTED,
                          "edges": edges, "expected": expected, "seen": seen})
        return {"images": images, "least": LEAST, "measures": found}


def _read(reference: Mapping[str, Any]) -> dict[str, tuple[list[float], list[int]]]:
    """Edges and counts of each measure."""
    try:
        found = {name: ([float(edge) for edge in reference["measures"][name]["edges"]],
                        [int(count) for count in reference["measures"][name]["counts"]]) for name in MEASURES}
        if any(len(counts) != len(edges) + 1 or not sum(counts) for edges, counts in found.values()):
            raise ValueError("counts do not fit edges")
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"the reference of the training images cannot be used: {error!r}",
                            "what `ss_poc.bento_deploy` writes", "package the model again") from None
    return found
