"""Which photographs are nearly the same: by thumbnails, so that thousands are compared in seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from .dataset import Sample

__all__ = ["MOST_OF_ONE", "confirmed", "kept", "near_copies"]

# Photographs of one workpiece are at most this fraction of all: what a fourth of all looks like is how they all look.
MOST_OF_ONE = 0.25
# A photograph has a near-copy where its thumbnail correlates with another one's by ALIKE, and is nearer to it by
# CLEARLY than to those outside of the fourth that are most like it.
ALIKE, CLEARLY = 0.9, 0.25
# The main ways in which all photographs differ (principal components) are light: on a fixture, light that changes makes
# nearly the same of different workpieces. Without the first 4, of magnetic tiles 0.89 of the near-copies are near in
# number, with them 0.86; of ball screws 0.66 are of one position, with them 0.58.
LIGHTS, EACH_OF, TURNS = 4, 6, 10
# Near-copies are a sign where so many photographs, and this fraction of all that were asked, have one.
FEWEST_COPIES, LEAST_COPIES = 4, 0.1
# Workpieces are right where this fraction of the near-copies show the same one, and as many more than by chance.
LEAST_KEPT, OVER_CHANCE = 0.5, 0.4
# Fewer photographs tell nothing; more than so many are not each compared with all others, but evenly chosen ones.
FEWEST, MOST_ASKED = 8, 1000
# Grey levels that the noise of a thumbnail may have, and numbers that are compared at once.
NOISE, AT_ONCE = 2.0, 8_000_000


def near_copies(samples: Sequence[Sample]) -> dict[str, str]:
    """Find for photographs the one that is most like it, where that one is nearly the same.

    What all thumbnails have in common, and the main ways in which they differ, count nothing. Byte-identical files
    count as one.

    Args:
        samples: of a data set, as `load_coco` gives them.

    Returns:
        The name of the near-copy of each photograph that has one; none where those with one are few.
    """
    found = [*{sample.digest: sample for sample in samples if sample.glance}.values()]
    if len(found) < FEWEST:
        return {}
    directions = _directions(np.stack([sample.glance.thumbnail for sample in found if sample.glance]))
    asked = np.unique(np.linspace(0, len(found) - 1, min(len(found), MOST_ASKED)).astype(int))
    ring = max(2, int(len(found) * MOST_OF_ONE))
    copies = {}
    for chosen in np.array_split(asked, -(-len(asked) * len(found) // AT_ONCE)):
        alike = directions[chosen] @ directions.T
        alike[np.arange(len(chosen)), chosen] = -1
        nearest, best = alike.argmax(axis=1), alike.max(axis=1)
        others = -np.partition(-alike, ring, axis=1)[:, ring]
        for index in np.flatnonzero((best >= ALIKE) & (1 - best < CLEARLY * (1 - others))):
            copies[found[chosen[index]].name] = found[nearest[index]].name
    return copies if len(copies) >= max(FEWEST_COPIES, LEAST_COPIES * len(asked)) else {}


def kept(workpieces: Mapping[str, str], copies: Mapping[str, str]) -> float:
    """Fraction of the photographs with a near-copy that show the same workpiece as it.

    Args:
        workpieces: of each photograph, by name; "" where it is not known.
        copies: as of `near_copies`.
    """
    same = sum(bool(workpieces[name]) and workpieces[name] == workpieces[copy] for name, copy in copies.items())
    return same / max(len(copies), 1)


def confirmed(workpieces: Mapping[str, str], copies: Mapping[str, str]) -> bool:
    """Whether near-copies show the same workpiece, far more than by chance."""
    counts = Counter(filter(None, workpieces.values()))
    pairs = sum(count * (count - 1) for count in counts.values())
    chance = pairs / max(len(workpieces) * (len(workpieces) - 1), 1)
    return kept(workpieces, copies) >= max(LEAST_KEPT, OVER_CHANCE + chance)


def _directions(thumbnails: np.ndarray) -> np.ndarray:
    """Thumbnails, (N, H, W) uint8, as vectors of length 1, (N, H * W) float32: their product is a correlation."""
    flat = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= flat.std(axis=1, keepdims=True) + NOISE
    flat -= flat.mean(axis=0)
    lights = np.random.default_rng(0).normal(size=(flat.shape[1], min(LIGHTS, len(flat) // EACH_OF)))
    for _ in range(TURNS):  # orthogonal iteration: a whole decomposition takes seconds
        lights = np.linalg.qr(flat.T @ (flat @ lights.astype(np.float32)))[0]
    flat -= flat @ lights @ lights.T
    return flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6)
