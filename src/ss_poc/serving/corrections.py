"""What people corrected on the page: photographs and their regions, as a data set that training reads."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ..core.coco import with_image
from ..core.errors import RequestError, ServiceError
from ..core.files import atomic_path, read_json, write_json
from ..core.images import OpenedImage, encode_image, suffix_as_it_came
from ..core.levels import Levels
from ..formats.coco_rules import Problem
from ..formats.labelled import outline
from ..formats.regions import read_shape

__all__ = ["Corrections", "LABELS_FILE", "LabelledRegion", "check_regions"]

LABELS_FILE = "labels-page.json"
MOST_REGIONS, LONGEST_LABEL = 2000, 100
EXPECTED = '[{"label": "pit", "color": "#ff0000", "segmentation": polygons or RLE}, …]'


class LabelledRegion(NamedTuple):
    """A region of a photograph; `segmentation` is COCO polygons in pixels, or an RLE."""

    label: str
    color: str
    segmentation: Any


def check_regions(said: Any, size_hw: tuple[int, int]) -> list[LabelledRegion]:
    """Check the regions of a photograph of (height, width) that a page sends; none says that nothing is there.

    Raises:
        RequestError: it is no list of regions, or one of them has no label, or an outline that cannot be read.
    """
    if not isinstance(said, list) or len(said) > MOST_REGIONS:
        raise RequestError("the file 'regions' is no list of at most 2000 regions", EXPECTED)
    found = []
    for number, item in enumerate(said, 1):
        label = item.get("label") if isinstance(item, dict) else None
        if not isinstance(label, str) or not 0 < len(label.strip()) <= LONGEST_LABEL:
            raise RequestError(f"region {number} has no label", EXPECTED)
        try:
            shape = read_shape({"segmentation": item.get("segmentation")}, size_hw)
        except Problem as problem:
            raise RequestError(f"region {number}, {label.strip()}: {problem.detail}", EXPECTED) from problem
        polygons = None if shape.polygons is None else [list(polygon) for polygon in shape.polygons]
        found.append(LabelledRegion(label.strip(), str(item.get("color", ""))[:7], polygons or shape.rle))
    return found


class Corrections:
    """Photographs in a folder, and their regions in its LABELS_FILE (COCO). Processes that share it take turns.

    What a person sends is never removed. A photograph that is sent again gets its new regions in place of the old.

    Args:
        folder: made when the first photograph comes.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def keep(self, data: bytes, opened: OpenedImage, regions: Sequence[LabelledRegion],
             levels: Levels) -> dict[str, Any]:
        """Write a photograph and its regions.

        Args:
            data: its file, which stays as it is where annotators show it as the page did; else a PNG is written.
            opened: its header.
            regions: of it.
            levels: what becomes black and white of a photograph with more than 8 bits.

        Returns:
            `file`, `labels`: the path of each; `photographs`: how many the labels are of now.

        Raises:
            ImageError: the photograph is damaged.
            ServiceError: the folder cannot be written (507).
        """
        size_hw = opened.upright_hw
        suffix = suffix_as_it_came(data, opened.orientation, opened.wide)
        name = f"page-{hashlib.blake2b(data, digest_size=8).hexdigest()}{suffix or '.png'}"
        # Decoded whatever is written: a damaged file must not become a label.
        rgb = opened.decode(levels=levels)
        content = data if suffix else encode_image(rgb, ".png")
        try:
            with self._turn():
                with atomic_path(self._folder / name) as temporary:
                    temporary.write_bytes(content)
                photographs = self._note(name, size_hw, regions)
        except OSError as error:
            raise ServiceError(f"the labels cannot be kept: {error.strerror or error}",
                               f"a folder {self._folder} that the service may write to",
                               "download them as COCO, or start the service with COLLECT=1, which mounts the folder",
                               507) from error
        return {"file": str(self._folder / name), "labels": str(self._folder / LABELS_FILE),
                "photographs": photographs}

    def _note(self, name: str, size_hw: tuple[int, int], regions: Sequence[LabelledRegion]) -> int:
        path = self._folder / LABELS_FILE
        known = read_json(path) if path.is_file() else {"images": [], "annotations": [], "categories": []}
        found, number, first = with_image(known, name, size_hw, [item.label for item in regions],
                                          [item.color for item in regions])
        numbers = {item["name"]: item["id"] for item in found["categories"]}
        found["annotations"] += [{"id": first + place, "image_id": number, "category_id": numbers[item.label],
                                  **outline(item.segmentation, size_hw), "iscrowd": 0, "isbbox": False,
                                  "color": item.color, "metadata": {}} for place, item in enumerate(regions)]
        write_json(path, found)
        return len(found["images"])

    @contextmanager
    def _turn(self) -> Iterator[None]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
