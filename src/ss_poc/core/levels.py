"""Which values of a file become black and white: found once for a data set, and kept with its model."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL_DEPTH", "Levels"]

# Bits that a file of 16 bits has; see `core.bit_depth`.
FULL_DEPTH = 16


@dataclass(frozen=True)
class Levels:
    """What becomes 0 and 255 of files with more than 8 bits a value.

    Attributes:
        bit_depth: bits that are used in files of 16 bits, 8 to 16.
        span: values of float, signed and 32-bit files that become 0 and 255; None where a data set has none.
    """

    bit_depth: int = FULL_DEPTH
    span: tuple[float, float] | None = None
