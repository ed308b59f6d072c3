"""Windows of drawn surfaces around a region, and how somebody would point at it: examples for the click network."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ..clicks.guidance import Box, Click
from ..clicks.simulate import box_around, middle_of
from ..clicks.windows import OUTSIDE, Window, cut
from .surfaces import SIDE, Random

__all__ = ["Example", "Regions", "click_on_error", "draw_example"]

# Source pixels of a first look, and by how much a later one is larger than the region.
FIRST_SIDES, ZOOMED, LEAST_ZOOMED = (64, 320), (1.15, 2.5), 48
LEAST_SEEN = 14  # pixels of a region in the window


@dataclass
class Example:
    """What the network gets, and the answer.

    Attributes:
        image: (size, size, 3) uint8 RGB.
        target: (size, size) bool.
        clicks, box: what was pointed at so far.
        previous: (size, size) float32, the probability so far; None for none.
    """

    image: np.ndarray
    target: np.ndarray
    clicks: list[Click] = field(default_factory=list)
    box: Box | None = None
    previous: np.ndarray | None = None


class Regions:
    """All pictures and regions of the files of a folder, in memory.

    Args:
        files: of `click_regions.draw_region_files`.
    """

    def __init__(self, files: list[Path]) -> None:
        parts = [np.load(file) for file in files]
        self.images = np.concatenate([part["images"] for part in parts])
        self.bits = np.concatenate([part["bits"] for part in parts])
        counts = np.cumsum([0, *(len(part["images"]) for part in parts)])
        self.owners = np.concatenate([part["owners"] + start for part, start in zip(parts, counts[:-1], strict=True)])

    def __len__(self) -> int:
        return len(self.bits)

    def mask(self, number: int) -> np.ndarray:
        """The (SIDE, SIDE) bool mask of a region."""
        return np.unpackbits(self.bits[number], count=SIDE * SIDE).reshape(SIDE, SIDE).astype(bool)

    def beside(self, number: int) -> np.ndarray:
        """The numbers of all regions of the same picture, its own among them."""
        return np.flatnonzero(self.owners == self.owners[number])


def draw_example(random: Random, regions: Regions, size: int) -> Example:
    """Choose a region, a window, its light, and what is pointed at first."""
    while True:
        number = int(random.integers(len(regions)))
        mask = regions.mask(number)
        window = _window(random, mask)
        target = cut(mask.astype(np.float32), window, size, 0) > 0.5
        if target.sum() >= LEAST_SEEN:
            break
    image = cut(regions.images[regions.owners[number]], window, size)
    previous = _prior(random, regions, number, window, size) if random.random() < 0.12 else None
    turn, flip = int(random.integers(4)), random.random() < 0.5

    def turned(picture: np.ndarray) -> np.ndarray:
        picture = np.rot90(picture, turn)
        return np.ascontiguousarray(picture[:, ::-1] if flip else picture)

    inside = turned(cut(np.ones_like(mask, np.uint8), window, size, 0)) > 0
    target = _as_labelled(random, turned(target), size / window.side) & inside
    lit = np.where(inside[..., None], _lit(random, turned(image)), np.uint8(OUTSIDE))
    example = Example(lit, target, previous=None if previous is None else turned(previous))
    _point(random, example)
    return example


def _window(random: Random, mask: np.ndarray) -> Window:
    """A first look somewhere around the region, or one that is zoomed to it."""
    box = box_around(mask)
    assert box is not None  # an empty mask is no region
    if random.random() < 0.5:
        side = int(np.exp(random.uniform(*np.log(FIRST_SIDES))))
        rows, columns = np.nonzero(mask)
        chosen, reach = random.integers(len(rows)), 0.35
        x, y = float(columns[chosen]), float(rows[chosen])
    else:
        side = max(LEAST_ZOOMED, int(max(box.right - box.left, box.bottom - box.top) * random.uniform(*ZOOMED)))
        x, y, reach = (box.left + box.right) / 2, (box.top + box.bottom) / 2, 0.15
    left, top = (int(middle + random.uniform(-reach, reach) * side - side / 2) for middle in (x, y))
    return Window(left, top, side)


def _as_labelled(random: Random, target: np.ndarray, scale: float) -> np.ndarray:
    """The target as people outline it: often a little outside of the edge, or with few corners."""
    kind = random.random()
    bits: np.ndarray = target.astype(np.uint8)
    if kind < 0.3:
        reach = max(1, round(random.uniform(0.7, 2.5) * scale))
        bits = cv2.dilate(bits, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)))
    elif kind < 0.45:
        outlines, _ = cv2.findContours(bits, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        coarse = [cv2.approxPolyDP(outline, random.uniform(1, 2.5) * scale, True) for outline in outlines]
        bits = cv2.fillPoly(np.zeros_like(bits), coarse, 1)
    return bits.astype(bool) if bits.sum() >= LEAST_SEEN else target


def _prior(random: Random, regions: Regions, number: int, window: Window, size: int) -> np.ndarray:
    """What a trained model may say: some of the picture's regions, too wide or too narrow, and unsure."""
    chosen = [other for other in regions.beside(number) if other == number or random.random() < 0.6]
    if random.random() < 0.2:
        chosen = [other for other in chosen if other != number]
    whole: np.ndarray = np.zeros((SIDE, SIDE), np.float32)
    for other in chosen:
        change = cv2.MORPH_DILATE if random.random() < 0.5 else cv2.MORPH_ERODE
        said = cv2.morphologyEx(regions.mask(other).astype(np.uint8), change, np.ones((3, 3), np.uint8),
                                iterations=int(random.integers(0, 3)))
        np.maximum(whole, said, out=whole)
    return cut(cv2.GaussianBlur(whole, (0, 0), random.uniform(0.5, 4)) * np.float32(random.uniform(0.5, 1)), window,
               size, 0)


def _lit(random: Random, image: np.ndarray) -> np.ndarray:
    """Other light, colour, sharpness and noise."""
    values: np.ndarray = image.astype(np.float32)
    if random.random() < 0.3:
        values = np.repeat(values.mean(axis=-1, keepdims=True), 3, axis=-1)
    if random.random() < 0.1:
        values = 255 - values
    if random.random() < 0.7:
        middle = values.mean()
        values = (values - middle) * random.uniform(0.6, 1.5) + middle + random.uniform(-40, 40)
    if random.random() < 0.2:
        values = cv2.GaussianBlur(values, (0, 0), random.uniform(0.5, 1.5))
    if random.random() < 0.3:
        values = values + random.standard_normal(values.shape[:2], np.float32)[..., None] * random.uniform(1, 8)
    return np.clip(values, 0, 255).astype(np.uint8)


def _point(random: Random, example: Example) -> None:
    """A first click, or a box; now and then more clicks at once."""
    target, box = example.target, box_around(example.target)
    if box is not None and random.random() < 0.2:
        slack = 0.06 * np.array([box.right - box.left, box.bottom - box.top] * 2) + 1
        example.box = Box(*(np.array(box) + random.uniform(-0.5, 1, 4) * slack * np.array([-1, -1, 1, 1])).tolist())
        if random.random() < 0.8:
            return
    example.clicks.append(_inside(random, target, True))
    for _ in range(random.choice([0, 0, 0, 1, 2])):
        example.clicks.append(_inside(random, target, True))
    near = cv2.dilate(target.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool) & \
        ~cv2.dilate(target.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    for _ in range(random.choice([0, 0, 0, 1, 2])):
        if near.any():
            example.clicks.append(_inside(random, near, False))


def _inside(random: Random, mask: np.ndarray, positive: bool) -> Click:
    """A click on a bool mask that has pixels: in its middle, or somewhere, seldom at its edge."""
    if random.random() < 0.4:
        middle = middle_of(mask)
        assert middle is not None
        return Click(*middle, positive)
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 3)
    rows, columns = np.nonzero(depth >= random.uniform(0, 0.6) * depth.max())
    chosen = int(random.integers(len(rows)))
    return Click(int(columns[chosen]), int(rows[chosen]), positive)


def click_on_error(random: Random, example: Example, probability: np.ndarray) -> None:
    """Add a click on the largest error of an answer (size, size), 0..1, and remember the answer."""
    found = probability > 0.5
    missing, extra = example.target & ~found, found & ~example.target
    depths = [cv2.distanceTransform(np.pad(wrong, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
              for wrong in (missing, extra)]
    example.previous = probability
    positive = depths[0].max() >= depths[1].max()
    depth = depths[0] if positive else depths[1]
    if depth.max() <= 0:
        return
    _, labels = cv2.connectedComponents((depth > 0).astype(np.uint8))
    worst = labels == labels.flat[int(depth.argmax())]
    example.clicks.append(_inside(random, worst, bool(positive)))
