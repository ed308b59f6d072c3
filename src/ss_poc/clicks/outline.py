"""The outline of a mask with few corners, for people to drag."""

from __future__ import annotations

import cv2
import numpy as np

from ..core.masks import bounding_box, mask_to_polygons, polygons_to_mask

__all__ = ["outline_of"]

# How far corners may move the outline, in pixels for a region of 100 x 100: a person drags them by more than that. A
# larger region has coarser ones. LEAST and MOST in pixels.
TOLERANCE, LEAST, MOST = 1.0, 0.7, 4.0
# What the coarse outline must share with the mask; else the exact one is given.
LEAST_IOU = 0.95


def outline_of(mask_hw: np.ndarray) -> list[list[float]]:
    """Outline an (H, W) bool mask by COCO polygons with as few corners as LEAST_IOU allows; holes are dropped.

    Corners are chosen by Douglas-Peucker (OpenCV's approxPolyDP).

    Returns:
        [[x, y, x, y, …], …] in pixels, the largest first; none for an empty mask.
    """
    place = bounding_box(mask_hw)
    if place is None:
        return []
    # One column and row more: a corner may lie on the border of the last pixel.
    part = np.pad(mask_hw[place], ((0, 1), (0, 1)))
    exact = sorted(mask_to_polygons(part), key=lambda polygon: -_area(polygon))
    whole = polygons_to_mask(exact, part.shape)
    tolerance = float(np.clip(TOLERANCE * np.sqrt(np.count_nonzero(part)) / 100, LEAST, MOST))
    fewer = [polygon for polygon in (_fewer(item, tolerance) for item in exact) if len(polygon) >= 6]
    rough = polygons_to_mask(fewer, part.shape) if fewer else np.zeros_like(whole)
    chosen = fewer if (rough & whole).sum() >= LEAST_IOU * (rough | whole).sum() else exact
    offset = np.array([place[1].start, place[0].start], float)
    return [(np.reshape(polygon, (-1, 2)) + offset).ravel().tolist() for polygon in chosen]


def _fewer(polygon: list[float], tolerance: float) -> list[float]:
    points = np.array(polygon, np.float32).reshape(-1, 1, 2)
    found: list[float] = cv2.approxPolyDP(points, tolerance, True).astype(float).ravel().tolist()
    return found


def _area(polygon: list[float]) -> float:
    return abs(cv2.contourArea(np.array(polygon, np.float32).reshape(-1, 1, 2)))
