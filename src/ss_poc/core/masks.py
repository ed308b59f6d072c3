"""Pure array functions on masks: RLE, polygons, resize, refine, scores, overlay.

A mask is (H, W) or (H, W, C) bool, one channel a class; classes may overlap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from .config import Rule
from .errors import DataError

__all__ = ["bounding_box", "components", "decode_rle", "dice", "draw_overlay", "empty_rle", "encode_rle", "hex_to_rgb",
           "intersection_union", "mask_to_polygons", "palette", "polygons_area", "polygons_to_mask", "refine",
           "refine_channel", "resize_probability", "rle_counts", "scaled_rule", "threshold_and_pad"]


def encode_rle(mask_hw: np.ndarray) -> dict[str, Any]:
    """(H, W) mask to COCO compressed RLE `{"size": [H, W], "counts": str}`."""
    # COCO goes down the columns. OpenCV transposes several times faster than NumPy copies.
    columns_first = cv2.transpose(np.ascontiguousarray(mask_hw).astype(np.uint8, copy=False)).T
    rle = coco_mask.encode(columns_first)
    return {"size": [int(value) for value in rle["size"]], "counts": rle["counts"].decode("ascii")}


@lru_cache(maxsize=64)
def empty_rle(height: int, width: int) -> dict[str, Any]:
    """COCO compressed RLE of a mask without a pixel; most channels of most images are."""
    return encode_rle(np.zeros((height, width), bool))


def rle_counts(counts: str | bytes | Sequence[int]) -> list[int]:
    """Run lengths of an RLE, background first, from COCO's compressed string or from a list.

    The string holds 6-bit characters, each 5 bits of a number (low first) and a bit that says another follows; from
    the fourth on, a number is the difference to the one two before (pycocotools, `maskApi.c: rleFrString`).

    Raises:
        DataError: no RLE, or a negative run.
    """
    if isinstance(counts, (list, tuple)):
        if not all(isinstance(run, int) and not isinstance(run, bool) for run in counts):
            raise DataError("RLE counts hold something that is no whole number", "a list of whole numbers")
        runs = list(counts)
    elif isinstance(counts, (str, bytes)):
        runs = _runs_of_string(counts.encode("utf-8", "surrogatepass") if isinstance(counts, str) else counts)
    else:
        raise DataError(f"RLE counts are a {type(counts).__name__}", "a string or a list")
    if any(run < 0 for run in runs):
        raise DataError("RLE counts hold a negative run", "runs of at least 0")
    return runs


def _runs_of_string(text: bytes) -> list[int]:
    runs: list[int] = []
    value = shift = 0
    for character in text:
        piece = character - 48
        if not 0 <= piece < 64 or shift > 60:
            raise DataError("RLE counts are no compressed RLE", "characters '0' to 'o'")
        value |= (piece & 0x1F) << shift
        shift += 5
        if piece & 0x20:
            continue
        if piece & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise DataError("RLE counts end inside a number", "a whole string")
    return runs


def decode_rle(rle: Mapping[str, Any], size_hw: Sequence[int]) -> np.ndarray:
    """COCO RLE, compressed or not, to an (H, W) bool mask.

    pycocotools returns uninitialised memory where the runs sum to too little, so the sum is checked first.

    Raises:
        DataError: the size is not `size_hw`, or the runs do not fill it exactly.
    """
    height, width = int(size_hw[0]), int(size_hw[1])
    size = rle.get("size")
    if not isinstance(size, (list, tuple)) or list(size) != [height, width]:
        raise DataError(f"RLE size is {size}", f"the image's [{height}, {width}]")
    runs = rle_counts(rle.get("counts", ""))
    if sum(runs) != height * width:
        raise DataError(f"RLE runs sum to {sum(runs)}", f"{height} x {width} = {height * width}")
    flat = np.repeat(np.arange(len(runs), dtype=np.int64) % 2 == 1, runs)
    return flat.reshape((height, width), order="F")


def polygons_to_mask(polygons: Sequence[Sequence[float]], size_hw: Sequence[int]) -> np.ndarray:
    """Union of COCO polygons `[x, y, x, y, …]` as an (H, W) bool mask, by COCO's own rasteriser."""
    height, width = int(size_hw[0]), int(size_hw[1])
    if not polygons:
        return np.zeros((height, width), bool)
    mask: np.ndarray = coco_mask.decode(_merged_rle(polygons, height, width)).astype(bool)
    return mask


def polygons_area(polygons: Sequence[Sequence[float]], size_hw: Sequence[int]) -> int:
    """Pixels that `polygons_to_mask` sets, without the memory of a mask."""
    return int(coco_mask.area(_merged_rle(polygons, int(size_hw[0]), int(size_hw[1])))) if polygons else 0


def _merged_rle(polygons: Sequence[Sequence[float]], height: int, width: int) -> dict[str, Any]:
    parts = coco_mask.frPyObjects([list(map(float, polygon)) for polygon in polygons], height, width)
    merged: dict[str, Any] = coco_mask.merge(parts)
    return merged


def mask_to_polygons(mask_hw: np.ndarray) -> list[list[float]]:
    """Outlines of an (H, W) mask as COCO polygons that rasterise back to it; holes are dropped.

    Outlines run along pixel borders, not centres, so a region keeps its full width.
    """
    box = bounding_box(mask_hw)
    if box is None:
        return []
    top, left = box[0].start, box[1].start
    part = np.asarray(mask_hw[box], np.uint8)
    doubled = cv2.resize(part, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(2 * left, 2 * top))
    return [_border_polygon(contour.reshape(-1, 2)) for contour in contours]


def bounding_box(mask_hw: np.ndarray) -> tuple[slice, slice] | None:
    """Rows and columns of the smallest rectangle around all that an (H, W) mask marks; None where that is nothing."""
    rows, columns = np.flatnonzero(np.any(mask_hw, axis=1)), np.flatnonzero(np.any(mask_hw, axis=0))
    if not len(rows):
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _border_polygon(corners_xy: np.ndarray) -> list[float]:
    # Pixel p is drawn as samples 2p and 2p+1: its borders lie at p and p+1, half up for odd samples.
    border = (corners_xy + 1) // 2
    keep = np.any(border != np.roll(border, 1, axis=0), axis=1)
    polygon: list[float] = (border[keep] if keep.any() else border).astype(float).ravel().tolist()
    return polygon


def refine(probability: np.ndarray, rules: Sequence[Rule], size_hw: Sequence[int],
           threshold: float | None = None) -> np.ndarray:
    """Turn a probability map into the mask of the image. Search, predict and serve all call this.

    Args:
        probability: (h, w, C) float32 in 0..1.
        rules: one a channel.
        size_hw: size of the image, that is of the mask.
        threshold: used instead of every rule's `proba` if given.

    Returns:
        (H, W, C) bool; each channel contiguous in memory.
    """
    if probability.shape[-1] != len(rules):
        raise ValueError(f"{probability.shape[-1]} channels but {len(rules)} rules")
    mask = np.zeros((len(rules), int(size_hw[0]), int(size_hw[1])), bool)
    for channel, rule in enumerate(rules):
        proba = rule.proba if threshold is None else threshold
        pad, least_area = scaled_rule(rule.pad, rule.reduce_size, probability.shape, size_hw)
        values = np.ascontiguousarray(probability[..., channel])
        window = _reach(values, proba, pad, size_hw)
        if window is not None:  # most classes are on few images, and there on a small part
            large = resize_probability(values, size_hw)
            mask[channel][window] = refine_channel(large[window], proba, pad, least_area, rule.convex)
    return np.moveaxis(mask, 0, -1)


def _reach(probability_hw: np.ndarray, proba: float, pad: int, size_hw: Sequence[int]) -> tuple[slice, slice] | None:
    """Rows and columns of the image outside of which nothing can be marked; None where nothing can at all.

    A pixel of the image is a weighted mean of at most two rows and two columns of the map, so one of them must reach
    `proba`, but for rounding.
    """
    box = bounding_box(probability_hw >= proba - 1e-4)
    if box is None:
        return None
    edges = []
    for part, small, large in zip(box, probability_hw.shape, size_hw, strict=True):
        first, last = (part.start - 1) * large / small, (part.stop + 1) * large / small
        edges.append(slice(max(0, math.floor(first) - 1 - pad), min(int(large), math.ceil(last) + 1 + pad)))
    return edges[0], edges[1]


def scaled_rule(pad: int, reduce_size: int, from_hw: Sequence[int], to_hw: Sequence[int]) -> tuple[int, float]:
    """A rule's radius and area, given in pixels of the probability map, in pixels of the image."""
    scale = to_hw[0] * to_hw[1] / (from_hw[0] * from_hw[1])
    return round(pad * scale**0.5), reduce_size * scale


def threshold_and_pad(probability_hw: np.ndarray, proba: float, pad: int) -> np.ndarray:
    """(H, W) uint8 in {0, 1}: where the probability is at least `proba`, dilated by a disc of radius `pad`."""
    mask: np.ndarray = (probability_hw >= proba).astype(np.uint8)
    if pad:
        mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pad + 1, 2 * pad + 1)))
    return mask


def resize_probability(probability_hw: np.ndarray, size_hw: Sequence[int]) -> np.ndarray:
    """(h, w) float32 probabilities to (H, W), bilinear."""
    if probability_hw.shape == tuple(size_hw):
        return probability_hw
    return cv2.resize(np.ascontiguousarray(probability_hw, np.float32), (int(size_hw[1]), int(size_hw[0])),
                      interpolation=cv2.INTER_LINEAR)


def refine_channel(probability_hw: np.ndarray, proba: float, pad: int, least_area: float, convex: bool) -> np.ndarray:
    """Threshold, dilate by a disc of radius `pad`, drop components (8-connected) below `least_area`, take hulls.

    Returns:
        (H, W) bool.
    """
    mask = threshold_and_pad(probability_hw, proba, pad)
    if least_area > 1:
        _, labelled, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        keep = stats[:, cv2.CC_STAT_AREA] >= least_area
        keep[0] = False
        mask = keep[labelled].astype(np.uint8)
    if convex:
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        for contour in contours:
            cv2.fillConvexPoly(mask, cv2.convexHull(contour), 1)
    return mask.astype(bool)


def components(mask_hw: np.ndarray, probability_hw: np.ndarray) -> list[dict[str, Any]]:
    """Objects of one class: 8-connected components, largest first.

    Args:
        mask_hw: (H, W) bool.
        probability_hw: (H, W) float32 in 0..1; an object's score is its mean over the object.

    Returns:
        `{"score": float, "area": pixels, "bbox": [x, y, width, height]}` each.
    """
    box = bounding_box(mask_hw)
    if box is None:
        return []
    inside = np.asarray(mask_hw[box], bool)
    count, labelled, stats, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    totals = np.bincount(labelled[inside], probability_hw[box][inside], minlength=count)
    stats[:, :2] += (box[1].start, box[0].start)
    found = [{"score": round(float(totals[index] / stats[index, cv2.CC_STAT_AREA]), 4),
              "area": int(stats[index, cv2.CC_STAT_AREA]), "bbox": [int(value) for value in stats[index, :4]]}
             for index in range(1, count)]
    return sorted(found, key=lambda item: (-item["area"], item["bbox"]))


def dice(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Dice of an image, class by class: 2|A∩B| / (|A|+|B|); 1 where both are empty.

    Args:
        true, predicted: (H, W, C) bool.

    Returns:
        (C,) float64.
    """
    both = np.count_nonzero(true & predicted, axis=(0, 1))
    total = np.count_nonzero(true, axis=(0, 1)) + np.count_nonzero(predicted, axis=(0, 1))
    return np.where(total == 0, 1.0, 2 * both / np.maximum(total, 1))


def intersection_union(true: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels in both and in either, (C,) each; IoU of a data set is sum of the first over sum of the second."""
    return (np.count_nonzero(true & predicted, axis=(0, 1)), np.count_nonzero(true | predicted, axis=(0, 1)))


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
        if filled is not None and filled[..., channel].any():
            inside = filled[..., channel]
            canvas[inside] = np.rint(canvas[inside] * (1 - opacity) + rgb * opacity).astype(np.uint8)
    thickness = max(1, round(max(image_rgb.shape[:2]) / 400))
    for channel, color in enumerate(colors):
        if outlined is not None and outlined[..., channel].any():
            contours, _ = cv2.findContours(outlined[..., channel].astype(np.uint8), cv2.RETR_EXTERNAL,
                                           cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(canvas, contours, -1, hex_to_rgb(color), thickness)
    return canvas
