"""Which part of its range a camera uses: from the values of its files to 8 bits, alike in every stage.

Cameras of 10, 12 or 14 bits write files of 16 bits. Divided by the whole range, their photographs would be nearly
black. Float, signed and 32-bit files have no range of their own. Files of 8 bits are not concerned.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

from .levels import FULL_DEPTH, Levels

__all__ = ["Values", "find_bit_depth", "find_levels", "is_wide", "is_white_zero", "range_warnings", "spanned",
           "to_8_bit", "wide_values"]

DEPTHS = (8, 10, 12, 14, 16)
# What 12 bits leave at 0 where they are written into the upper ones of 16.
LOWER_4_BITS = 0b1111
# Below this fraction of the range, 25 of 255 levels are left: noise and steps are as large as most defects.
LEAST_USED = 0.1
COLOUR_16 = ("RGB;16", "RGBA;16", "RGBX;16", "LA;16")
# One pixel of so many may be hot or dead: its value says nothing of the range. Of fewer than FEW, each counts.
ONE_OF, FEW = 5000, 1000
# What floats are scaled to where they come from whole numbers or from fractions, and how far sharpening overshoots.
TOPS, OVERSHOOT = (1, *(2**depth - 1 for depth in DEPTHS)), 1.05
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0

# What Pillow reads with black as zero, it reads with white as zero too, but does not know.
for _order, _format, _bits, _raw in ((b"MM", 1, 16, "I;16B"), (b"II", 2, 16, "I;16S"), (b"MM", 2, 16, "I;16BS"),
                                     (b"II", 2, 32, "I;32S"), (b"MM", 2, 32, "I;32BS"), (b"II", 1, 12, "I;12")):
    _mode = "I" if _format == 2 else "I;16" if _bits == 12 else _raw
    TiffImagePlugin.OPEN_INFO.setdefault((_order, WHITE_IS_ZERO, (_format,), 1, (_bits,), ()), (_mode, _raw))


@dataclass(frozen=True)
class Values:
    """Values of an image with more than 8 bits: the least and the highest but for hot and dead pixels.

    Attributes:
        least, most: of all pixels but one of ONE_OF at either end.
        bits: those that any whole number up to `most` has; 0 for floats.
        whole: whether the file has 16 bits without a sign.
    """

    least: float
    most: float
    bits: int = 0
    whole: bool = True

    @classmethod
    def of(cls, values: np.ndarray) -> Values:
        """Values of an array of uint16, int32 or float32; what is not finite does not count."""
        flat = values.reshape(-1)
        skipped = max(flat.size // ONE_OF, int(flat.size >= FEW))
        if values.dtype == np.uint16:
            counts = cv2.calcHist([flat.reshape(-1, 1)], [0], None, [1 << 16], [0, 1 << 16]).ravel()
            least, most = _first(counts, skipped), len(counts) - 1 - _first(counts[::-1], skipped)
            return cls(least, most, int(np.bitwise_or.reduce(np.flatnonzero(counts[:most + 1]), initial=0)))
        flat = flat[np.isfinite(flat)] if values.dtype.kind == "f" else flat
        if not flat.size:
            return cls(0, 0, whole=False)
        skipped = min(skipped, (flat.size - 1) // 2)
        ends = np.partition(flat, (skipped, flat.size - 1 - skipped))
        least, most = ends[skipped].item(), ends[flat.size - 1 - skipped].item()
        bits = 0 if values.dtype.kind == "f" else int(np.bitwise_or.reduce(flat[flat <= most], initial=0))
        return cls(least, most, bits, whole=False)

    @property
    def fits_16_bits(self) -> bool:
        """Whether all are whole numbers without a sign, of 16 bits at most, however the file stores them."""
        return self.whole or (isinstance(self.most, int) and self.least >= 0 and self.most < 2**FULL_DEPTH)


def _first(counts: np.ndarray, skipped: int) -> int:
    """Index at which more than `skipped` pixels are counted."""
    return int(np.argmax(np.cumsum(counts, dtype=np.float64) > skipped))


def find_levels(found: Iterable[Values]) -> Levels:
    """Return the levels of a data set, from the values of all its files with more than 8 bits."""
    found = list(found)
    if all(values.fits_16_bits for values in found):
        return Levels(find_bit_depth(found))
    return Levels(find_bit_depth(item for item in found if item.whole), _span(item for item in found if not item.whole))


def _span(found: Iterable[Values]) -> tuple[float, float]:
    """The range that the values were scaled to, where they tell; else from the least to the highest."""
    found = list(found)
    least, most = min(item.least for item in found), max(item.most for item in found)
    top = next((top for top in TOPS if most <= OVERSHOOT * top), None)
    if least >= 0 and top and most - least >= LEAST_USED * top:
        return 0.0, float(top)
    return float(least), float(most if most > least else least + 1)


def find_bit_depth(found: Iterable[Values]) -> int:
    """The bits that a camera uses, from the values of its images: the smallest of DEPTHS that holds the highest value.

    12 bits in the upper ones of 16 (every value is a multiple of 16) fill the whole range, so 16 is returned for them.
    A camera of 12 bits that gives multiples of 16 itself stays below 4096, and is told from them by that.
    """
    found = list(found)
    most = max((values.most for values in found), default=0)
    if most == 0:
        return FULL_DEPTH
    depth = next(depth for depth in DEPTHS if most < 2**depth)
    in_upper_bits = depth > 12 and not any(values.bits & LOWER_4_BITS for values in found)
    return FULL_DEPTH if in_upper_bits else depth


def spanned(values: Values | None, levels: Levels) -> bool:
    """Whether an image becomes 8 bits by the span of its data set, not by its bit depth."""
    return values is not None and not values.whole and levels.span is not None


def range_warnings(values: Values | None, levels: Levels) -> list[str]:
    """What to say of an image whose values do not suit those of the training; nothing where it has 8 bits."""
    if values is None or (levels.span is None and not values.fits_16_bits):
        return _unknown(values)
    by_span = spanned(values, levels)
    bottom, top = levels.span if by_span and levels.span else (0, 2**levels.bit_depth - 1)
    slack = (OVERSHOOT - 1) * (top - bottom) if by_span else 0
    known = f"reach from {bottom:g} to {top:g}" if by_span else f"have {levels.bit_depth} bits"
    said = []
    for value, end, over in ((values.most, top, values.most - top), (values.least, bottom, bottom - values.least)):
        if over > slack:
            said.append(f"values {'up' if end == top else 'down'} to {_text(value)} are clipped to {_text(end)}: the "
                        f"photographs of the training {known}")
    if min(values.most, top) - max(min(values.least, top), bottom) < LEAST_USED * (top - bottom):
        said.append(f"values {_text(values.least)} to {_text(values.most)} use under a tenth of the range "
                    f"{_text(bottom)} to {_text(top)}")
    return said


def _unknown(values: Values | None) -> list[str]:
    """What to say of float, signed or 32-bit values where the training had none."""
    top = 2**FULL_DEPTH - 1 if values and isinstance(values.most, int) else 255
    if values is None or (values.least >= 0 and values.most <= OVERSHOOT * top):
        return []
    return [f"values {_text(values.least)} to {_text(values.most)} are clipped to 0 to {top}: the training had no "
            "photographs of float, signed or 32-bit values"]


def _text(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def to_8_bit(values: np.ndarray, levels: Levels) -> np.ndarray:
    """Values of a wide image as (H, W, 3) uint8; what lies outside of the levels is clipped.

    Args:
        values: (H, W) or (H, W, 3) uint16; of those the upper 8 of the bits in use are kept. Or (H, W) int32 or
            float32, scaled by the span. Without a span, int32 is taken as 16 bits, and floats are scaled by 255 if they
            reach from 0 to 1, else not.
        levels: of the data set.
    """
    if values.dtype != np.uint16 and levels.span is not None:
        low, high = levels.span
        scaled = (np.nan_to_num(values, posinf=high, neginf=low).astype(np.float64) - low) * (255 / (high - low))
        clipped = np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
    elif values.dtype.kind == "f":
        scale = 255.0 if Values.of(values).most <= OVERSHOOT else 1.0
        clipped = np.clip(np.nan_to_num(values) * scale, 0, 255).astype(np.uint8)
    else:
        if values.dtype != np.uint16:
            values = np.clip(values, 0, 2**16 - 1).astype(np.uint16)
        upper = values >> (levels.bit_depth - 8)
        clipped = np.minimum(upper, 255, out=upper).astype(np.uint8)
    return clipped if clipped.ndim == 3 else np.repeat(clipped[..., None], 3, axis=2)


def is_wide(image: Image.Image) -> bool:
    """Whether the header of an image that is not loaded yet names more than 8 bits a value."""
    return image.mode.startswith("I") or image.mode == "F" or _raw_mode(image).startswith(COLOUR_16)


def is_white_zero(image: Image.Image) -> bool:
    """Whether 0 is white in a TIFF with more than 8 bits a value; Pillow turns those of 8 bits itself."""
    return (isinstance(image, TiffImagePlugin.TiffImageFile) and image.mode.startswith(("I", "F"))
            and image.tag_v2.get(PHOTOMETRIC) == WHITE_IS_ZERO)


def wide_values(image: Image.Image, file: Any) -> np.ndarray | None:
    """Values of a loaded image for which `is_wide` held, turned or not as Pillow's are.

    Args:
        image: loaded; of grey ones all bits are there.
        file: what it was opened from: Pillow keeps the upper 8 bits of colours only.

    Returns:
        (H, W) uint16, int32 or float32, or RGB (H, W, 3) uint16; None where OpenCV cannot read such a file.
    """
    if image.mode.startswith(("I", "F")):
        return np.asarray(image)
    if not isinstance(file, BytesIO):
        return None
    try:
        found = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if found is None or found.dtype != np.uint16 or found.shape[:2] != (image.height, image.width):
        return None
    return np.ascontiguousarray(found[..., 2::-1] if found.ndim == 3 else found, np.uint16)


def _raw_mode(image: Image.Image) -> str:
    """How the values lie in the file, as Pillow's decoders call it; "" where there is none."""
    tiles = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else None
    name = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return name if isinstance(name, str) else ""
