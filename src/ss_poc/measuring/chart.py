"""How large a pixel is, from a photograph of a chessboard."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..core.errors import ConfigError
from ..core.images import decode_image

__all__ = ["millimetres_of"]

# Squares that differ by more than this fraction: the chart is not parallel to the camera.
MOST_OBLIQUE = 0.02
TO_DO = "photograph the whole chart flat where the parts lie, sharp and evenly lit, at right angles to the camera"


def millimetres_of(chart: Path, corners: tuple[int, int], square_mm: float) -> tuple[float, tuple[int, int]]:
    """Measure the chart.

    Args:
        chart: the photograph.
        corners: number of inner corners, where four squares meet: columns, rows; both at least 3.
        square_mm: side of a square in millimetres.

    Returns:
        Millimetres a pixel, and the photograph's (height, width).

    Raises:
        ConfigError: there is no such chessboard, or it is seen obliquely.
        ImageError: the photograph cannot be read.
    """
    grey = cv2.cvtColor(decode_image(chart), cv2.COLOR_RGB2GRAY)
    found, places = cv2.findChessboardCorners(grey, corners)
    if not found:
        raise ConfigError(f"no chessboard with {corners[0]}x{corners[1]} inner corners is on {chart.name}",
                          "a chart of which every square is seen",
                          f"count the corners where four squares meet; {TO_DO}")
    places = cv2.cornerSubPix(grey, places, (5, 5), (-1, -1),
                              (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 0.001))
    grid = places.reshape(corners[1], corners[0], 2).astype(np.float64)
    along, down = np.diff(grid, axis=1), np.diff(grid, axis=0)
    sides = [np.linalg.norm(steps, axis=-1).mean() for steps in (along[0], along[-1], down[:, 0], down[:, -1])]
    oblique = max(sides) / min(sides) - 1
    across = np.abs(_direction(along) @ _direction(down))
    if oblique > MOST_OBLIQUE or across > MOST_OBLIQUE:
        raise ConfigError(f"the chart on {chart.name} is seen obliquely: its squares measure {min(sides):.1f} to "
                          f"{max(sides):.1f} pixels, at an angle of {np.degrees(np.arccos(across)):.1f} degrees",
                          f"squares that differ by {MOST_OBLIQUE:.0%} at most, at 90 degrees", TO_DO)
    lengths = np.concatenate([np.linalg.norm(steps, axis=-1).ravel() for steps in (along, down)])
    return square_mm / float(lengths.mean()), (grey.shape[0], grey.shape[1])


def _direction(steps: np.ndarray) -> np.ndarray:
    mean = steps.reshape(-1, 2).mean(axis=0)
    found: np.ndarray = mean / np.linalg.norm(mean)
    return found
