"""Photographs of a chessboard, drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ss_poc.core.images import save_image


def write_chart(path: Path, side: int = 20, matrix: np.ndarray | None = None) -> None:
    """A chart of 10 x 7 squares with a white margin of 10 pixels: 220 x 180 where a square has 20."""
    squares = np.indices((7, 10)).sum(axis=0) % 2 * 255
    board = np.kron(squares, np.ones((side, side))).astype(np.uint8)
    grey = np.pad(board, ((20, 20), (10, 10)), constant_values=255)
    if matrix is not None:
        grey = cv2.warpPerspective(grey, matrix, (grey.shape[1] + 80, grey.shape[0] + 80), borderValue=255)
    save_image(path, np.repeat(grey[..., None], 3, axis=-1))
