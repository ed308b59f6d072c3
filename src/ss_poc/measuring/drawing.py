"""What was measured, drawn on a photograph."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .judge import Judgement

__all__ = ["draw_judgement"]

# So many objects have their figures beside them: more could not be read.
MOST_LABELLED = 20
WHITE, GREY, BLACK = (255, 255, 255), (128, 128, 128), (0, 0, 0)


def draw_judgement(image_rgb: np.ndarray, judged: Judgement) -> np.ndarray:
    """Draw the region (white), what is ignored (grey), and length and width of the largest objects.

    Args:
        image_rgb: (H, W, 3) uint8; it is not changed.
        judged: what rules say of it.
    """
    canvas = image_rgb.copy()
    thickness = max(1, round(max(canvas.shape[:2]) / 400))
    if judged.regions:
        for polygons, color in ((judged.regions.region, WHITE), (judged.regions.ignore, GREY)):
            for polygon in polygons:
                corners = np.rint(np.reshape(polygon, (-1, 2)) - 0.5).astype(np.int32)
                cv2.polylines(canvas, [corners], True, color, thickness)
    for measured in judged.measurements:
        for item in measured["each"][:MOST_LABELLED]:
            text = f"{item['length']:.3g} x {item['width']:.2g} {measured['unit']}"
            _write(canvas, text, item["bbox"])
    return canvas


def _write(canvas: np.ndarray, text: str, bbox: Sequence[int]) -> None:
    """Write in white on black: below an object, or above it where there is no room."""
    height, width = canvas.shape[:2]
    scale = max(0.35, max(height, width) / 1500)
    (text_width, text_height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x = max(0, min(bbox[0], width - text_width - 2))
    y = bbox[1] + bbox[3] + text_height + 3
    if y + below > height:
        y = max(text_height + 1, bbox[1] - 2 - below)
    cv2.rectangle(canvas, (x, y - text_height), (x + text_width, y + below - 1), BLACK, cv2.FILLED)
    cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, WHITE, 1, cv2.LINE_AA)
