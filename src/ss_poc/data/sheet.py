"""A picture of a data set: photographs of each class with their regions, and a legend."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from ..core import images
from ..core.drawing import draw_overlay, hex_to_rgb
from .dataset import Dataset, Sample

__all__ = ["draw_sheet", "draw_workpieces"]

# Photographs on the sheet, and how many of them are clean, where there are enough.
PICTURES = 24
CLEAN_PICTURES = 4
# Lengths in pixels.
SHEET_WIDTH, ROW_HEIGHT, GAP, CAPTION_HEIGHT = 1500, 230, 8, 20
# Width over height of a cell; a longer picture is fitted into it.
NARROWEST, WIDEST = 0.5, 4.0
FONT = cv2.FONT_HERSHEY_SIMPLEX
BACKGROUND, TEXT = 32, (225, 225, 225)


def draw_sheet(dataset: Dataset) -> np.ndarray:
    """Draw up to 24 photographs in rows (more only where classes need more), regions filled.

    File names are below the photographs, a legend is above all.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    counts = [sum(channel in sample.classes for sample in dataset.samples) for channel in range(len(dataset.labels))]
    names = [f"{label} ({count})" for label, count in zip(dataset.labels, counts, strict=True)]
    clean = sum(not sample.regions for sample in dataset.samples)
    strips = [_draw_row(row, dataset) for row in _rows(_choose(dataset))]
    legend = _legend([*names, f"clean ({clean})"] if clean else names, dataset.colors)
    return np.concatenate([legend, *strips])


def draw_workpieces(dataset: Dataset, workpieces: Iterable[Iterable[str]], row_height: int = ROW_HEIGHT) -> np.ndarray:
    """Draw photographs with their regions, those of a workpiece side by side, a row for each workpiece.

    Args:
        dataset: that holds the photographs.
        workpieces: names of photographs, by workpiece.
        row_height: of the photographs, in pixels.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    rows = [dataset.samples_of(names) for names in workpieces]
    width = max(GAP + sum(int(row_height * _ratio(sample)) + GAP for sample in row) for row in rows)
    strips = [np.full((GAP, SHEET_WIDTH, 3), BACKGROUND, np.uint8),
              *(_draw_row(row, dataset, row_height) for row in rows)]
    return np.ascontiguousarray(np.concatenate(strips)[:, :width])


def _rows(samples: Iterable[Sample]) -> list[list[Sample]]:
    """Break samples into rows that fill the sheet's width at about the same height."""
    rows: list[list[Sample]] = [[]]
    for sample in samples:
        if rows[-1] and _row_height(rows[-1]) <= ROW_HEIGHT:
            rows.append([])
        rows[-1].append(sample)
    return rows


def _row_height(row: Sequence[Sample]) -> float:
    return (SHEET_WIDTH - GAP * (len(row) + 1)) / sum(map(_ratio, row))


def _ratio(sample: Sample) -> float:
    return min(max(sample.size_hw[1] / sample.size_hw[0], NARROWEST), WIDEST)


def _draw_row(row: Sequence[Sample], dataset: Dataset, highest: int = ROW_HEIGHT) -> np.ndarray:
    height = int(min(_row_height(row), highest))
    strip = np.full((height + CAPTION_HEIGHT + GAP, SHEET_WIDTH, 3), BACKGROUND, np.uint8)
    left = GAP
    for sample in row:
        width = int(height * _ratio(sample))
        picture = _draw(sample, dataset, (height, width))
        top, start = (height - picture.shape[0]) // 2, left + (width - picture.shape[1]) // 2
        strip[top:top + picture.shape[0], start:start + picture.shape[1]] = picture
        cv2.putText(strip, _shorten(sample.name, width), (left, height + 15), FONT, 0.4, TEXT, 1, cv2.LINE_AA)
        left += width + GAP
    return strip


def _choose(dataset: Dataset) -> list[Sample]:
    """Photographs of each class in turn, then clean ones; scattered, but the same every time."""
    scattered = sorted(dataset.samples, key=lambda sample: sample.digest)
    clean = [sample for sample in scattered if not sample.regions]
    rows = [[sample for sample in scattered if channel in sample.classes] for channel in range(len(dataset.labels))]
    room = max(PICTURES - min(len(clean), CLEAN_PICTURES), len(rows))
    turns = [row[index] for index in range(max(map(len, rows))) for row in rows if index < len(row)]
    marked = list({sample.name: sample for sample in turns}.values())[:room]
    marked.sort(key=lambda sample: (sorted(sample.classes), sample.name))
    return marked + clean[:max(PICTURES - len(marked), 0)]


def _draw(sample: Sample, dataset: Dataset, cell_hw: tuple[int, int]) -> np.ndarray:
    """A photograph fitted into a cell, regions filled and outlined; those of a large one grow by a pixel."""
    scale = min(cell_hw[0] / sample.size_hw[0], cell_hw[1] / sample.size_hw[1])
    height, width = (max(1, round(side * scale)) for side in sample.size_hw)
    mask = sample.mask(len(dataset.labels))
    small = np.zeros((height, width, mask.shape[2]), bool)
    for channel in sample.classes:
        layer = cv2.resize(mask[..., channel].astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0
        small[..., channel] = cv2.dilate(layer.astype(np.uint8), np.ones((3, 3), np.uint8)) if scale < 0.5 else layer
    return draw_overlay(images.resize_image(sample.image(), (height, width)), dataset.colors, small, small)


def _shorten(name: str, width: int) -> str:
    """As much of the end of a name as fits into `width` pixels."""
    short = name
    while len(name) > 1 and cv2.getTextSize(short, FONT, 0.4, 1)[0][0] > width:
        name = name[1:]
        short = "..." + name
    return short


def _legend(names: Sequence[str], colors: Sequence[str]) -> np.ndarray:
    """Strip of swatches and names, (H, W, 3) uint8, as many lines as they need; a name without colour gets a frame."""
    places, left, line = [], GAP, 0
    for name in names:
        length = cv2.getTextSize(name, FONT, 0.55, 1)[0][0]
        if left + length + 24 > SHEET_WIDTH and left > GAP:
            left, line = GAP, line + 1
        places.append((left, 10 + 26 * line))
        left += length + 54
    strip = np.full((26 * line + 36, SHEET_WIDTH, 3), BACKGROUND, np.uint8)
    for index, (name, (x, y)) in enumerate(zip(names, places, strict=True)):
        color, thickness = (hex_to_rgb(colors[index]), -1) if index < len(colors) else (TEXT, 1)
        cv2.rectangle(strip, (x, y), (x + 16, y + 16), color, thickness)
        cv2.putText(strip, name, (x + 24, y + 14), FONT, 0.55, TEXT, 1, cv2.LINE_AA)
    return strip
