"""Make a graph's probabilities mean what they say.

The loss weighs defects up, so that of pixels with a probability of 0.5 only a fifth may be defects. On the images that
validate, the log-odds of each class are stretched and shifted until they fit (Platt 1999, by a logistic regression over
pixels), and that becomes the last step of the graph: all that is behind it speaks of the same probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..core.platt import EPSILON, IDENTITY, Calibration, log_odds, sigmoid

__all__ = ["BINS", "calibrated", "count_pixels", "cross_fitted", "expected_error", "fit", "folds_of", "platt",
           "write_into"]

# Log-odds are counted in bins from -LIMIT to LIMIT.
LIMIT, BINS = 12.0, 480
CENTRES = (np.arange(BINS) + 0.5) / BINS * 2 * LIMIT - LIMIT
# Pixels below these log-odds (a probability of 0.001) are not fitted: there are so many that nothing else would count.
LOWEST = -6.9
# A class with fewer labelled pixels, or on fewer images, is left as it is.
FEWEST_PIXELS, FEWEST_IMAGES = 200, 3
STEPS = 10  # of probability, for the expected calibration error
FOLDS = 5


def count_pixels(probability: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Count one image's pixels by log-odds.

    Args:
        probability: (h, w, C) in 0..1, at the scale that the model works at.
        truth: (H, W, C) bool, at the image's size; its fraction of each of the (h, w) places counts.

    Returns:
        (2, C, BINS): labelled pixels, and all.
    """
    classes, size = probability.shape[-1], probability.shape[1::-1]
    counts = np.zeros((2, classes, BINS))
    for channel in range(classes):
        bins = np.clip((log_odds(probability[..., channel]) + LIMIT) * (BINS / (2 * LIMIT)), 0, BINS - 1).astype(int)
        true = cv2.resize(truth[..., channel].astype(np.float32), size, interpolation=cv2.INTER_AREA)
        counts[0, channel] = np.bincount(bins.ravel(), true.ravel(), BINS)
        counts[1, channel] = np.bincount(bins.ravel(), minlength=BINS)
    return counts


def fit(counts: Sequence[np.ndarray]) -> list[Calibration]:
    """Fit the calibration of each class.

    Args:
        counts: (2, C, BINS) of each image, as `count_pixels` gives them.
    """
    total = np.sum(counts, axis=0)
    images = np.sum([image[0].sum(axis=-1) > 0 for image in counts], axis=0)
    return [_fit_class(total[0, channel], total[1, channel]) if images[channel] >= FEWEST_IMAGES else IDENTITY
            for channel in range(total.shape[1])]


def _fit_class(true: np.ndarray, every: np.ndarray) -> Calibration:
    fitted = CENTRES >= LOWEST
    true, every = true[fitted], every[fitted]
    if true.sum() < FEWEST_PIXELS or (every - true).sum() < FEWEST_PIXELS:
        return IDENTITY
    return platt(CENTRES[fitted], true, every - true)


def platt(odds: np.ndarray, true: np.ndarray, false: np.ndarray) -> Calibration:
    """Fit log-odds to how often they were right, by a logistic regression.

    Args:
        odds: (N,) log-odds.
        true, false: (N,) how often each of them was met on a defect, and elsewhere: numbers, whole or not.

    Returns:
        The calibration; IDENTITY where higher log-odds are no likelier a defect: such a model has learned nothing yet.
    """
    from sklearn.linear_model import LogisticRegression

    weights = np.concatenate([true, false])
    found = LogisticRegression(C=1e4).fit(np.concatenate([odds, odds])[:, None], np.repeat([1, 0], len(odds)),
                                          sample_weight=weights / weights.sum() * len(weights))
    factor, offset = float(found.coef_[0, 0]), float(found.intercept_[0])
    return Calibration(factor, offset) if factor > 0 else IDENTITY


def expected_error(counts: Sequence[np.ndarray], calibrations: Sequence[Sequence[Calibration]]) -> float:
    """Expected calibration error (Naeini et al. 2015): how far, in the mean of pixels, probabilities are from what they
    stand for, 0..1, over the pixels with a probability of at least 0.001 before they are calibrated.

    Args:
        counts: (2, C, BINS) of each image, as `count_pixels` gives them.
        calibrations: of each image, one a class.
    """
    fitted = CENTRES >= LOWEST
    off, pixels = np.zeros((len(calibrations[0]), STEPS)), 0.0
    for image, used in zip(counts, calibrations, strict=True):
        for channel, calibration in enumerate(used):
            true, every = image[:, channel, fitted]
            probability = calibration.apply(sigmoid(CENTRES[fitted]))
            step = np.minimum((probability * STEPS).astype(int), STEPS - 1)
            off[channel] += np.bincount(step, true - every * probability, STEPS)
            pixels += float(every.sum())
    return float(np.abs(off).sum()) / pixels if pixels else 0.0


def cross_fitted(counts: Sequence[np.ndarray], groups: Sequence[str]) -> list[list[Calibration]]:
    """For each image, the calibration that the other ones give: to say how well it holds on images it has not seen.

    Args:
        counts: of each image, as `count_pixels` gives them.
        groups: of each image its workpiece: those of one are left out together.
    """
    folds = folds_of(groups)
    of_fold = [fit([image for image, other in zip(counts, folds, strict=True) if other != fold])
               for fold in range(max(folds) + 1)] if any(folds) else [fit(counts)]
    return [of_fold[fold] for fold in folds]


def folds_of(groups: Sequence[str]) -> list[int]:
    """Deal images into FOLDS folds, or as many as there are groups, numbered from 0; those of one group together."""
    numbers = {name: number % FOLDS for number, name in enumerate(dict.fromkeys(groups))}
    return [numbers[group] for group in groups]


def calibrated(probability: np.ndarray, calibrations: Sequence[Calibration]) -> np.ndarray:
    """Do what the graph does after `write_into`.

    Args:
        probability: (…, C) in 0..1.
        calibrations: C, or none where the graph stays as it is.

    Returns:
        The same shape, float32.
    """
    if not calibrations:
        return probability
    return np.stack([item.apply(probability[..., channel]) for channel, item in enumerate(calibrations)], axis=-1)


def write_into(graph: Path, calibrations: Sequence[Calibration]) -> None:
    """Make calibrations the last step of an ONNX graph whose output is (N, h, w, C) float32 probabilities."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(graph)
    nodes, name = model.graph.node, model.graph.output[0].name
    place = next(number for number, node in enumerate(nodes) if name in node.output)
    constants = {"low": EPSILON, "high": 1 - EPSILON, "one": 1.0, "factor": [item.factor for item in calibrations],
                 "offset": [item.offset for item in calibrations]}
    if nodes[place].op_type == "Sigmoid":  # what goes into it are the log-odds
        steps, last = _stretched(nodes[place].input[0]), nodes[place]
        del nodes[place]
        last.input[0] = steps[-1].output[0]
    else:
        raw = f"{name}/raw"
        for node in nodes:
            node.output[:] = [raw if each == name else each for each in node.output]
            node.input[:] = [raw if each == name else each for each in node.input]
        odds = _log_odds_nodes(raw)
        steps = [*odds, *_stretched(odds[-1].output[0])]
        place, last = len(nodes), onnx.helper.make_node("Sigmoid", [steps[-1].output[0]], [name], name="calibration")
    for number, node in enumerate([*steps, last]):
        nodes.insert(place + number, node)
    used = {each for node in steps for each in node.input}
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value, np.float32), f"calibration/{key}")
                                   for key, value in constants.items() if f"calibration/{key}" in used)
    onnx.save(model, graph)


def _stretched(log_odds: str) -> list[Any]:
    return [_node("Mul", [log_odds, "calibration/factor"], "stretched"),
            _node("Add", ["calibration/stretched", "calibration/offset"], "shifted")]


def _log_odds_nodes(probability: str) -> list[Any]:
    return [_node("Clip", [probability, "calibration/low", "calibration/high"], "clipped"),
            _node("Sub", ["calibration/one", "calibration/clipped"], "rest"),
            _node("Div", ["calibration/clipped", "calibration/rest"], "odds"),
            _node("Log", ["calibration/odds"], "log_odds")]


def _node(kind: str, inputs: Sequence[str], output: str) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs, [f"calibration/{output}"], name=f"calibration/{output}")
