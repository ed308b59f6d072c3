"""Colours of classes, masks drawn on photographs, and sheets of pictures."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .images import resize_image
from .masks import row_bands

__all__ = ["contact_sheet", "draw_heat", "draw_overlay", "hex_to_rgb", "palette"]


def palette(count: int) -> list[str]:
    """`count` distinct `#rrggbb` colours, evenly spaced in hue."""
    hues = (np.arange(count) * 180.0 / max(count, 1)).astype(np.uint8)
    hsv = np.stack([hues, np.full(count, 190, np.uint8), np.full(count, 235, np.uint8)], axis=-1)[None]
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0] if count else np.zeros((0, 3), np.uint8)
    return ["#" + bytes(colour).hex() for colour in rgb]


def hex_to_rgb(color: str) -> tuple[int, int, int]:
    """`"#43d4d0"` to (67, 212, 208)."""
    red, green, blue = bytes.fromhex(color.lstrip("#"))
    return red, green, blue


def draw_overlay(image_rgb: np.ndarray, colors: Sequence[str], outlined: np.ndarray | None = None,
                 filled: np.ndarray | None = None, opacity: float = 0.4) -> np.ndarray:
    """Draw masks on a copy of an image.

    Args:
        image_rgb: (H, W, 3) uint8.
        colors: `#rrggbb` of each channel.
        outlined: (H, W, C) bool, drawn as outlines.
        filled: (H, W, C) bool, drawn as translucent areas.
        opacity: of the filled areas, 0..1.
    """
    canvas = image_rgb.copy()
    for channel, color in enumerate(colors):
        rgb = np.array(hex_to_rgb(color))
        if filled is not None:
            for rows in row_bands(canvas.shape):
                inside, band = filled[rows, :, channel], canvas[rows]
                band[inside] = np.rint(band[inside] * (1 - opacity) + rgb * opacity).astype(np.uint8)
    thickness = max(1, round(max(image_rgb.shape[:2]) / 400))
    for channel, color in enumerate(colors):
        if outlined is not None and outlined[..., channel].any():
            contours, _ = cv2.findContours(outlined[..., channel].astype(np.uint8), cv2.RETR_EXTERNAL,
                                           cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(canvas, contours, -1, hex_to_rgb(color), thickness)
    return canvas


def draw_heat(image_rgb: np.ndarray, probability_hw: np.ndarray, opacity: float = 0.75) -> np.ndarray:
    """Draw probabilities on a copy of an image: clear at 0, over yellow to red at 1.

    Args:
        image_rgb: (H, W, 3) uint8.
        probability_hw: (H, W) in 0..1.
        opacity: at a probability of 1, 0..1.
    """
    canvas = image_rgb.copy()
    for rows in row_bands(canvas.shape):
        heat = probability_hw[rows, :, None].astype(np.float32)
        colors = np.concatenate([np.full_like(heat, 255), 255 * (1 - heat), np.zeros_like(heat)], axis=-1)
        canvas[rows] = np.rint(canvas[rows] * (1 - opacity * heat) + colors * opacity * heat).astype(np.uint8)
    return canvas


def contact_sheet(pictures: Sequence[np.ndarray], columns: int, cell_hw: tuple[int, int],
                  captions: Sequence[str] = ()) -> np.ndarray:
    """Lay (H, W, 3) uint8 pictures out in a grid, each fitted into `cell_hw` with its shape kept, on dark grey."""
    caption_height = 18 if captions else 0
    step_h, step_w = cell_hw[0] + caption_height + 6, cell_hw[1] + 6
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * step_h + 6, columns * step_w + 6, 3), 32, np.uint8)
    for index, picture in enumerate(pictures):
        scale = min(cell_hw[0] / picture.shape[0], cell_hw[1] / picture.shape[1])
        small = resize_image(picture, [max(1, round(length * scale)) for length in picture.shape[:2]])
        top, left = 6 + index // columns * step_h, 6 + index % columns * step_w
        sheet[top:top + small.shape[0], left:left + small.shape[1]] = small
        if captions:
            cv2.putText(sheet, captions[index][:cell_hw[1] // 7], (left, top + cell_hw[0] + 13),
                        cv2.FONT_HERSHEY_SIMPLEX, 0.4, (225, 225, 225), 1, cv2.LINE_AA)
    return sheet
