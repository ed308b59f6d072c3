"""What turns clicks into masks, for clicks.py: our network, and what OpenCV has without any network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from ss_poc.clicks.guidance import Box, Click
from ss_poc.clicks.predictor import ClickPredictor
from ss_poc.core.images import resize_image
from ss_poc.inference.predictor import Predictor

# Of a click that GrabCut gets, in pixels; of the square it looks at around clicks, as a fraction of the photograph.
DISK, REACH, ROUNDS = 2, 0.25, 3
# Of 255, in each colour: the best of 8, 12, 16, 24 and 32 by NoC@80 on 80 regions of the demo.
TOLERANCE = 24


class Method(Protocol):
    """Turns clicks on a photograph into a mask."""

    def start(self, image: np.ndarray) -> None: ...

    def answer(self, clicks: Sequence[Click], box: Box | None) -> np.ndarray: ...


class Ours:
    """The network in the package; `model`, if any, says beforehand what it would mark."""

    def __init__(self, model: Predictor | None = None) -> None:
        self.predictor, self.model = ClickPredictor.load(), model

    def start(self, image: np.ndarray) -> None:
        self.predictor.set_image(image)
        self.previous: np.ndarray | None = None
        self.prior = None if self.model is None else \
            resize_image(self.model.probability(image).max(axis=-1), image.shape[:2])

    def answer(self, clicks: Sequence[Click], box: Box | None) -> np.ndarray:
        found = self.predictor.predict(clicks, box, self.previous, self.prior)
        self.previous = found.probability
        return found.mask


class GrabCut:
    """OpenCV's GrabCut: clicks are sure foreground and background, the rest is estimated."""

    def start(self, image: np.ndarray) -> None:
        self.image = np.ascontiguousarray(image[..., ::-1])

    def answer(self, clicks: Sequence[Click], box: Box | None) -> np.ndarray:
        height, width = self.image.shape[:2]
        labels = np.full((height, width), cv2.GC_BGD, np.uint8)
        area = box or _around(clicks, (height, width))
        labels[int(area.top):int(area.bottom), int(area.left):int(area.right)] = \
            cv2.GC_PR_FGD if box else cv2.GC_PR_BGD
        for click in clicks:
            if click.positive and not box:  # near a click the region is likely
                cv2.circle(labels, (int(click.x), int(click.y)), 4 * DISK, cv2.GC_PR_FGD, cv2.FILLED)
        for click in clicks:
            sure = cv2.GC_FGD if click.positive else cv2.GC_BGD
            cv2.circle(labels, (int(click.x), int(click.y)), DISK, sure, cv2.FILLED)
        kinds = labels[labels != cv2.GC_BGD]
        if (labels & 1).all() or not kinds.size or not (labels & 1).any():
            return (labels & 1).astype(bool)
        cv2.grabCut(self.image, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)
        return (labels & 1).astype(bool)


def _around(clicks: Sequence[Click], size_hw: tuple[int, int]) -> Box:
    """A box around all clicks, REACH of the photograph wider at each side."""
    reach = REACH * max(size_hw)
    xs, ys = [click.x for click in clicks], [click.y for click in clicks]
    return Box(max(0, min(xs) - reach), max(0, min(ys) - reach), min(size_hw[1], max(xs) + reach + 1),
               min(size_hw[0], max(ys) + reach + 1))


class FloodFill:
    """The magic wand: what is joined to a positive click and of about its colour; negative ones take theirs away."""

    def __init__(self, tolerance: int = TOLERANCE) -> None:
        self.tolerance = tolerance

    def start(self, image: np.ndarray) -> None:
        self.image = cv2.GaussianBlur(image, (0, 0), 1)

    def answer(self, clicks: Sequence[Click], box: Box | None) -> np.ndarray:
        mask = np.zeros(self.image.shape[:2], bool)
        middle = [Click((box.left + box.right) / 2, (box.top + box.bottom) / 2)] if box else []
        for click in (*middle, *clicks):
            filled = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
            cv2.floodFill(self.image, filled, (int(click.x), int(click.y)), 0, (self.tolerance,) * 3,
                          (self.tolerance,) * 3, cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | 4)
            mask = mask | (filled[1:-1, 1:-1] > 0) if click.positive else mask & (filled[1:-1, 1:-1] == 0)
        if box:
            kept = np.zeros_like(mask)
            kept[int(box.top):int(box.bottom), int(box.left):int(box.right)] = True
            mask &= kept
        return mask


METHODS: dict[str, Callable[[], Method]] = {"ours": Ours, "grabcut": GrabCut, "flood fill": FloodFill}


def with_model(export: Path) -> Method:
    """Our network with what a trained model says: its probability of any class."""
    return Ours(Predictor.load(export))
