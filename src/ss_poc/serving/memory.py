"""How large an image may be, so that the memory there is suffices for it."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.config import ServeConfig
from ..core.host import memory_limit, memory_used
from ..core.model_spec import ModelSpec
from ..core.tiles import HALF_ABOVE

__all__ = ["Room", "bytes_a_pixel", "room_for"]

MOST_PIXELS = 100_000_000
# Images of more pixels go through one at a time, whatever memory there is.
LARGE = 16_000_000
# What the steps after one another take at most beside the arrays that stay, in bytes a pixel (docs/serving.md).
STEP = 20
# Fraction of the free memory that images may take: the rest is for bodies, for many outlines, and for fragments.
FOR_IMAGES = 0.7
# Fraction of that for the one large image; the smaller ones beside it share what is left.
FOR_LARGE = 0.75


@dataclass(frozen=True)
class Room:
    """What fits into memory.

    Attributes:
        pixels: of the largest image that is accepted.
        large: images of more pixels than this are worked on one at a time.
        bytes_a_pixel: what the model takes for a pixel of an image.
        memory: bytes that all workers of the service may use together.
    """

    pixels: int
    large: int
    bytes_a_pixel: int
    memory: int


def bytes_a_pixel(spec: ModelSpec, half: bool = False) -> int:
    """Return the bytes of memory that a pixel of an image takes at most: the image, maps, masks and the largest step.

    Args:
        spec: of the model.
        half: whether the probabilities are kept as float16, as those of huge maps are.
    """
    classes = len(spec.labels)
    return round(3 + classes + (2 if half else 4) * classes * spec.scale**2 + STEP)


def room_for(spec: ModelSpec, config: ServeConfig) -> Room:
    """Find how large an image may be; call it once the model is loaded and warm.

    Args:
        spec: of the model.
        config: its `max_pixels` is taken as it is where it is set.
    """
    memory = memory_limit()
    free = max(0, memory // config.workers - memory_used()) * FOR_IMAGES
    whole, half = (int(free * FOR_LARGE / bytes_a_pixel(spec, kept)) for kept in (False, True))
    values_a_pixel = max(len(spec.labels) * spec.scale**2, 1e-9)
    # Where float32 has room for more than float16 begins at, only float16 counts.
    fits = half if half * values_a_pixel > HALF_ABOVE else min(whole, int(HALF_ABOVE / values_a_pixel))
    pixels = config.max_pixels or max(1, min(MOST_PIXELS, fits))
    beside = int(free * (1 - FOR_LARGE) / bytes_a_pixel(spec) / (config.engine_threads + 1))
    return Room(pixels, max(1, min(LARGE, beside)), bytes_a_pixel(spec), memory)
