"""The region of an annotation: polygons or RLE, checked before anything is rasterised."""

from __future__ import annotations

import ast
import re
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import DataError
from ..core.masks import polygons_area, rle_counts
from .coco_rules import MAX_OUTLINE, MAX_POINTS, Problem, show

__all__ = ["Shape", "read_shape"]


@dataclass(frozen=True)
class Shape:
    """The checked outline of a region.

    Attributes:
        polygons: x, y, x, y, … in pixels each; None for an RLE.
        rle: COCO RLE; None for polygons.
        area: in pixels, inside the image.
        notes: `(code, detail)` of the rules that say what is odd about a region that is used.
    """

    polygons: tuple[array[float], ...] | None
    rle: dict[str, Any] | None
    area: int
    notes: tuple[tuple[str, str], ...] = ()


def read_shape(values: Mapping[str, Any], size_hw: tuple[int, int]) -> Shape:
    """Check the segmentation of an annotation. Nothing is rasterised before its size is known to be sane.

    Args:
        values: the annotation as the json has it, with polygons, one flat polygon, or an RLE, compressed or not.
        size_hw: (height, width) of its image.

    Raises:
        Problem: the rule it breaks.
    """
    given = values.get("segmentation")
    if isinstance(given, Mapping):
        return _read_rle(given, size_hw)
    if isinstance(given, list) and given and not any(isinstance(item, (list, array, Mapping)) for item in given):
        given = [given]
    if given is not None and not isinstance(given, list):
        raise Problem("polygon-invalid", f"segmentation is {show(given)}; expected polygons or RLE")
    if values.get("unusable"):
        raise Problem("shape-unusable", f"{values['unusable']}; expected an outline")
    strays = [item for item in given or () if _is_stray(item)]
    polygons = tuple(_read_polygon(item, size_hw) for item in given or () if item != [] and item not in strays)
    if not polygons:
        if _has_box(values):
            raise Problem("box-only", f"bbox is {show(values.get('bbox'))}, no segmentation; expected an outline")
        raise Problem("region-empty", "neither segmentation nor bbox")
    area = polygons_area(polygons, size_hw)
    points = np.concatenate([np.reshape(polygon, (-1, 2)) for polygon in polygons])
    extent = np.array([size_hw[1], size_hw[0]])
    reach = max(float(np.max(-points)), float(np.max(points - extent)))
    if not area:
        inside = any(_touches(np.reshape(polygon, (-1, 2)), extent) for polygon in polygons)
        code = "region-no-pixel" if inside else "region-outside"
        raise Problem(code, f"{len(polygons)} polygon(s), {len(points)} points; expected to cover a pixel")
    notes = [("region-clipped", f"reaches {reach:.1f} px out of the image; expected 0")] if reach > 1 else []
    if strays:
        notes.append(("stray-point", f"{show(strays[0])} beside {len(polygons)} polygon(s); expected 3 points or more"))
    if values.get("isbbox") is True:
        notes.append(("box-as-region", "isbbox is true; expected an outline"))
    return Shape(polygons, None, area, tuple(notes))


def _is_stray(item: Any) -> bool:
    """Whether a polygon is one or two points, which coco-annotator adds by itself where somebody clicks twice."""
    return (isinstance(item, (list, array)) and len(item) in (2, 4)
            and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in item))


def _has_box(values: Mapping[str, Any]) -> bool:
    box = values.get("bbox")
    numbers = [item for item in box if isinstance(item, (int, float))] if isinstance(box, list) else []
    return (len(numbers) == 4 and numbers[2] > 0 and numbers[3] > 0) or bool(values.get("isbbox"))


def _touches(points: np.ndarray, extent: np.ndarray) -> bool:
    return bool(np.all(points.min(axis=0) < extent) and np.all(points.max(axis=0) > 0))


def _read_polygon(given: Any, size_hw: tuple[int, int]) -> array[float]:
    if not isinstance(given, (list, array)):
        raise Problem("polygon-invalid", f"a polygon is {show(given)}; expected a list of numbers")
    if len(given) > 2 * MAX_POINTS:
        raise Problem("polygon-too-large", f"a polygon has {len(given) // 2} points; expected at most {MAX_POINTS}")
    if isinstance(given, list) and not set(map(type, given)) <= {int, float}:  # a bool is no number here
        raise Problem("polygon-invalid", f"a polygon is {show(given)}; expected numbers")
    if len(given) < 6 or len(given) % 2:
        raise Problem("polygon-invalid", f"a polygon has {len(given)} values; expected 6, 8, 10, …")
    try:
        points = np.array(given, float).reshape(-1, 2)
    except OverflowError:
        points = np.array([[np.inf, np.inf]])
    if not np.isfinite(points).all():
        raise Problem("polygon-not-finite", "a polygon holds NaN or infinity; expected coordinates in pixels")
    extent = np.array([size_hw[1], size_hw[0]])
    if np.any(points < -extent) or np.any(points > 2 * extent):
        worst = points[np.argmax(np.max(np.abs(points - extent / 2) / extent, axis=1))]
        raise Problem("polygon-far-outside", f"a point is at x={worst[0]:g}, y={worst[1]:g}; expected it in the image "
                                             f"of {size_hw[0]}x{size_hw[1]} (height x width)")
    outline = float(np.sum(np.max(np.abs(points - np.roll(points, 1, axis=0)), axis=1) + 1))
    if outline > MAX_OUTLINE:
        raise Problem("polygon-too-large", f"an outline is {outline:.0f} px long; expected at most {MAX_OUTLINE}")
    return array("d", given)


def _read_rle(given: Mapping[str, Any], size_hw: tuple[int, int]) -> Shape:
    height, width = size_hw
    if given.get("size") != [height, width]:
        raise Problem("rle-invalid", f"RLE size is {show(given.get('size'))}; expected [{height}, {width}]")
    counts = given.get("counts", "")
    if isinstance(counts, str) and re.fullmatch(r"b'.*'|b\".*\"", counts, re.DOTALL):  # Python's bytes, written as text
        counts = _bytes_of(counts)
    try:
        runs = rle_counts(counts)
    except DataError as error:
        raise Problem("rle-invalid", f"{error.what}; expected {error.expected}") from None
    total = sum(runs)
    if total != height * width:
        met = str(total) if total < 10**12 else "more than any image has"
        raise Problem("rle-invalid", f"RLE runs sum to {met}; expected {height} x {width} = {height * width}")
    area = sum(runs[1::2])
    if not area:
        raise Problem("region-no-pixel", "an RLE without a pixel; expected to cover one")
    return Shape(None, {"size": [height, width], "counts": counts}, area)


def _bytes_of(text: str) -> str:
    try:
        return str(ast.literal_eval(text), "ascii")
    except (ValueError, SyntaxError) as error:
        raise Problem("rle-invalid", f"RLE counts are {show(text)}; expected a compressed RLE") from error
