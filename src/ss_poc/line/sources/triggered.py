"""Photographs that are taken when somebody asks for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace

from ..parts import storable
from .photograph import Photograph
from .video import Video

__all__ = ["Shutter"]

LONGEST = 200  # characters of a name or a number


class Shutter:
    """Takes the newest frame of a camera, and names it.

    Args:
        source: name of the trigger.
        camera: None where only photographs that are sent are taken.
    """

    def __init__(self, source: str, camera: Video | None) -> None:
        self._source, self._camera, self._number, self._lock = source, camera, 0, threading.Lock()

    def take(self, given: Mapping[str, str], data: bytes = b"") -> Photograph | None:
        """Take a photograph; None where there is neither `data` nor a frame.

        Args:
            given: `part`, `lot` and `id` (its name), as far as they are known.
            data: the photograph; b"" for the newest frame of the camera.
        """
        if data:
            return replace(self._named(given), data=data)
        frame = self._camera.newest() if self._camera else None
        named = self._named(given)
        return replace(frame, source=named.source, name=f"{named.name}.jpg", part=named.part,
                       lot=named.lot) if frame else None

    def take_or_say(self, given: Mapping[str, str]) -> Photograph:
        """The same, of a workpiece that passes and does not come back: without a frame, its part is an error."""
        camera = self._camera.name if self._camera else "a camera"
        return self.take(given) or replace(self._named(given), missing=f"no frame came from {camera}")

    def _named(self, given: Mapping[str, str]) -> Photograph:
        with self._lock:
            self._number += 1
            name = given.get("id") or f"{int(time.time() * 1000)}_{self._number:06d}"
        part, lot = (storable(given[key])[:LONGEST] if given.get(key) else None for key in ("part", "lot"))
        return Photograph(self._source, storable(name)[:LONGEST], b"", int(time.time() * 1000), part, lot)
