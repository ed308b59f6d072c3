"""From clicks or a box to the mask of the region meant, at the photograph's own resolution; without TensorFlow.

Like segment-anything's predictor: `set_image` once, then `predict` as often as somebody clicks. What is looked at is a
window around the click; it is enlarged or reduced until the region fills a sensible part of it, and follows a thin
region beyond its edge, so that a scratch is outlined as sharply on a large photograph as on a small one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import RequestError
from ..inference.engines import Run, load_engine
from .correction import obey
from .guidance import Box, Click
from .look import Look, pieces_clicked

__all__ = ["FOLDER", "ClickPredictor", "Found"]

FOLDER = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Found:
    """What somebody meant.

    Attributes:
        mask: (H, W) bool.
        probability: (H, W) float32, 0..1, to be given back with the next click.
    """

    mask: np.ndarray
    probability: np.ndarray


class ClickPredictor:
    """The click network over one photograph.

    Args:
        run: the network: (N, SIZE, SIZE, 7) float32 to (N, SIZE, SIZE, 1) float32 probabilities.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._image: np.ndarray | None = None

    @classmethod
    def load(cls, engine: str = "onnxruntime", threads: int = 1, folder: Path = FOLDER) -> ClickPredictor:
        """Load the network in the package.

        Args:
            engine: one of `core.config.SERVING_ENGINES`.
            threads: of the engine; 0 for one for each core. On two cores that others used too, one thread took 28 ms
                a window, and two, which wait for each other, 56.
            folder: of the graph.

        Raises:
            EngineError: the engine is not installed, or cannot run here.
        """
        return cls(load_engine(engine, folder, threads))

    def set_image(self, image_rgb: np.ndarray) -> None:
        """Say which photograph is clicked on: (H, W, 3) uint8 RGB, of any size. It is kept, not copied."""
        self._image = image_rgb

    def predict(self, clicks: Sequence[Click], box: Box | None = None, previous: np.ndarray | None = None,
                prior: np.ndarray | None = None) -> Found:
        """Find the region meant.

        Args:
            clicks: all clicks so far, in pixels of the photograph; any number.
            box: around the region.
            previous: (H, W) float32, `Found.probability` of the answer that the last click corrects; None before.
            prior: (H, W) float32, 0..1, what a trained model says of the photograph; only looked at before `previous`.

        Returns:
            The mask; all pixels of it may be False. With `previous` every positive click is in it, no negative one.

        Raises:
            RequestError: no photograph, neither click nor box, or one outside of the photograph.
        """
        image = self._checked(clicks, box)
        for given in (previous, prior):
            if given is not None and given.shape != image.shape[:2]:
                raise RequestError(f"probabilities of a photograph of {given.shape}",
                                   f"{image.shape[:2]}, as this one is", "begin anew with the first click")
        look = Look(self._run, image, clicks, box, previous)
        if previous is None:
            look.first(prior)
        else:
            look.again()
            obey(look.map, clicks)
        return Found(pieces_clicked(look.map > 0.5, [click for click in clicks if click.positive]), look.map)

    def _checked(self, clicks: Sequence[Click], box: Box | None) -> np.ndarray:
        if self._image is None:
            raise RequestError("no photograph to click on", "one from set_image", "call set_image first")
        height, width = self._image.shape[:2]
        if not any(click.positive for click in clicks) and box is None:
            raise RequestError(f"{len(clicks)} clicks, none of them positive, and no box", "a positive click or a box",
                               "click on the region first")
        for click in clicks:
            if not (0 <= click.x < width and 0 <= click.y < height):
                raise RequestError(f"a click at ({click.x:g}, {click.y:g}), outside of the photograph",
                                   f"x from 0 to {width - 1}, y from 0 to {height - 1}", "click on the photograph")
        if box is not None and not (box.right - box.left >= 1 and box.bottom - box.top >= 1 and box.left < width and
                                    box.top < height and box.right > 0 and box.bottom > 0):  # so, for NaN
            raise RequestError(f"a box from ({box.left:g}, {box.top:g}) to ({box.right:g}, {box.bottom:g})",
                               f"one that covers pixels of the photograph, {width} wide and {height} high",
                               "draw the box from its top left to its bottom right corner, on the photograph")
        return self._image
