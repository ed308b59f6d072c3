"""Clicks on photographs that come again with every click: what was seen and answered before is remembered."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from ..core.masks import bounding_box
from ..inference.engines import Run
from .guidance import Box, Click
from .predictor import ClickPredictor, Found

__all__ = ["ClickSession"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

# Pixels of photographs that are kept decoded, and answers that are kept.
MOST_PIXELS, MOST_ANSWERS = 24_000_000, 64
# Of clicks whose answers are not known any more, so many are answered one after another: the ones before them at once.
REPLAYED = 4


@dataclass(frozen=True)
class _Answer:
    """A map of probabilities, (H, W), as the part of it that is not 0: uint8, 255 stands for 1."""

    size_hw: tuple[int, int]
    place: tuple[slice, slice] | None
    values: np.ndarray

    @classmethod
    def of(cls, probability: np.ndarray) -> _Answer:
        place = bounding_box(probability > 0.5 / 255)
        return cls((probability.shape[0], probability.shape[1]), place,
                   np.rint(probability[place] * 255).astype(np.uint8) if place else np.empty((0, 0), np.uint8))

    def probability(self) -> np.ndarray:
        whole: np.ndarray = np.zeros(self.size_hw, np.float32)
        if self.place:
            whole[self.place] = self.values
            whole[self.place] /= 255
        return whole


class _Recent(Generic[K, V]):
    """The values used last, up to a total weight; the very last one stays whatever it weighs. Thread-safe."""

    def __init__(self, most: int, weight: Callable[[V], int] = lambda value: 1) -> None:
        self._most, self._weight, self._lock = most, weight, threading.Lock()
        self._kept: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K) -> V | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: K, value: V) -> None:
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and sum(map(self._weight, self._kept.values())) > self._most:
                self._kept.popitem(last=False)


class ClickSession:
    """Answers of a click network to several people at once, each request with all its clicks.

    Args:
        run: the network, see `ClickPredictor`; called from several threads.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._images: _Recent[str, np.ndarray] = _Recent(MOST_PIXELS, lambda image: image.shape[0] * image.shape[1])
        self._answers: _Recent[tuple[str, Box | None, tuple[Click, ...]], _Answer] = _Recent(MOST_ANSWERS)
        self._last: _Recent[str, tuple[Box | None, tuple[Click, ...]]] = _Recent(MOST_ANSWERS)

    def answer(self, name: str, decode: Callable[[], np.ndarray], clicks: Sequence[Click], box: Box | None = None
               ) -> Found | None:
        """Find the region meant by clicks or a box.

        Args:
            name: of the photograph, the same for the same pixels only.
            decode: gives it, (H, W, 3) uint8 RGB; called where it was not seen lately.
            clicks: all clicks of the region so far, in pixels. Where all are negative and there is no box, they
                correct the region that was answered last on this photograph.
            box: around the region.

        Returns:
            The mask; None where nothing says which region is meant.

        Raises:
            RequestError: a click or the box lies outside of the photograph.
        """
        if box is None and not any(click.positive for click in clicks):
            box, clicks = self._continued(name, clicks)
            if box is None and not clicks:
                return None
        image = self._images.get(name)
        if image is None:
            image = decode()
            self._images.put(name, image)
        found = self._answered(name, image, tuple(clicks), box)
        self._last.put(name, (box, tuple(clicks)))
        return found

    def _continued(self, name: str, negative: Sequence[Click]) -> tuple[Box | None, tuple[Click, ...]]:
        """Box and clicks of the last region with these clicks after them; neither where there is no such region."""
        box, clicks = self._last.get(name) or (None, ())
        if box is None and not clicks:
            return None, ()
        return box, (*(click for click in clicks if click not in negative), *negative)

    def _answered(self, name: str, image: np.ndarray, clicks: tuple[Click, ...], box: Box | None) -> Found:
        predictor = ClickPredictor(self._run)
        predictor.set_image(image)
        # The first look needs a positive click, or a box.
        least = 0 if box else next(number for number, click in enumerate(clicks, 1) if click.positive)
        done, previous = self._known(name, clicks, box)
        while True:
            done = max(least, len(clicks) - REPLAYED) if previous is None else done + 1
            found = predictor.predict(clicks[:done], box, previous)
            self._answers.put((name, box, clicks[:done]), _Answer.of(found.probability))
            if done == len(clicks):
                return found
            previous = found.probability

    def _known(self, name: str, clicks: tuple[Click, ...], box: Box | None) -> tuple[int, np.ndarray | None]:
        """How many of the clicks have an answer that is remembered, at most all but the last; that answer."""
        for done in range(len(clicks) - 1, max(-1, len(clicks) - 1 - REPLAYED), -1):
            answer = self._answers.get((name, box, clicks[:done]))
            if answer is not None:
                return done, answer.probability()
        return 0, None
