"""What to expect of the next workpiece, or of another photograph: scores under rules that were found on others.

The rules of a run are chosen on the very images that validate, so its scores there flatter. `post_processing` also
counts each image's pixels under rules that were found without it and all others of its workpiece.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.files import read_csv
from ..core.run import HELD_OUT_COLUMNS, HELD_OUT_CSV
from ..core.scores import bootstrap_weights, interval_of, mean_iou
from ..data.split import workpieces

__all__ = ["Expectation", "Piece", "Pixels", "drawn_ious", "expectation", "expectation_of", "read_pixels"]

# Of each image, for each class in channel order: labelled pixels, marked ones, and both.
Pixels = dict[str, list[tuple[int, int, int]]]

RESAMPLES = 2000
# Workpieces in the table; the worst are shown.
MOST_PIECES = 30


@dataclass(frozen=True)
class Piece:
    """One workpiece: its photographs, mean IoU over the classes that are on it or found there (None: there are none),
    defective ones that nothing was found on, and clean ones on which something was."""

    name: str
    images: int
    iou: float | None
    missed: int
    flagged: int


@dataclass(frozen=True)
class Expectation:
    """What to expect.

    Attributes:
        iou: mean IoU over the classes, of all pixels; nan where no class is on any image.
        iou_range: its 95 % interval, bootstrapped over workpieces.
        pieces: the worst workpieces first, at most MOST_PIECES; empty where no workpiece is known.
        count: of workpieces, or of images where none is known.
        quartiles: mean IoU that a quarter and three quarters of the workpieces with a class do not reach.
    """

    iou: float
    iou_range: tuple[float, float]
    pieces: tuple[Piece, ...]
    count: int
    quartiles: tuple[float, float]


def expectation(valid: Path, group: str | None) -> Expectation | None:
    """Read what to expect from the `valid/` folder of a run.

    Args:
        valid: the folder.
        group: regular expression that finds the workpiece in an image's name; None for none.

    Returns:
        It; None where an earlier version searched the rules, and did not write it.
    """
    return expectation_of(read_pixels(valid), group) if (valid / HELD_OUT_CSV).is_file() else None


def read_pixels(valid: Path) -> Pixels:
    """Read the pixels of each image from a `valid/` folder. Raises ArtifactError where they are missing or damaged."""
    pixels: Pixels = defaultdict(list)
    for row in read_csv(valid / HELD_OUT_CSV, HELD_OUT_COLUMNS):
        pixels[row["image"]].append((int(row["true"]), int(row["predicted"]), int(row["both"])))
    return dict(pixels)


def drawn_ious(pixels: Pixels, group: str | None) -> tuple[float, np.ndarray]:
    """Mean IoU over the classes of all pixels, and (RESAMPLES,) of it on bootstrap samples of the workpieces; of the
    same images always the same samples."""
    counts, names = np.array(list(pixels.values())), workpieces(list(pixels), group)
    order = {name: index for index, name in enumerate(dict.fromkeys(names))}
    weights = bootstrap_weights(len(order), RESAMPLES)[:, [order[name] for name in names]]
    both, either = counts[..., 2], counts[..., 0] + counts[..., 1] - counts[..., 2]
    return float(mean_iou(both, either, np.ones((1, len(names))))[0]), mean_iou(both, either, weights)


def expectation_of(pixels: Pixels, group: str | None) -> Expectation:
    """What to expect, of the pixels of images; see `expectation`."""
    counts, names = np.array(list(pixels.values())), workpieces(list(pixels), group)
    iou, drawn = drawn_ious(pixels, group)
    order = dict.fromkeys(names)
    pieces = [_piece(name, counts[[other == name for other in names]]) for name in order] if group else []
    known = [piece.iou for piece in pieces if piece.iou is not None]
    quartiles = (float(np.quantile(known, 0.25)), float(np.quantile(known, 0.75))) if known else (np.nan, np.nan)
    worst = tuple(sorted(pieces, key=_badness)[:MOST_PIECES])
    return Expectation(iou, interval_of(drawn), worst, len(order), quartiles)


def _piece(name: str, counts: np.ndarray) -> Piece:
    """Of one workpiece, whose images have these pixels, (N, C, 3)."""
    true, predicted, both = (counts[..., index].sum(axis=1) for index in range(3))
    iou = float(mean_iou(counts[..., 2], counts[..., 0] + counts[..., 1] - counts[..., 2],
                         np.ones((1, len(counts))))[0])
    return Piece(name, len(counts), None if np.isnan(iou) else iou, int(((true > 0) & (both == 0)).sum()),
                 int(((true == 0) & (predicted > 0)).sum()))


def _badness(piece: Piece) -> tuple[float, int, str]:
    return (piece.iou if piece.iou is not None else 2.0, -piece.missed, piece.name)
