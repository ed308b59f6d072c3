"""From a probability map to a mask: threshold, dilation, least area, convex hull, reach."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from .config import Rule
from .masks import bounding_box, row_bands

__all__ = ["below", "extend", "plain_rules", "refine", "refine_channel", "resize_probability", "scaled_rule",
           "threshold_and_pad"]


def plain_rules(labels: Sequence[str], colors: Sequence[str], size_hw: tuple[int, int]) -> list[Rule]:
    """Rules that only set a threshold of 0.5, one for each class: what a model does before its rules are searched."""
    return [Rule(label, color, size_hw) for label, color in zip(labels, colors, strict=True)]


def refine(probability: np.ndarray, rules: Sequence[Rule], size_hw: Sequence[int],
           threshold: float | None = None) -> np.ndarray:
    """Turn a probability map into the mask of the image. Search, predict and serve all call this.

    Args:
        probability: (h, w, C) float32 in 0..1.
        rules: one a channel.
        size_hw: size of the image, that is of the mask.
        threshold: used instead of every rule's `proba` if given; marks reach no further then.

    Returns:
        (H, W, C) bool; each channel contiguous in memory.
    """
    if probability.shape[-1] != len(rules):
        raise ValueError(f"{probability.shape[-1]} channels but {len(rules)} rules")
    mask = np.zeros((len(rules), int(size_hw[0]), int(size_hw[1])), bool)
    for channel, rule in enumerate(rules):
        proba = rule.proba if threshold is None else threshold
        pad, least_area = scaled_rule(rule.pad, rule.reduce_size, probability.shape, size_hw)
        values = np.ascontiguousarray(probability[..., channel])
        window = _reach(values, proba, pad, size_hw)
        if window is not None:  # most classes are on few images, and there on a small part
            large = resize_probability(values, size_hw)
            mask[channel][window] = refine_channel(large[window], proba, pad, least_area, rule.convex)
            if rule.reach and threshold is None:
                extend(mask[channel], large, below(proba, rule.reach))
    return np.moveaxis(mask, 0, -1)


def below(proba: float, log_odds: float) -> float:
    """The probability that lies so many log-odds below another, in (0, 1)."""
    return 1 / (1 + (1 / min(proba, 1 - 1e-6) - 1) * math.exp(log_odds))


def extend(mask_hw: np.ndarray, probability_hw: np.ndarray, least: float) -> None:
    """Let marks grow, in place, into all pixels that are connected to them (8) and have at least a probability: the
    second threshold of Canny 1986 (IEEE TPAMI 8, 679).

    Args:
        mask_hw: (H, W) bool.
        probability_hw: (H, W) float32 in 0..1.
        least: the lower threshold.
    """
    if not mask_hw.any():
        return
    high = probability_hw >= least
    box = bounding_box(high)
    if box is None:
        return
    marks = mask_hw[box]
    count, labelled = cv2.connectedComponents(np.ascontiguousarray(high[box]).view(np.uint8), connectivity=8)
    reached = np.zeros(count, bool)
    reached[np.unique(labelled[marks])] = True
    reached[0] = False  # what lies below
    for rows in row_bands(marks.shape):  # the labels, widened to index with, are eight bytes a pixel
        marks[rows] |= reached[labelled[rows]]


def _reach(probability_hw: np.ndarray, proba: float, pad: int, size_hw: Sequence[int]) -> tuple[slice, slice] | None:
    """Rows and columns of the image outside of which nothing can be marked; None where nothing can at all.

    A pixel of the image is a weighted mean of at most two rows and two columns of the map, so one of them must reach
    `proba`, but for rounding.
    """
    box = bounding_box(probability_hw >= proba - 1e-4)
    if box is None:
        return None
    edges = []
    for part, small, large in zip(box, probability_hw.shape, size_hw, strict=True):
        first, last = (part.start - 1) * large / small, (part.stop + 1) * large / small
        edges.append(slice(max(0, math.floor(first) - 1 - pad), min(int(large), math.ceil(last) + 1 + pad)))
    return edges[0], edges[1]


def scaled_rule(pad: int, reduce_size: int, from_hw: Sequence[int], to_hw: Sequence[int]) -> tuple[int, float]:
    """A rule's radius and area, given in pixels of the probability map, in pixels of the image."""
    scale = to_hw[0] * to_hw[1] / (from_hw[0] * from_hw[1])
    return round(pad * scale**0.5), reduce_size * scale


def threshold_and_pad(probability_hw: np.ndarray, proba: float, pad: int) -> np.ndarray:
    """(H, W) uint8 in {0, 1}: where the probability is at least `proba`, dilated by a disc of radius `pad`."""
    mask: np.ndarray = (probability_hw >= proba).view(np.uint8)
    if pad:
        mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pad + 1, 2 * pad + 1)))
    return mask


def resize_probability(probability_hw: np.ndarray, size_hw: Sequence[int]) -> np.ndarray:
    """(h, w) float32 probabilities to (H, W), bilinear."""
    if probability_hw.shape == tuple(size_hw):
        return probability_hw
    return cv2.resize(np.ascontiguousarray(probability_hw, np.float32), (int(size_hw[1]), int(size_hw[0])),
                      interpolation=cv2.INTER_LINEAR)


def refine_channel(probability_hw: np.ndarray, proba: float, pad: int, least_area: float, convex: bool) -> np.ndarray:
    """Threshold, dilate by a disc of radius `pad`, drop components (8-connected) below `least_area`, take hulls.

    Returns:
        (H, W) bool.
    """
    mask = threshold_and_pad(probability_hw, proba, pad)
    if least_area > 1:
        _, labelled, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        keep = stats[:, cv2.CC_STAT_AREA] >= least_area
        keep[0] = False
        for rows in row_bands(mask.shape):  # the labels, widened to index with, are eight bytes a pixel
            mask[rows] = keep[labelled[rows]]
        del labelled
    if convex:
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        for contour in contours:
            cv2.fillConvexPoly(mask, cv2.convexHull(contour), 1)
    return mask.view(bool)
