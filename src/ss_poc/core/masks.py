"""Masks as arrays, as RLE and as polygons, and the objects in them.

A mask is (H, W) or (H, W, C) bool, one channel a class; classes may overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from .errors import DataError

__all__ = ["bounding_box", "components", "decode_rle", "empty_rle", "encode_rle", "mask_to_polygons", "polygons_area",
           "polygons_to_mask", "rle_counts", "row_bands", "segmentation_mask"]

# Pixels that are worked on at once where an operation takes many bytes a pixel for what lies between.
BAND_PIXELS = 1_000_000


def row_bands(size_hw: Sequence[int]) -> Iterator[slice]:
    """Cut the rows of an array of (H, W, …) into bands of at most BAND_PIXELS pixels, but of one row at least."""
    step = max(1, BAND_PIXELS // max(1, int(size_hw[1])))
    for start in range(0, int(size_hw[0]), step):
        yield slice(start, min(start + step, int(size_hw[0])))


def encode_rle(mask_hw: np.ndarray) -> dict[str, Any]:
    """(H, W) mask to COCO compressed RLE `{"size": [H, W], "counts": str}`."""
    # COCO goes down the columns. OpenCV transposes several times faster than NumPy copies.
    columns_first = cv2.transpose(_bytes_of(mask_hw)).T
    rle = coco_mask.encode(columns_first)
    return {"size": [int(value) for value in rle["size"]], "counts": rle["counts"].decode("ascii")}


def _bytes_of(mask_hw: np.ndarray) -> np.ndarray:
    """An (H, W) mask as contiguous uint8; a contiguous bool one is not copied."""
    mask = np.ascontiguousarray(mask_hw)
    return mask.view(np.uint8) if mask.dtype == bool else mask.astype(np.uint8, copy=False)


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


def segmentation_mask(segmentation: Any, size_hw: Sequence[int]) -> np.ndarray:
    """COCO polygons `[[x, y, …], …]` or a COCO RLE as an (H, W) bool mask. Raises DataError as `decode_rle`."""
    if isinstance(segmentation, Mapping):
        return decode_rle(segmentation, size_hw)
    return polygons_to_mask(segmentation, size_hw)


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
    part = _bytes_of(mask_hw[box])
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
    inside, probability = np.asarray(mask_hw[box], bool), probability_hw[box]
    count, labelled, stats, _ = cv2.connectedComponentsWithStats(_bytes_of(inside), connectivity=8)
    totals = np.zeros(count)
    for rows in row_bands(inside.shape):
        totals += np.bincount(labelled[rows][inside[rows]], probability[rows][inside[rows]], minlength=count)
    stats[:, :2] += (box[1].start, box[0].start)
    found = [{"score": round(float(totals[index] / stats[index, cv2.CC_STAT_AREA]), 4),
              "area": int(stats[index, cv2.CC_STAT_AREA]), "bbox": [int(value) for value in stats[index, :4]]}
             for index in range(1, count)]
    return sorted(found, key=lambda item: (-item["area"], item["bbox"]))
