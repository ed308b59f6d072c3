"""Where objects count: a region of interest, without what is to be ignored, on one photograph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..core.masks import polygons_to_mask

__all__ = ["Polygon", "Regions", "lay"]

# Corners (x, y) as fractions of a photograph's width and height, from its upper left corner.
Polygon = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Regions:
    """Regions as they lie on one photograph.

    Attributes:
        region: polygons, each `[x, y, x, y, …]` in pixels; none for the whole photograph.
        ignore: what is left out, the same way.
        size_hw: of the photograph.
    """

    region: tuple[tuple[float, ...], ...]
    ignore: tuple[tuple[float, ...], ...]
    size_hw: tuple[int, int]

    def counted(self) -> np.ndarray:
        """Pixels that count, (H, W) bool."""
        inside = self._inside()
        if self.ignore:
            inside &= ~polygons_to_mask(self.ignore, self.size_hw)
        return inside

    def to_edge(self) -> np.ndarray:
        """Pixels between each pixel and the edge of the region, (H, W) float32: 0 for one at the edge.

        Where the photograph ends, the region does; at what is ignored it does not.
        """
        distance = cv2.distanceTransform(np.pad(self._inside().view(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        found: np.ndarray = np.maximum(distance[1:-1, 1:-1] - 1, 0)
        return found

    def _inside(self) -> np.ndarray:
        return polygons_to_mask(self.region, self.size_hw) if self.region else np.ones(self.size_hw, bool)


def lay(region: Sequence[Polygon], ignore: Sequence[Polygon], size_hw: tuple[int, int],
        drawn_hw: tuple[int, int] | None = None, homography: np.ndarray | None = None) -> Regions:
    """Lay polygons on a photograph.

    Args:
        region, ignore: polygons.
        size_hw: of the photograph.
        drawn_hw: size of the reference that they were drawn on; None for the photograph itself.
        homography: (3, 3), from pixels of the reference to pixels of the photograph.
    """
    scale = np.array((drawn_hw or size_hw)[::-1], np.float64)

    def laid(polygons: Sequence[Polygon]) -> tuple[tuple[float, ...], ...]:
        corners = [np.array(polygon) * scale for polygon in polygons]
        if homography is not None:
            corners = [cv2.perspectiveTransform(polygon[None], homography)[0] for polygon in corners]
        return tuple(tuple(polygon.ravel().tolist()) for polygon in corners)

    return Regions(laid(region), laid(ignore), size_hw)
