"""Which of the good photographs look wrong among the others: a forgotten lens cap, another product, a large defect.

Two halves of the photographs, made smaller, judge each other: the features of one half say how far each photograph of
the other departs. So one that is wrong is never measured by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from ..core.host import cores
from ..core.images import resize_image
from ..core.parallel import ahead
from ..core.text_table import counted
from ..networks.memory import LEAST_SIDE, lite0_taps
from .good import fit_good, runner

__all__ = ["Oddness", "deviations", "far_off", "find_odd"]

# Longer side in pixels: as a whole a photograph is judged by what shows in this size.
LOOKED = 224
REMEMBERED = 100  # photographs of a half that are enough to know it
FEWEST = 8  # of fewer photographs none can be told to be unlike the others
# Deviations of the usual photographs, from which on one is odd. More than this fraction that are: they are another kind
# of workpiece, not a mistake.
FAR, MOST = 8.0, 0.1
# Among photographs that are nearly the same, what differs by a few percent is no reason to look.
LEAST_SPREAD = 0.03
GAUSSIAN = 1.4826  # times the median distance from the median: the standard deviation


@dataclass(frozen=True)
class Oddness:
    """How far each photograph departs from the others, in robust standard deviations above the median; and the indexes
    of those that look wrong, the farthest first."""

    deviations: tuple[float, ...]
    odd: tuple[int, ...]


def find_odd(load: Callable[[int], np.ndarray], count: int) -> Oddness:
    """Find photographs that look wrong among the others.

    Args:
        load: decodes the photograph of an index, (H, W, 3) uint8 RGB.
        count: number of photographs.
    """
    if count < FEWEST:
        return Oddness((0.0,) * count, ())
    small = list(tqdm(ahead(lambda index: _small(load(index)), count, cores()), total=count,
                      desc="comparing good photographs", unit="image", disable=None))
    found, taps = np.zeros(count), lite0_taps()
    for half in range(2):
        known, judged = small[half::2], small[1 - half::2]
        look = runner(fit_good(taps, known[::-(-len(known) // REMEMBERED)]))
        scores = np.array([look(image)[0].ravel() for image in judged])
        found[1 - half::2] = np.max([deviations(each) for each in scores.T], axis=0)
    return Oddness(tuple(map(float, found)), far_off(found))


def _small(image: np.ndarray) -> np.ndarray:
    factor = min(1.0, LOOKED / max(image.shape[:2]))
    return resize_image(image, [max(LEAST_SIDE, round(length * factor)) for length in image.shape[:2]])


def deviations(scores: Sequence[float] | np.ndarray) -> np.ndarray:
    """Robust standard deviations of the logarithms of scores above their median, (N,) float64."""
    values = np.log(np.maximum(scores, 1e-3))
    away = values - np.median(values)
    return away / max(GAUSSIAN * float(np.median(np.abs(away))), LEAST_SPREAD)


def far_off(found: np.ndarray) -> tuple[int, ...]:
    """Indexes of those that are farther off than FAR deviations, the farthest first; none where they are many."""
    far = tuple(int(index) for index in np.argsort(-found) if found[index] > FAR)
    if len(far) > max(2, MOST * len(found)):
        print(f"note: {counted(len(far), 'good photograph')} of {len(found)} look unlike the others. If two kinds of "
              "workpieces lie in the folder, train a model for each", flush=True)
        return ()
    return far
