"""The middle line of an object, and its length.

scikit-image's `skeletonize` would need SciPy and scikit-image (90 MB) where the service and the line run, and OpenCV's
`ximgproc.thinning` is not in its main package: so Guo and Hall's thinning (1989) is written out here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

__all__ = ["length_of", "thinned"]

# The eight neighbours of a pixel, clockwise from above it: rows, columns.
RING = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
# Length is taken in chords of so many pixels: steps from pixel to pixel make a slanting line up to 8 % too long.
CHORD = 6
# A branch that is no longer than the width where it begins, so many halves of it, is a tooth of the outline.
LEAST_BRANCH = 2
# Larger objects are measured at a half, a third, … of their resolution: thinning takes 0.3 s for a million pixels.
MOST_PIXELS = 100_000


def _removable(turn: int) -> np.ndarray:
    """Whether a pixel may go in a turn, by which of its neighbours are set: (256,) bool."""
    above, right_above, right, right_below, below, left_below, left, left_above = (
        (np.arange(256) >> bit & 1).astype(bool) for bit in range(8))
    changes = sum((~one & (two | three)).astype(int) for one, two, three in (
        (above, right_above, right), (right, right_below, below), (below, left_below, left), (left, left_above, above)))
    odd = sum((one | two).astype(int) for one, two in (
        (left_above, above), (right_above, right), (right_below, below), (left_below, left)))
    even = sum((one | two).astype(int) for one, two in (
        (above, right_above), (right, right_below), (below, left_below), (left, left_above)))
    kept = ((below | left_below | ~left_above) & left) if turn == 0 else ((above | right_above | ~right_below) & right)
    neighbours = np.minimum(odd, even)
    found: np.ndarray = (changes == 1) & (neighbours >= 2) & (neighbours <= 3) & ~kept
    return found


REMOVABLE = (_removable(0), _removable(1))


def thinned(mask_hw: np.ndarray) -> np.ndarray:
    """Thin a mask to lines of one pixel that hang together as it does.

    Args:
        mask_hw: (H, W) bool.

    Returns:
        (H, W) bool.
    """
    padded = np.pad(mask_hw.astype(np.uint8), 1)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8))
    flat, ring = padded.ravel(), np.array([row * padded.shape[1] + column for row, column in RING])
    stamp = np.zeros(flat.size, np.int32)
    # For each turn the pixels whose neighbours have changed since it last looked at them.
    waiting = [np.flatnonzero((padded > 0) & (inner == 0))] * 2
    turn = 0
    while len(waiting[0]) or len(waiting[1]):
        looked_at = waiting[turn]
        around = np.packbits(flat[looked_at[:, None] + ring], axis=1, bitorder="little").ravel()
        gone = looked_at[REMOVABLE[turn][around]]
        flat[gone] = 0
        near = (gone[:, None] + ring).ravel()
        other = np.concatenate([waiting[1 - turn], near])
        waiting = [_once(near[flat[near] > 0], stamp), _once(other[flat[other] > 0], stamp)]
        if turn:
            waiting.reverse()
        turn = 1 - turn
    return padded[1:-1, 1:-1].astype(bool)


def _once(pixels: np.ndarray, stamp: np.ndarray) -> np.ndarray:
    """Numbers of pixels, each once; `stamp` has room for every pixel."""
    stamp[pixels] = np.arange(len(pixels))
    once: np.ndarray = pixels[stamp[pixels] == np.arange(len(pixels))]
    return once


def length_of(mask_hw: np.ndarray) -> float:
    """Length of one object in pixels: along its skeleton, all branches together, to its ends.

    Args:
        mask_hw: (H, W) bool, one connected component.

    Returns:
        At least the width of its widest place; 1 for a single pixel, 0 for none.
    """
    factor = math.ceil(math.sqrt(np.count_nonzero(mask_hw) / MOST_PIXELS))
    if not factor:
        return 0.0
    return factor * _length(mask_hw if factor == 1 else _reduced(mask_hw, factor))


def _reduced(mask_hw: np.ndarray, factor: int) -> np.ndarray:
    """A smaller mask: a pixel is set where one of `factor` x `factor` is, so what hangs together still does."""
    height, width = mask_hw.shape
    padded = np.pad(mask_hw, ((0, -height % factor), (0, -width % factor)))
    return np.asarray(padded.reshape(len(padded) // factor, factor, -1, factor).any(axis=(1, 3)))


def _length(mask_hw: np.ndarray) -> float:
    # Half of the width at each pixel: from its middle to where the object ends.
    half = cv2.distanceTransform(np.pad(mask_hw.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) - 0.5
    places = np.argwhere(np.pad(thinned(mask_hw), 1))
    depth = half[places[:, 0], places[:, 1]]
    neighbours = _neighbours(places)
    kept: list[tuple[list[int], float]] = []
    for branch in _branches(neighbours):
        length = _chords(places[branch])
        ends = [len(neighbours[branch[0]]), len(neighbours[branch[-1]])]
        inner = branch[0] if ends[0] > 1 else branch[-1]
        if sorted(ends)[0] == 1 and max(ends) > 2 and length <= LEAST_BRANCH * depth[inner]:
            continue
        kept.append((branch, length))
    at_node = np.bincount([end for branch, _ in kept for end in (branch[0], branch[-1])], minlength=len(places))
    return max(sum(length for _, length in kept) + float(depth[at_node == 1].sum()), 2 * float(half.max()))


def _neighbours(places: np.ndarray) -> list[list[int]]:
    """For each pixel of a skeleton its neighbours; one across a corner only where no other pixel leads there."""
    plane = np.full(places.max(axis=0) + 2, -1)
    plane[places[:, 0], places[:, 1]] = np.arange(len(places))
    found: list[list[int]] = [[] for _ in places]
    for row, column in ((0, 1), (1, 0), (1, 1), (1, -1)):
        there = plane[places[:, 0] + row, places[:, 1] + column]
        linked = there >= 0
        if row and column:
            linked &= (plane[places[:, 0] + row, places[:, 1]] < 0) & (plane[places[:, 0], places[:, 1] + column] < 0)
        for one, other in zip(np.flatnonzero(linked).tolist(), there[linked].tolist(), strict=True):
            found[one].append(other)
            found[other].append(one)
    return found


def _branches(neighbours: list[list[int]]) -> Iterator[list[int]]:
    """The lines between ends and junctions, as numbers of pixels; then rings that have neither."""
    nodes = [number for number, near in enumerate(neighbours) if len(near) != 2]
    walked: set[tuple[int, int]] = set()
    seen = set(nodes)
    for start in nodes:
        for following in neighbours[start]:
            if (start, following) not in walked:
                branch = _walk(neighbours, start, following)
                walked.update(((branch[0], branch[1]), (branch[-1], branch[-2])))
                seen.update(branch)
                yield branch
    for start in range(len(neighbours)):
        if start not in seen:
            branch = _walk(neighbours, start, neighbours[start][0])
            seen.update(branch)
            yield branch


def _walk(neighbours: list[list[int]], start: int, following: int) -> list[int]:
    """From a pixel on along a line, to the next end or junction, or to where it began."""
    branch = [start, following]
    while len(neighbours[branch[-1]]) == 2 and branch[-1] != start:
        one, other = neighbours[branch[-1]]
        branch.append(other if one == branch[-2] else one)
    return branch


def _chords(line: np.ndarray) -> float:
    """Length of a line of pixels, (n, 2)."""
    corners = line[[*range(0, len(line) - 1, CHORD), len(line) - 1]]
    return float(np.linalg.norm(np.diff(corners, axis=0), axis=1).sum())
