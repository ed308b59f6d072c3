"""What the photographs of the demo are drawn with: noise, distances, lines and shapes, all (H, W) of SIZE_HW.

Fields are float32, noise has mean 0 and standard deviation 1, angles are radians, lengths are pixels. A *fine shape* is
uint8 0 or 1, FINE times as high and as wide, so that its edges come out smooth.
"""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["SIZE_HW", "distance_from", "stroke", "fill", "fractal", "shrink", "ramp", "streaks", "wander",
           "where_positive"]

SIZE_HW = (240, 320)
FINE = 3
LEAST_SPECK = 24  # pixels; smaller pieces of a defect are neither drawn nor labelled


def fractal(random: np.random.Generator, cell: float, octaves: int = 4) -> np.ndarray:
    """Noise with features of `cell` pixels and of its halves, `octaves` sizes in all."""
    total = np.zeros(SIZE_HW, np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        grid = random.standard_normal((int(SIZE_HW[0] / step) + 3, int(SIZE_HW[1] / step) + 3), np.float32)
        total += cv2.resize(grid, SIZE_HW[::-1], interpolation=cv2.INTER_CUBIC) * 0.55**octave
    return (total - total.mean()) / total.std()


def streaks(random: np.random.Generator, length: int, angle: float, thickness: float) -> np.ndarray:
    """Noise drawn out to lines of `length` along `angle`."""
    noise = cv2.GaussianBlur(random.standard_normal(SIZE_HW, np.float32), (0, 0), thickness)
    kernel, reach = np.zeros((length | 1, length | 1), np.uint8), length / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = [np.rint((length // 2 + end) * 16).astype(int).tolist() for end in (-reach, reach)]
    cv2.line(kernel, ends[0], ends[1], 255, 1, cv2.LINE_AA, 4)
    drawn = cv2.filter2D(noise, -1, kernel / np.float32(kernel.sum()), borderType=cv2.BORDER_REFLECT)
    return (drawn - drawn.mean()) / drawn.std()


def ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    rise = np.clip((value - low) / (high - low), 0, 1)
    return rise * rise * (3 - 2 * rise)


def distance_from(centre_xy: np.ndarray, angle: float, stretch: float) -> np.ndarray:
    """Pixels from a centre, counted on ellipses turned by `angle` and longer by `stretch`."""
    rows, columns = np.mgrid[:SIZE_HW[0], :SIZE_HW[1]].astype(np.float32)
    across, down = columns - centre_xy[0], rows - centre_xy[1]
    along = across * np.cos(angle) + down * np.sin(angle)
    return np.hypot(along / stretch, down * np.cos(angle) - across * np.sin(angle)).astype(np.float32)


def wander(random: np.random.Generator, count: int, knots: int) -> np.ndarray:
    """`count` values that drift around 0, with `knots` changes of direction."""
    return np.interp(np.linspace(0, knots - 1, count), np.arange(knots), random.standard_normal(knots))


def stroke(points_xy: np.ndarray, widths: np.ndarray, shape: np.ndarray | None = None) -> np.ndarray:
    """A line through (N, 2) points, `widths` wide at each, as a fine uint8 shape: a new one, or added to `shape`."""
    shape = np.zeros((SIZE_HW[0] * FINE, SIZE_HW[1] * FINE), np.uint8) if shape is None else shape
    corners = np.rint((points_xy + 0.5) * FINE).astype(int).tolist()
    for start, end, width in zip(corners[:-1], corners[1:], widths[:-1], strict=True):
        cv2.line(shape, start, end, 1, max(1, round(float(width) * FINE)))
    return shape


def where_positive(field: np.ndarray) -> np.ndarray:
    """Where a field is positive, as a fine uint8 shape."""
    return (cv2.resize(field, None, fx=FINE, fy=FINE, interpolation=cv2.INTER_CUBIC) > 0).astype(np.uint8)


def shrink(fine: np.ndarray) -> np.ndarray:
    """A fine shape or field as (H, W) float32, each pixel the mean of its FINE x FINE ones."""
    return cv2.resize(fine.astype(np.float32), SIZE_HW[::-1], interpolation=cv2.INTER_AREA)


def fill(shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A fine shape, without its specks and holes, as coverage 0..1 and depth from its edge."""
    contours, _ = cv2.findContours(shape, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    kept = [contour for contour in contours if cv2.contourArea(contour) >= LEAST_SPECK * FINE**2]
    solid = cv2.drawContours(np.zeros_like(shape), kept, -1, 1, cv2.FILLED)
    return shrink(solid), shrink(cv2.distanceTransform(solid, cv2.DIST_L2, 5) / FINE)
