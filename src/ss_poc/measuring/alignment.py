"""Where a part lies: a photograph against that of a reference part, so that regions follow the part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..core.errors import ConfigError, SegmentError
from ..core.images import decode_image

__all__ = ["NotAlignedError", "Reference"]

# Photographs are compared at this length of their longer side, by so many features.
LONGEST, FEATURES = 800, 1500
# A feature must be so much nearer to its match than to the next best one (Lowe's ratio).
RATIO = 0.75
# Of all matches at least this fraction must agree; so many pixels is how far a match that agrees may be off.
LEAST_AGREEING, FURTHEST = 0.3, 3.0
# A part is at most so many times larger or smaller than the reference.
MOST_SCALE = 2.0


class NotAlignedError(SegmentError):
    """A photograph on which the reference part is not found well enough."""


@dataclass(frozen=True, eq=False)
class Reference:
    """The photograph that regions were drawn on.

    Attributes:
        size_hw: its size.
        points: (n, 2) float32, where its features are: x, y in pixels from its upper left corner.
        descriptors: (n, 128) float32, what they look like.
        inliers: so many matches must agree at least.
        error: mean distance at which they may miss, in pixels of a photograph whose longer side has LONGEST of them.
    """

    size_hw: tuple[int, int]
    points: np.ndarray
    descriptors: np.ndarray
    inliers: int
    error: float

    @classmethod
    def read(cls, path: Path, inliers: int, error: float) -> Reference:
        """Read the reference.

        Raises:
            ConfigError: it shows too little to be found again.
            ImageError: it cannot be read.
        """
        image = decode_image(path)
        points, descriptors, _ = _features(image)
        if len(points) < inliers:
            raise ConfigError(f"{path.name} has {len(points)} features to be found again by", f"at least {inliers}",
                              "take a photograph that shows edges, holes or letters of the part, or do without align")
        return cls((image.shape[0], image.shape[1]), points, descriptors, inliers, error)

    def find(self, image_rgb: np.ndarray) -> np.ndarray:
        """Find the part on a photograph.

        Args:
            image_rgb: (H, W, 3) uint8.

        Returns:
            (3, 3) float64 homography, from pixels of the reference to pixels of the photograph.

        Raises:
            NotAlignedError: too few matches agree, they miss by too much, or the part would be bent or mirrored.
        """
        points, descriptors, scale = _features(image_rgb)
        pairs = _matches(self.descriptors, descriptors)
        if len(pairs) < max(4, self.inliers):
            raise self._refused(f"only {len(pairs)} features match")
        here, there = self.points[pairs[:, 0]], points[pairs[:, 1]]
        homography, chosen = cv2.findHomography(here, there, cv2.RANSAC, FURTHEST / scale, maxIters=5000,
                                                confidence=0.999)
        agreeing = chosen.ravel() > 0 if homography is not None else np.zeros(len(pairs), bool)
        if agreeing.sum() < max(self.inliers, LEAST_AGREEING * len(pairs)):
            raise self._refused(f"only {agreeing.sum()} of {len(pairs)} matches agree")
        mapped = cv2.perspectiveTransform(here[None, agreeing].astype(np.float64), homography)[0]
        error = float(np.linalg.norm(mapped - there[agreeing], axis=1).mean()) * scale
        if error > self.error:
            raise self._refused(f"the matches miss by {error:.1f} px")
        if not _plausible(homography, self.size_hw):
            raise self._refused("the part would be bent, mirrored or of another size")
        found: np.ndarray = homography
        return found

    def _refused(self, what: str) -> NotAlignedError:
        return NotAlignedError(f"the part is not found as on the reference: {what}",
                               f"at least {self.inliers} matches and {LEAST_AGREEING:.0%} of them that agree, to "
                               f"{self.error:g} px", "see whether the part lies in the picture as on the reference")


def _features(image_rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Points (n, 2) in pixels of the photograph, their descriptors, and the scale at which they were looked for."""
    scale = min(1.0, LONGEST / max(image_rgb.shape[:2]))
    grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        grey = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    # Whichever levels a photograph of 16 bits was decoded with, its features are alike.
    grey = cv2.normalize(grey, np.empty_like(grey), 0, 255, cv2.NORM_MINMAX)
    points, descriptors = cv2.SIFT.create(FEATURES).detectAndCompute(grey, None)
    if descriptors is None:
        return np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32), scale
    # OpenCV counts from the middle of the first pixel, polygons from its corner.
    places = (np.array([point.pt for point in points], np.float32) + 0.5) / scale
    return places.astype(np.float32), descriptors, scale


def _matches(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pairs of features that are alike, (n, 2) numbers in `one` and `other`; each of `other` at most once."""
    if len(other) < 2:
        return np.zeros((0, 2), int)
    best: dict[int, tuple[float, int]] = {}
    for first, second in cv2.BFMatcher(cv2.NORM_L2).knnMatch(one, other, k=2):
        if first.distance < RATIO * second.distance:
            best[first.trainIdx] = min(best.get(first.trainIdx, (np.inf, 0)), (first.distance, first.queryIdx))
    return np.array([(number, there) for there, (_, number) in best.items()], int).reshape(-1, 2)


def _plausible(homography: np.ndarray, size_hw: tuple[int, int]) -> bool:
    """Whether a homography turns the reference into a convex shape that is not mirrored, and about as large."""
    height, width = size_hw
    corners = np.array([[(0, 0), (width, 0), (width, height), (0, height)]], np.float64)
    if (homography @ np.vstack([corners[0].T, np.ones(4)]))[2].min() <= 0:
        return False
    mapped = cv2.perspectiveTransform(corners, homography)[0].astype(np.float32)
    area = cv2.contourArea(mapped, oriented=True) / (height * width)
    return bool(cv2.isContourConvex(mapped) and 1 / MOST_SCALE ** 2 <= area <= MOST_SCALE ** 2)
