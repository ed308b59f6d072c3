"""What is in a labelled data set, what is wrong with it, and a picture of it."""

from __future__ import annotations

import argparse
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..core import images
from ..core.drawing import draw_overlay, hex_to_rgb
from ..formats.coco import RULES, Finding
from .dataset import Dataset, Sample, inspect_coco

__all__ = ["describe_dataset", "describe_findings", "draw_sheet", "main"]

PICTURES = 24
CLEAN_PICTURES = 4
EXAMPLES = 5
SHEET_WIDTH, ROW_HEIGHT, GAP, CAPTION_HEIGHT = 1500, 230, 8, 20
# Width over height of a cell; a longer picture is fitted into it.
NARROWEST, WIDEST = 0.5, 4.0
FONT = cv2.FONT_HERSHEY_SIMPLEX
BACKGROUND, TEXT = 32, (225, 225, 225)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; 1 where the data set must be refused, else 0."""
    options = _parser().parse_args(argv)
    if options.command == "rules":
        print("\n".join(f"{code:<24}{action:<13}{sentence}" for code, (action, sentence) in RULES.items()))
        return 0
    dataset, findings = inspect_coco(options.json, options.img_path, progress=True)
    if dataset:
        print(describe_dataset(dataset) + "\n")
    print(describe_findings(findings, None if options.all else EXAMPLES))
    if dataset is None:
        print(f"\nRefused: {options.json} cannot be trained on until what is marked 'refuse' is put right.")
        return 1
    images.save_image(options.output, draw_sheet(dataset))
    print(f"\nThis can be trained on. Look at the regions in {options.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ss_poc.data", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="check a data set", allow_abbrev=False)
    check.add_argument("json", type=Path, help="COCO json")
    check.add_argument("img_path", type=Path, help="folder of the images")
    check.add_argument("--output", type=_picture_path, default=Path("check.jpg"),
                       help="picture to write, .jpg or .png (default: %(default)s)")
    check.add_argument("--all", action="store_true", help=f"list every finding, not {EXAMPLES} of a kind")
    commands.add_parser("rules", help="print every rule: code, what is done, why", allow_abbrev=False)
    return parser


def _picture_path(text: str) -> Path:
    if Path(text).suffix.lower() not in (".jpg", ".png"):
        raise argparse.ArgumentTypeError(f"{text!r} should end in .jpg or .png")
    return Path(text)


def describe_dataset(dataset: Dataset) -> str:
    """Counts of a data set, and a row a class: images, regions, and area of a region in pixels and % of its image."""
    total, clean = len(dataset.samples), sum(not sample.regions for sample in dataset.samples)
    sizes = sorted(sample.size_hw for sample in dataset.samples)
    rows = [["class", "images", "regions", "area px: least", "median", "most", "% of image: least", "median", "most"]]
    for channel, label in enumerate(dataset.labels):
        found = [(region.area, sample) for sample in dataset.samples for region in sample.regions
                 if region.channel == channel]
        areas = [area for area, _ in found]
        parts = [100 * area / (sample.size_hw[0] * sample.size_hw[1]) for area, sample in found]
        rows.append([label, str(sum(channel in sample.classes for sample in dataset.samples)), str(len(found)),
                     *(f"{value:.0f}" for value in (min(areas), np.median(areas), max(areas))),
                     *(f"{value:.3g}" for value in (min(parts), np.median(parts), max(parts)))])
    return "\n".join([f"data set     {dataset.name}",
                      f"images       {total}: {total - clean} with regions, {clean} clean",
                      f"sizes        {sizes[0][0]}x{sizes[0][1]} to {sizes[-1][0]}x{sizes[-1][1]} (height x width)",
                      f"regions      {sum(len(sample.regions) for sample in dataset.samples)}",
                      f"fingerprint  {dataset.fingerprint[:16]}", "", _table(rows)])


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(_width(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        spaces = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0] + spaces[0], *map("".join, zip(spaces[1:], row[1:], strict=True))]))
    return "\n".join(lines)


def _width(text: str) -> int:
    # Korean, Chinese and Japanese characters take two columns of a terminal.
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def describe_findings(findings: Iterable[Finding], examples: int | None) -> str:
    """Findings by rule: how many, what was done and why, and the first `examples` of each (None: all)."""
    kinds: dict[str, list[Finding]] = {}
    for item in findings:
        kinds.setdefault(item.code, []).append(item)
    if not kinds:
        return "findings: none"
    lines = [f"findings: {sum(map(len, kinds.values()))}"]
    for code, found in kinds.items():
        lines += ["", f"{code}: {len(found)} ({RULES[code][0]})", f"  {RULES[code][1]}"]
        lines += [f"    {item.where}: {item.detail}" for item in found[:examples]]
        if examples is not None and len(found) > examples:
            lines.append(f"    … and {len(found) - examples} more; --all lists them")
    return "\n".join(lines)


def draw_sheet(dataset: Dataset) -> np.ndarray:
    """Rows of up to 24 photographs (more only where classes need more), regions filled; file names below, legend above.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    counts = [sum(channel in sample.classes for sample in dataset.samples) for channel in range(len(dataset.labels))]
    names = [f"{label} ({count})" for label, count in zip(dataset.labels, counts, strict=True)]
    clean = sum(not sample.regions for sample in dataset.samples)
    strips = [_draw_row(row, dataset) for row in _rows(_choose(dataset))]
    legend = _legend([*names, f"clean ({clean})"] if clean else names, dataset.colors)
    return np.concatenate([legend, *strips])


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


def _draw_row(row: Sequence[Sample], dataset: Dataset) -> np.ndarray:
    height = int(min(_row_height(row), ROW_HEIGHT))
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
