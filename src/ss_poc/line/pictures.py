"""Pictures that are kept with their parts: in folders by date, named by the photograph's key."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from ..core.errors import ImageError
from ..core.files import atomic_path
from ..core.images import SUFFIXES, decode_image, encode_image, resize_image
from .parts import when

__all__ = ["keep_picture"]

SMALL = 640  # pixels along the longer side


def keep_picture(folder: Path, kind: str, key: str, name: str, taken_ms: int, data: bytes) -> tuple[str, int]:
    """Keep a picture, whole or not at all; the same photograph always has the same place.

    Args:
        folder: of the pictures.
        kind: "original", "small" (JPEG, at most 640 pixels long; what is no image is kept as it is) or "none".
        key: of the photograph.
        name: of the photograph; its ending stays.
        taken_ms: milliseconds since 1970, UTC.
        data: the image file's content.

    Returns:
        The path below the folder, such as `2026/11/28/<key>.jpg`, and its size in bytes; ("", 0) for none.
    """
    if kind == "none":
        return "", 0
    suffix = Path(name).suffix.lower()
    suffix = suffix if suffix in SUFFIXES else ".jpg"
    if kind == "small":
        with contextlib.suppress(ImageError):
            data, suffix = _small(data), ".jpg"
    year, month, day = re.split("[-T]", when(taken_ms))[:3]
    place = Path(year, month, day, key[:32] + suffix)
    with atomic_path(folder / place) as temporary:
        temporary.write_bytes(data)
    return str(place), len(data)


def _small(data: bytes) -> bytes:
    image = decode_image(data)
    scale = min(1.0, SMALL / max(image.shape[:2]))
    return encode_image(resize_image(image, [max(1, round(length * scale)) for length in image.shape[:2]]), ".jpg", 85)
