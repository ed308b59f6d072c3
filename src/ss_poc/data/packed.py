"""Masks as bits: a byte of a pixel holds eight classes, so that warping, stacking and copying a mask costs an eighth.

Class 0 is the highest bit of the first byte, as `np.packbits` has it.
"""

from __future__ import annotations

import numpy as np

__all__ = ["bit", "bytes_a_pixel", "pack", "unpack"]


def bytes_a_pixel(classes: int) -> int:
    """Bytes that hold a pixel's bits of that number of classes: one for 1 to 8, two for 9 to 16."""
    return -(-classes // 8)


def bit(channel: int) -> tuple[int, np.uint8]:
    """Where a class is: the index of its byte, and a byte with its bit alone set."""
    return channel // 8, np.uint8(128 >> channel % 8)


def pack(mask: np.ndarray) -> np.ndarray:
    """Pack a mask: (…, C) bool to (…, `bytes_a_pixel(C)`) uint8."""
    return np.packbits(mask, axis=-1)


def unpack(bits: np.ndarray, classes: int) -> np.ndarray:
    """Unpack a mask: (…, `bytes_a_pixel(classes)`) uint8 to (…, classes) uint8 in {0, 1}."""
    return np.unpackbits(bits, axis=-1, count=classes)
