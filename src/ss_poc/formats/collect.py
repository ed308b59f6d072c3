"""Images and regions of a label file of any format, put together as a COCO json would say them."""

from __future__ import annotations

import codecs
import contextlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ArtifactError
from ..core.files import read_json
from ..core.masks import encode_rle
from .coco import Annotation, Category, Coco, ImageEntry
from .coco_rules import Finding, finding

__all__ = ["Collected", "circle", "ellipse", "flat", "pasted", "rectangle", "text_of", "whole_jsons"]

# Corners of the polygon that stands for a circle or an ellipse: its area is 0.2 % too small.
CORNERS = 64
LARGEST_TEXT = 100_000_000  # bytes


@dataclass
class Collected:
    """Gathers images and regions in the order in which a reader meets them.

    Attributes:
        colors: labels in their order, each with its `#rrggbb` colour or "". Labels that come up later follow, by name.
    """

    colors: Mapping[str, str] = field(default_factory=dict)
    _images: list[ImageEntry] = field(default_factory=list)
    _regions: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)

    def image(self, file_name: str, size_hw: Sequence[int] | None = None) -> int:
        """Add an image, and return its id.

        Args:
            file_name: as the label file gives it.
            size_hw: (height, width) in pixels; None where the label file gives none.
        """
        number = len(self._images) + 1
        size = (int(size_hw[0]), int(size_hw[1])) if size_hw and all(size_hw) else None
        self._images.append(ImageEntry(number, file_name, None, size))
        return number

    def region(self, image: int, label: str, **values: Any) -> None:
        """Add a region to an image.

        Args:
            image: id of the image.
            label: name of its class.
            values: as an annotation of COCO has them: `segmentation`, polygons in pixels or an RLE; or `bbox` where the
                tool says no more; or `unusable`, a sentence on what was drawn instead.
        """
        self._regions.append((image, str(label).strip(), values))

    def coco(self) -> Coco:
        """Return all of it."""
        met = {label for _, label, _ in self._regions} - set(self.colors)
        labels = [*self.colors, *sorted(met)]
        categories = tuple(Category(number, label, self.colors.get(label) or None, False)
                           for number, label in enumerate(labels, 1))
        ids = {category.name: category.id for category in categories}
        annotations = tuple(Annotation(number, image, ids[label], values)
                            for number, (image, label, values) in enumerate(self._regions, 1))
        return Coco(tuple(self._images), categories, annotations)


def rectangle(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    """Return a rectangle as COCO polygons; corners in pixels, in any order."""
    left, right = sorted((float(left), float(right)))
    top, bottom = sorted((float(top), float(bottom)))
    return [[left, top, right, top, right, bottom, left, bottom]]


def circle(x: float, y: float, radius: float) -> list[list[float]]:
    """Return a circle as COCO polygons; centre and radius in pixels."""
    return ellipse(x, y, radius, radius)


def ellipse(x: float, y: float, radius_x: float, radius_y: float, degrees: float = 0.0) -> list[list[float]]:
    """Return an ellipse, turned clockwise by `degrees`, as COCO polygons; centre and radii in pixels."""
    angles = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)
    across, down = float(radius_x) * np.cos(angles), float(radius_y) * np.sin(angles)
    turn = np.deg2rad(float(degrees))
    points = np.stack([float(x) + across * np.cos(turn) - down * np.sin(turn),
                       float(y) + across * np.sin(turn) + down * np.cos(turn)], axis=1)
    return [points.round(3).ravel().tolist()]


def pasted(piece: np.ndarray, left: int, top: int, size_hw: Sequence[int]) -> dict[str, Any]:
    """Return the RLE of a mask that is `piece`, (h, w) bool, with its upper left corner at (left, top), else empty."""
    whole = np.zeros((int(size_hw[0]), int(size_hw[1])), bool)
    target = whole[top:top + piece.shape[0], left:left + piece.shape[1]]
    target |= piece[:target.shape[0], :target.shape[1]]
    return encode_rle(whole)


def whole_jsons(paths: Iterable[Path], findings: list[Finding]) -> Iterator[tuple[Path, Any]]:
    """Yield each file with what it holds; damaged ones are appended to `findings`, and do not stop the others."""
    for path in paths:
        try:
            value = read_json(path)
        except ArtifactError as error:
            findings.append(finding("file-unreadable", path.name, error.what))
            continue
        yield path, value


def text_of(path: Path) -> str:
    """Return what a text file of labels holds: UTF-8, UTF-16 with its mark, or the Korean code page of Windows.

    Raises:
        ArtifactError: it is written in none of these, or is larger than LARGEST_TEXT.
    """
    if path.stat().st_size > LARGEST_TEXT:
        raise ArtifactError(f"{path} has {path.stat().st_size / 1e6:.0f} MB", "a text file of labels, of at most "
                            f"{LARGEST_TEXT / 1e6:.0f} MB")
    data = path.read_bytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for coding in ("utf-16",) if wide else ("utf-8-sig", "cp949"):
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode(coding)
    raise ArtifactError(f"{path} is not written in UTF-8", "UTF-8, UTF-16 or cp949",
                        "open it in an editor and save it as UTF-8")


def flat(points: Iterable[Sequence[float]]) -> array[float]:
    """Return points (x, y) in the order of a polygon of COCO: x, y, x, y, …, in 8 bytes each where a list takes 32."""
    points = list(points)
    pairs = points if set(map(len, points)) == {2} else [point[:2] for point in points]
    return array("d", map(float, chain.from_iterable(pairs)))
