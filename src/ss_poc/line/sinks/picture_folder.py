"""A folder with a photograph, an overlay and a json for each part, in folders by date."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...core.drawing import draw_overlay
from ...core.errors import DataError, ImageError
from ...core.files import atomic_path, write_json
from ...core.images import SUFFIXES, decode_image, save_image
from ...core.masks import decode_rle
from ..outbox import Item
from ..settings import FolderSink

__all__ = ["PictureFolder"]


class PictureFolder:
    """A sink: see the module. An item that is delivered twice is written to the same files."""

    wants_pictures, at_a_time = True, 1

    def __init__(self, settings: FolderSink) -> None:
        self.name, self._path = settings.name, settings.path

    def deliver(self, items: Sequence[Item]) -> None:
        """Write the files of each item; the json comes last."""
        for item in items:
            if item.message["type"] == "alarm":
                name = f"{item.message['time'].replace(':', '')}_{item.key[:8]}.json"
                write_json(self._path / "alarms" / name, item.message)
                continue
            year, month, day = re.split("[-T]", item.message["taken"])[:3]
            stem = re.sub(r"[^\w.-]+", "_", Path(item.message["name"]).stem)[:80]
            place = self._path / year / month / day / f"{stem}_{item.key[:12]}"
            if item.picture:
                self._write_pictures(place, item)
            write_json(place.with_name(place.name + ".json"), {**item.message, "regions": item.regions})

    def close(self) -> None:
        """Nothing is held."""

    @staticmethod
    def _write_pictures(place: Path, item: Item) -> None:
        suffix = Path(item.message["name"]).suffix.lower()
        with atomic_path(place.with_name(place.name + (suffix if suffix in SUFFIXES else ".jpg"))) as temporary:
            temporary.write_bytes(item.picture)
        if not item.regions.get("rle"):
            return
        try:
            image = decode_image(item.picture)
            masks = [decode_rle({"size": item.regions["size"], "counts": counts}, image.shape[:2])
                     for counts in item.regions["rle"]]
        except (DataError, ImageError):
            return  # the service could read it, or else there would be no regions: only its overlay is missing
        mask = np.stack(masks, axis=-1)
        overlay = draw_overlay(image, item.regions["colors"], mask, mask)
        save_image(place.with_name(place.name + "_overlay.jpg"), overlay)
