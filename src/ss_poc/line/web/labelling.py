"""*Wrong?*: a part's photograph goes to a folder for labelling, with the regions that the model proposed."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

from ...core.coco import coco_annotation, with_image
from ...core.errors import DataError, ImageError, RequestError
from ...core.files import atomic_path, read_json, write_json
from ...core.images import AS_IT_CAME, decode_image, encode_image, header, resize_image, suffix_as_it_came
from ...core.masks import decode_rle
from ..parts import Part

__all__ = ["Labelling"]


class Labelling:
    """Keeps photographs in `folder`, and what the model said of them in `proposals-<line>.json` (COCO).

    The service keeps those that it is unsure of in the same form, and removes them after some days. What a person
    sends is never removed: its name, `<line>-<start of the key>`, is none of the service's.

    Args:
        folder: of the data set that is labelled; made when the first photograph comes.
        line: name of the line.
        pictures: folder of the archive's pictures.
    """

    def __init__(self, folder: Path, line: str, pictures: Path) -> None:
        self._folder, self._line, self._pictures, self._lock = folder, line, pictures, threading.Lock()

    def sent(self, part: Part) -> str:
        """Name of a part's photograph in the folder; "" where it was not sent."""
        for suffix in AS_IT_CAME.values():
            if (self._folder / self._name(part, suffix)).is_file():
                return self._name(part, suffix)
        return ""

    def send(self, part: Part) -> str:
        """Put a part's photograph into the folder, once.

        Returns:
            Its name there.

        Raises:
            RequestError: its picture is not kept, or is no image; status 409.
            OSError: the folder cannot be written.
        """
        with self._lock:
            if name := self.sent(part):
                return name
            path = self._pictures / part.picture
            if not part.picture or not path.is_file():
                raise RequestError("the picture of this part is not kept", "a part with its picture",
                                   "say pictures: original for the archive, and more gigabytes", status=409)
            try:
                suffix, content, size_hw = _stored(path)
            except ImageError as error:
                raise RequestError(f"the picture of this part is no image: {error.what}", status=409) from None
            name = self._name(part, suffix)
            self._note(part, name, size_hw)
            with atomic_path(self._folder / name) as temporary:
                temporary.write_bytes(content)
        return name

    def _name(self, part: Part, suffix: str) -> str:
        return f"{self._line}-{part.key[:16]}{suffix}"

    def _note(self, part: Part, name: str, size_hw: tuple[int, int]) -> None:
        """Write the COCO document: what it said before, and the new photograph."""
        path = self._folder / f"proposals-{self._line}.json"
        known = read_json(path) if path.is_file() else {"images": [], "annotations": [], "categories": []}
        labels, colors = part.regions.get("labels", []), part.regions.get("colors", [])
        document, number, first = with_image(known, name, size_hw, labels, colors)
        numbers = {category["name"]: category["id"] for category in document["categories"]}
        found = [(label, color, mask) for label, color, mask in zip(labels, colors, _masks(part, size_hw), strict=True)
                 if mask.any()]
        document["annotations"] += [coco_annotation(mask, first + index, number, numbers[label], color)
                                    for index, (label, color, mask) in enumerate(found)]
        write_json(path, document)


def _stored(path: Path) -> tuple[str, bytes, tuple[int, int]]:
    """Suffix, content and size: the file as it is where annotators show it as we see it, else a PNG of it."""
    data = path.read_bytes()
    size_hw, orientation = header(data)
    if suffix := suffix_as_it_came(data, orientation):
        return suffix, data, size_hw
    image = decode_image(data)
    return ".png", encode_image(image, ".png"), image.shape[:2]


def _masks(part: Part, size_hw: tuple[int, int]) -> list[np.ndarray]:
    """(H, W) bool of each class, at the size of the picture that is kept; none where the regions are damaged."""
    full_hw = part.regions.get("size", [0, 0])
    try:
        masks = [decode_rle({"size": full_hw, "counts": counts}, full_hw) for counts in part.regions.get("rle", [])]
    except DataError:
        return [np.zeros(size_hw, bool) for _ in part.regions.get("labels", [])]
    return [mask if mask.shape == size_hw else resize_image(mask.astype(np.uint8) * 255, size_hw) > 127
            for mask in masks]
