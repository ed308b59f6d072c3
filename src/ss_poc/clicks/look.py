"""One answer to clicks: which windows of the photograph the network gets, and how its answers become one map."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from .correction import carried_on
from .guidance import Box, Click, guidance, joined
from .simulate import box_around
from .windows import Window, cut, paste

__all__ = ["LEAST_SIDE", "SIZE", "Look", "pieces_clicked"]

# Height and width of the network's input.
SIZE = 256
# Least side of a window: what is enlarged more has nothing more to show.
LEAST_SIDE = 64
# Side of the first window around a click.
FIRST_SIDE = 256
# How much larger than the region a window is.
ROOM = 1.6
# A region is thin where its deepest pixel is at most this far from its edge, in the network's pixels: it is followed
# at the same resolution, where others are looked at from farther away.
THIN = 7.0
# Such a region is corrected where somebody clicks, not as a whole, if it would be thinner than this.
TOO_THIN = 2.5
# Windows that follow a thin region, and times that a window is enlarged, at most.
MOST_STEPS, MOST_ENLARGED = 12, 6
# How far from each other such windows lie, as a fraction of their side.
STRIDE = 0.75


class Look:
    """One answer in the making: a map of probabilities, written window by window.

    Args:
        run: the network: (N, SIZE, SIZE, 7) float32 to (N, SIZE, SIZE, 1) float32 probabilities.
        image: (H, W, 3) uint8 RGB.
        clicks, box: in pixels of the image, within it; one positive click or a box at least.
        before: (H, W) float32 probability of the last answer; None for the first.
    """

    def __init__(self, run: Callable[[np.ndarray], np.ndarray], image: np.ndarray, clicks: Sequence[Click],
                 box: Box | None, before: np.ndarray | None = None) -> None:
        self._run, self._image, self._clicks, self._box = run, image, clicks, box
        self._positive = [click for click in clicks if click.positive]
        self.map = np.zeros(image.shape[:2], np.float32) if before is None else before.copy()

    def first(self, prior: np.ndarray | None) -> None:
        """Look around clicks and box, then from where the region fills the window; `prior` as in `ClickPredictor`."""
        window = self._around(self._marked(), ROOM, least=LEAST_SIDE if self._box else FIRST_SIDE)
        content = self._see(window, prior)
        for _ in range(MOST_ENLARGED):
            if not self._cut_off(content, window) or _depth(content > 0.5) <= THIN:
                break
            window = self._around(self._extent(content, window), ROOM, least=2 * window.side)
            content = self._see(window, prior)
        closer = self._around(self._extent(content, window), ROOM)
        paste(self.map, window, content)
        if closer.side < 0.75 * window.side:
            content = self._see(closer, self.map)
            rows, columns = window.inside(self.map.shape)
            self.map[rows, columns] = 0
            paste(self.map, closer, content)
        elif self._cut_off(content, window):
            self._follow(window)

    def again(self) -> None:
        """Look at what was found before and at all clicks; of a region that is long and thin, at the last click."""
        mask = pieces_clicked(self.map > 0.5, self._positive)
        box, marked = box_around(mask), self._marked()
        if box:
            marked = joined([box, marked])
        window = self._around(marked, ROOM)
        if box and self._clicks and window.side > SIZE:
            rows, columns = slice(int(box.top), int(box.bottom)), slice(int(box.left), int(box.right))
            if _depth(mask[rows, columns]) * SIZE / window.side <= TOO_THIN:
                window = self._placed(self._clicks[-1].x, self._clicks[-1].y, SIZE)
        before = self.map[window.inside(self.map.shape)] > 0.5
        content = self._corrected(self._see(window, self.map), window)
        paste(self.map, window, content)
        after = self.map[window.inside(self.map.shape)] > 0.5
        if self._cut_off(content, window) and _reaches_out(before, after):
            self._follow(window)

    def _corrected(self, content: np.ndarray, window: Window) -> np.ndarray:
        """Carry the last click on within a window; where it lies outside, the answer as it is."""
        if not self._clicks or not _holds(window, self._clicks[-1]):
            return content
        *others, last = self._within(window, self._clicks)
        return carried_on(content, cut(self.map, window, SIZE, 0), last, others)

    def _follow(self, window: Window) -> None:
        """Go on where a region leaves a window, at the same resolution, with what was found so far as guidance."""
        height, width = self.map.shape
        seen = np.zeros((height, width), bool)
        seen[window.inside(seen.shape)] = True
        left, top, right, bottom = window.left, window.top, window.left + window.side, window.top + window.side
        looked = [window]
        for _ in range(MOST_STEPS):
            reach = max(2, window.side // 16)
            rows, columns = (slice(max(0, start - reach), min(length, end + reach))
                             for start, end, length in ((top, bottom, height), (left, right, width)))
            place = _way_out(seen[rows, columns], self.map[rows, columns], reach)
            if place is None:
                return
            at = Click(place[0] + columns.start, place[1] + rows.start)
            window = self._beyond(at, next(item for item in reversed(looked) if _holds(item, at)))
            looked.append(window)
            fresh = self._see(window, self.map, at)
            inside = window.inside(seen.shape)
            known, kept = seen[inside].copy(), self.map[inside].copy()
            paste(self.map, window, fresh)
            self.map[inside] = np.where(known, kept, self.map[inside])
            seen[inside] = True
            left, top = min(left, window.left), min(top, window.top)
            right, bottom = max(right, window.left + window.side), max(bottom, window.top + window.side)

    def _beyond(self, at: Click, window: Window) -> Window:
        """The next window where a region leaves one: shifted by up to STRIDE, away from its middle."""
        x, y = window.left + window.side / 2, window.top + window.side / 2
        farthest = max(abs(at.x - x), abs(at.y - y), 1)
        stride = STRIDE * window.side
        return self._placed(x + (at.x - x) / farthest * stride, y + (at.y - y) / farthest * stride, window.side)

    def _marked(self) -> Box:
        """The smallest box around the box and all clicks."""
        boxes = [Box(click.x, click.y, click.x + 1, click.y + 1) for click in self._clicks]
        return joined([*boxes, self._box] if self._box else boxes)

    def _around(self, box: Box, room: float, least: int = LEAST_SIDE) -> Window:
        """A window around a box, no larger than the photograph."""
        side = max(least, round(room * max(box.right - box.left, box.bottom - box.top)))
        return self._placed((box.left + box.right) / 2, (box.top + box.bottom) / 2,
                            min(side, max(self._image.shape[:2])))

    def _placed(self, x: float, y: float, side: int) -> Window:
        """A window with its middle at a place, but moved into the photograph; where it is larger, around it."""
        places = []
        for middle, length in ((x, self._image.shape[1]), (y, self._image.shape[0])):
            start = round(middle - side / 2)
            places.append(min(max(start, 0), length - side) if side <= length else (length - side) // 2)
        return Window(places[0], places[1], side)

    def _see(self, window: Window, before: np.ndarray | None, own: Click | None = None) -> np.ndarray:
        """The network's answer in a window, (SIZE, SIZE) float32; `own` is a click that nobody made."""
        scale = SIZE / window.side
        clicks = self._within(window, (*self._clicks, *([own] if own else [])))
        box = self._box and Box(*((side - start) * scale for side, start in
                                  zip(self._box, 2 * (window.left, window.top), strict=True)))
        previous = None if before is None else cut(before, window, SIZE, 0)
        image = cut(self._image, window, SIZE).astype(np.float32)
        maps = guidance((SIZE, SIZE), clicks, box, previous)
        return self._run(np.concatenate([image, maps], axis=-1)[None])[0, ..., 0]

    def _within(self, window: Window, clicks: Sequence[Click]) -> list[Click]:
        """Those clicks that lie in a window, in the network's pixels."""
        scale = SIZE / window.side
        return [Click((click.x + 0.5 - window.left) * scale, (click.y + 0.5 - window.top) * scale, click.positive)
                for click in clicks if _holds(window, click)]

    def _cut_off(self, content: np.ndarray, window: Window) -> bool:
        """Whether the region goes on outside of the window, within the photograph."""
        mask, (height, width) = content > 0.5, self._image.shape[:2]
        sides = ((mask[:, :2], window.left > 0), (mask[:, -2:], window.left + window.side < width),
                 (mask[:2], window.top > 0), (mask[-2:], window.top + window.side < height))
        return any(goes_on and bool(edge.any()) for edge, goes_on in sides)

    def _extent(self, content: np.ndarray, window: Window) -> Box:
        """The box around what was found in a window and what was marked, in pixels of the photograph."""
        scale = window.side / SIZE
        inside = [Click((click.x - window.left) / scale, (click.y - window.top) / scale) for click in self._positive]
        box, marked = box_around(pieces_clicked(content > 0.5, inside)), self._marked()
        if box is None:
            return marked
        return joined([marked, Box(window.left + box.left * scale, window.top + box.top * scale,
                                   window.left + box.right * scale, window.top + box.bottom * scale)])


def pieces_clicked(mask: np.ndarray, positive: Sequence[Click]) -> np.ndarray:
    """Keep the connected pieces of a bool mask (H, W) that positive clicks lie on; all where they lie on none."""
    box = box_around(mask)
    if box is None or not positive:
        return mask
    left, top, right, bottom = (int(value) for value in box)
    count, labels = cv2.connectedComponents(mask[top:bottom, left:right].astype(np.uint8), connectivity=8)
    meant = np.zeros(count, bool)
    for click in positive:
        if left <= click.x < right and top <= click.y < bottom:
            meant[labels[int(click.y) - top, int(click.x) - left]] = True
    meant[0] = False
    if not meant.any():
        return mask
    kept = np.zeros_like(mask)
    kept[top:bottom, left:right] = meant[labels]
    return kept


def _depth(mask: np.ndarray) -> float:
    """How far the deepest pixel of a bool mask is from its edge, in pixels."""
    return float(cv2.distanceTransform(np.pad(mask, 1).astype(np.uint8), cv2.DIST_L2, 3).max()) if mask.any() else 0.0


def _reaches_out(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether a mask touches the edge of a window where it did not before."""
    edge = np.ones(after.shape, bool)
    edge[2:-2, 2:-2] = False
    return bool((after & ~before & edge).any())


def _holds(window: Window, click: Click) -> bool:
    return window.left <= click.x < window.left + window.side and window.top <= click.y < window.top + window.side


def _way_out(seen: np.ndarray, probability: np.ndarray, reach: int) -> tuple[int, int] | None:
    """(x, y) of the surest pixel of the region that has unseen ones within `reach`; None where there is none."""
    near = cv2.dilate((~seen).astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
    sure = np.where(near & seen & (probability > 0.5), probability, 0)
    if not sure.any():
        return None
    y, x = divmod(int(sure.argmax()), sure.shape[1])
    return x, y
