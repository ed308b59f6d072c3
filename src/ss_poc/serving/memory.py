"""How large an image may be, and how much may be uploaded at once, so that the memory there is suffices for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.config import ServeConfig
from ..core.errors import ImageError
from ..core.host import memory_limit, memory_used
from ..core.model_spec import ModelSpec
from ..core.tiles import HALF_ABOVE, map_size

__all__ = ["LARGE", "MOST_PIXELS", "Room", "bytes_a_pixel", "bytes_of_bodies", "check_shape", "room_for"]

MOST_PIXELS = 100_000_000
# Images of more pixels go through one at a time, whatever memory there is.
LARGE = 16_000_000
# What the steps after one another take at most beside the arrays that stay, in bytes a pixel (docs/serving.md): of the
# image, and of the probability map.
STEP, STEP_OF_MAP = 16, 4
# Bytes of all request bodies in memory together, in units of the largest single one; and as a fraction of memory.
BODIES_AT_ONCE, FOR_BODIES = 8, 1 / 8
# Fraction of the free memory that images may take: the rest is for many outlines, for the engine, and for fragments.
FOR_IMAGES = 0.85
# Fraction of that for the one large image; the smaller ones beside it share what is left.
FOR_LARGE = 2 / 3


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
    return round(3 + classes + STEP + ((2 if half else 4) * classes + STEP_OF_MAP) * spec.scale**2)


def bytes_of_bodies(config: ServeConfig) -> int:
    """Return the bytes that all bodies of requests, and images fetched for them, may have together in one worker."""
    share = memory_limit() // config.workers
    return max(config.max_bytes, min(BODIES_AT_ONCE * config.max_bytes, int(share * FOR_BODIES)))


def room_for(spec: ModelSpec, config: ServeConfig) -> Room:
    """Find how large an image may be; call it once the model is loaded and warm.

    Args:
        spec: of the model.
        config: its `max_pixels` is taken as it is where it is set.
    """
    memory = memory_limit()
    free = max(0, memory // config.workers - memory_used() - bytes_of_bodies(config)) * FOR_IMAGES
    whole, half = (int(free * FOR_LARGE / bytes_a_pixel(spec, kept)) for kept in (False, True))
    values_a_pixel = max(len(spec.labels) * spec.scale**2, 1e-9)
    # Where float32 has room for more than float16 begins at, only float16 counts.
    fits = half if half * values_a_pixel > HALF_ABOVE else min(whole, int(HALF_ABOVE / values_a_pixel))
    pixels = config.max_pixels or max(1, min(MOST_PIXELS, fits))
    at_once = config.engine_threads + 1 + bool(config.collect)  # the collector's queue is as large as one image
    beside = int(free * (1 - FOR_LARGE) / bytes_a_pixel(spec) / at_once)
    return Room(pixels, max(1, min(LARGE, beside)), bytes_a_pixel(spec), memory)


def check_shape(size_hw: Sequence[int], spec: ModelSpec, pixels: int) -> None:
    """Check that an image's map, continued to a window's height and width where it is narrower, is not too large.

    Args:
        size_hw: height and width of the image.
        spec: of the model.
        pixels: of the largest image that is accepted.

    Raises:
        ImageError: it is (413).
    """
    map_hw = map_size(size_hw, spec.scale, spec.size_hw)
    height, width = (max(side, least) for side, least in zip(map_hw, spec.size_hw, strict=True))
    narrow, window = (height, width) != map_hw, spec.size_hw[0] * spec.size_hw[1]
    if narrow and height * width > max(pixels * spec.scale**2, window):
        raise ImageError(f"the image has {size_hw[0]}x{size_hw[1]} pixels: too narrow for its length",
                         f"at least {spec.size_hw[0]}x{spec.size_hw[1]} pixels, or a shorter one",
                         "cut it into parts", status=413)
