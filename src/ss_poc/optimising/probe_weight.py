"""How much a linear probe counts beside the network, measured on images that validate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..core.images import resize_image
from ..core.platt import sigmoid
from ..core.rivals import compete
from ..core.run import Run
from ..core.scores import average_precisions
from ..core.tiles import map_size, windows
from ..data.dataset import Sample
from .calibration import BINS, count_pixels

__all__ = ["WEIGHTS", "choose_weight", "heaviest"]

# Weights of the probe that are tried; the network's is 1.
WEIGHTS = (0.0, 0.25, 0.5, 1.0)
# The mean average precision may be so much below the best. What validates often shows workpieces that also train, and
# there the network alone seems to know all: a probe holds where it does not.
TOLERANCE = 0.005
# Windows that are looked at.
MOST = 100


def choose_weight(run: Run, valid: Sequence[Sample], network: Any, probe: Any,
                  exclusive: bool) -> tuple[float, dict[str, float]]:
    """Choose how much a probe counts.

    Args:
        run: with its size, scale and classes.
        valid: images that validate.
        network, probe: Keras models, (N, h, w, 3) float32 RGB in 0..255 to (N, h, w, C) log-odds, for `run.size_hw`.

        exclusive: whether classes compete on a photograph.

    Returns:
        The weight, and the mean average precision of each of WEIGHTS.
    """
    classes = len(run.data.labels)
    counts = [np.zeros((2, classes, BINS)) for _ in WEIGHTS]
    for image, truth in _looks(run, valid, classes):
        batch = image[None].astype(np.float32)
        height, width = truth.shape[:2]
        alone, known = (model.predict_on_batch(batch)[0, :height, :width] for model in (network, probe))
        for number, weight in enumerate(WEIGHTS):
            probability = sigmoid((alone + weight * known) / (1 + weight))
            counts[number] += count_pixels(compete(probability) if exclusive else probability, truth)
    found = [average_precisions(each) for each in counts]
    means = [float(np.nanmean(each)) if not np.isnan(each).all() else 0.0 for each in found]
    return heaviest(means), {f"{weight:g}": round(mean, 4) for weight, mean in zip(WEIGHTS, means, strict=True)}


def heaviest(means: list[float]) -> float:
    """The largest of WEIGHTS whose mean average precision is at most TOLERANCE below the best."""
    return max(weight for weight, mean in zip(WEIGHTS, means, strict=True) if mean >= max(means) - TOLERANCE)


def _looks(run: Run, samples: Sequence[Sample], classes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of some images the window with most labelled pixels and the one in the middle: (h, w, 3) uint8, and its mask,
    bool, smaller where the image ends before the window does."""
    for sample in samples[::max(1, -(-2 * len(samples) // MOST))]:
        size = map_size(sample.size_hw, run.scale, run.size_hw)
        mask = sample.mask(classes)
        planes = np.stack([resize_image(np.ascontiguousarray(mask[..., channel]).view(np.uint8), size) > 0
                           for channel in range(classes)], axis=-1)
        found = [(window, planes[top:top + run.size_hw[0], left:left + run.size_hw[1]])
                 for top, left, window in windows(resize_image(sample.image(), size), run.size_hw)]
        most = max(range(len(found)), key=lambda number: int(found[number][1].sum()))
        for number in {most, len(found) // 2}:
            yield found[number]
