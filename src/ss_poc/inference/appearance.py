"""Measures of how a photograph looks and how sure a model is of it, and their distributions over many photographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from ..core.images import resize_image
from .predictor import unsureness

__all__ = ["MEASURES", "histogram", "measure", "reference_of"]

MEASURES = ("brightness", "contrast", "sharpness", "highest_score", "confidence")
# Looks are measured with the longer side at this number of pixels, where sharpness is that of the lens, not noise.
LOOK_SIDE = 160
BINS = 10


def measure(image_rgb: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    """Measure how a photograph looks and how sure the model is of it.

    Args:
        image_rgb: (H, W, 3) uint8 RGB.
        probability: (h, w, C) in 0..1, the model's answer for it.

    Returns:
        brightness: mean grey value, 0..1; contrast: its standard deviation, 0..0.5; sharpness: standard deviation of
        the Laplacian; highest_score: highest probability of any pixel and class, 0..1; confidence: 1 if the model is
        sure of every pixel, 0 if the least sure pixels are at 0.5 (1 less `unsureness`).
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
    """Return the distributions that later photographs are compared with.

    Args:
        measured: one result of `measure` for each photograph.

    Returns:
        `images`, their number; and `measures`: for each name in MEASURES the `edges` between the tenths of its values,
        and the `counts` of photographs between them.
    """
    measures = {}
    for name in MEASURES:
        values = np.array([item[name] for item in measured], float)
        edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS)) if len(values) else np.zeros(0)
        measures[name] = {"edges": [float(edge) for edge in edges], "counts": histogram(values, edges)}
    return {"images": len(measured), "measures": measures}


def histogram(values: np.ndarray, edges: Sequence[float] | np.ndarray) -> list[int]:
    """Count the values below the first edge, from each edge to the next, and from the last edge on: len(edges) + 1."""
    return [int(count) for count in np.bincount(np.digitize(values, edges), minlength=len(edges) + 1)]
