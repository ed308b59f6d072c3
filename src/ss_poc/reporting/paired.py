"""Scores of runs on the same images, and whether they differ by more than chance.

Paired bootstrap: the same images are drawn for all runs, so that what is difficult in an image counts for none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.files import read_csv
from ..core.masks import decode_rle
from ..core.run import RLE_COLUMNS, RunPaths
from ..core.scores import dice_of_counts, interval_of, mean_iou

__all__ = ["RESAMPLES", "change", "dice_of_images", "image_counts", "iou_of_pixels"]

RESAMPLES = 2000


def image_counts(paths: RunPaths, labels: Sequence[str]) -> dict[str, np.ndarray]:
    """For each image that validates (C, 3): pixels in both, true and predicted, from the RLE that the search wrote.

    Args:
        paths: of a run that was searched.
        labels: its classes, in channel order.
    """
    tables = [read_csv(paths.valid / f"valid_batch_{kind}.csv", RLE_COLUMNS) for kind in ("true", "pred")]
    found: dict[str, np.ndarray] = {}
    for true, predicted in zip(*tables, strict=True):
        size_hw = (int(true["height"]), int(true["width"]))
        masks = [decode_rle({"size": list(size_hw), "counts": row["counts"]}, size_hw) for row in (true, predicted)]
        counts = found.setdefault(true["image"], np.zeros((len(labels), 3)))
        counts[list(labels).index(true["label"])] = (np.count_nonzero(masks[0] & masks[1]), *map(np.count_nonzero,
                                                                                                 masks))
    return found


def dice_of_images(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean Dice of an image on weighted images: (N, 3) or (N, C, 3) counts, (B, N) weights, to (B,)."""
    both, total = counts[..., 0], counts[..., 1] + counts[..., 2]
    dices = dice_of_counts(both, total).reshape(len(counts), -1).mean(axis=1)
    return weights @ dices / weights.sum(axis=1)


def iou_of_pixels(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """IoU of all pixels on weighted images, averaged over the classes that have any; shapes as in `dice_of_images`."""
    both, true, predicted = (counts[..., place].reshape(len(counts), -1) for place in range(3))
    return mean_iou(both, true + predicted - both, weights)


def change(value: float, base: float, drawn: np.ndarray, drawn_base: np.ndarray) -> str:
    """A difference, its 95 % interval, and what that says of it, such as "+0.020, +0.003 to +0.041: better".

    Args:
        value, base: scores.
        drawn, drawn_base: (B,), the same scores of bootstrap samples, of the same images in both.
    """
    low, high = interval_of(drawn - drawn_base)
    word = "better" if low > 0 else "worse" if high < 0 else "no sure difference"
    return f"{value - base:+.3f}, {low:+.3f} to {high:+.3f}: {word}"
