"""How many bits of a 16-bit value a camera uses: from the values of its files to 8 bits, alike in every stage.

Cameras of 10, 12 or 14 bits write files of 16 bits. Divided by the whole range, their photographs would be nearly
black. Files of 8 bits are not concerned.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from PIL import Image

from .model_spec import FULL_DEPTH

__all__ = ["Values", "find_bit_depth", "is_wide", "range_warnings", "to_8_bit", "wide_values"]

DEPTHS = (8, 10, 12, 14, 16)
# What 12 bits leave at 0 where they are written into the upper ones of 16.
LOWER_4_BITS = 0b1111
# Below this fraction of the range, 25 of 255 levels are left: noise and steps are as large as most defects.
LEAST_USED = 0.1
COLOUR_16 = ("RGB;16", "RGBA;16", "RGBX;16", "LA;16")


@dataclass(frozen=True)
class Values:
    """Values of a 16-bit image: the least, the highest, and the bits that any of them has."""

    least: int
    most: int
    bits: int

    @classmethod
    def of(cls, values: np.ndarray) -> Values:
        """Values of an array of uint16."""
        return cls(int(values.min()), int(values.max()), int(np.bitwise_or.reduce(values, axis=None)))


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


def range_warnings(values: Values | None, bit_depth: int) -> list[str]:
    """What to say of an image whose values do not suit a camera of `bit_depth` bits; nothing where it has 8 bits."""
    if values is None:
        return []
    top, said = 2**bit_depth - 1, []
    if values.most > top:
        said.append(f"values up to {values.most} are clipped to {top}: the photographs of the training have "
                    f"{bit_depth} bits")
    if min(values.most, top) - min(values.least, top) < LEAST_USED * top:
        said.append(f"values {values.least} to {values.most} use under a tenth of the range 0 to {top}")
    return said


def to_8_bit(values: np.ndarray, bit_depth: int) -> np.ndarray:
    """The upper 8 of `bit_depth` bits, as (H, W, 3) uint8: of (H, W) or (H, W, 3) uint16; higher values are clipped."""
    upper = values >> (bit_depth - 8)
    clipped = np.minimum(upper, 255, out=upper).astype(np.uint8)
    return clipped if clipped.ndim == 3 else np.repeat(clipped[..., None], 3, axis=2)


def is_wide(image: Image.Image) -> bool:
    """Whether the header of an image that is not loaded yet names more than 8 bits a value, as whole numbers."""
    return image.mode.startswith("I") or _raw_mode(image).startswith(COLOUR_16)


def wide_values(image: Image.Image, file: Any) -> np.ndarray | None:
    """Values of a loaded image for which `is_wide` held, turned or not as Pillow's are.

    Args:
        image: loaded; of grey ones all bits are there.
        file: what it was opened from: Pillow keeps the upper 8 bits of colours only.

    Returns:
        (H, W) or RGB (H, W, 3) uint16, values clipped to its range; None where OpenCV cannot read such a file.
    """
    if image.mode.startswith("I"):
        values = np.asarray(image)
        return values if values.dtype == np.uint16 else np.clip(values, 0, 2**16 - 1).astype(np.uint16)
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
