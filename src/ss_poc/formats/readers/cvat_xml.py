"""CVAT for images 1.1: an xml with the shapes of each image (docs.cvat.ai, "CVAT for image")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ...core.errors import ArtifactError
from ..coco import Coco
from ..coco_rules import Finding
from ..collect import Collected, ellipse, pasted, rectangle

__all__ = ["is_cvat_xml", "read_cvat_xml"]


def is_cvat_xml(path: Path) -> bool:
    """Whether a file begins as CVAT's xml does."""
    return path.suffix.lower() == ".xml" and b"<annotations" in path.open("rb").read(2000)


def read_cvat_xml(source: Path, photos: Path, findings: list[Finding]) -> Coco:
    """Read an annotations.xml.

    Args:
        source: the file.
        photos: folder of the photographs; not used, the file says all.
        findings: not used.

    Raises:
        ArtifactError: it is no xml, or declares entities.
    """
    del photos, findings
    colors: dict[str, str] = {}
    found = Collected(colors)
    parser: ElementTree.XMLPullParser[ElementTree.Element] = ElementTree.XMLPullParser(["end"])
    try:
        for piece in _pieces(source):
            parser.feed(piece)
            for event in parser.read_events():
                _take(event[1], found, colors)  # type: ignore[arg-type, misc]  # "end" events are pairs
        parser.close()
    except (ElementTree.ParseError, ValueError, KeyError) as error:
        raise ArtifactError(f"{source} is no xml of CVAT: {error}", "a whole annotations.xml of CVAT for images 1.1",
                            "export the task again") from error
    return found.coco()


def _pieces(source: Path) -> Iterator[bytes]:
    """The file bit by bit, as far as it declares no entities, which may stand for gigabytes or for another file."""
    before = b""
    with source.open("rb") as file:
        while piece := file.read(1 << 20):
            if b"<!DOCTYPE" in before + piece or b"<!ENTITY" in before + piece or b"\0" in piece:
                raise ArtifactError(f"{source} declares a document type or entities, or is not written in UTF-8",
                                    "an annotations.xml as CVAT writes it", "export the task again")
            yield piece
            before = piece[-16:]


def _take(element: ElementTree.Element, found: Collected, colors: dict[str, str]) -> None:
    if element.tag == "label" and element.find("name") is not None:
        colors.setdefault(str(element.findtext("name")), element.findtext("color") or "")
    if element.tag == "image":
        size_hw = int(float(element.get("height", 0))), int(float(element.get("width", 0)))
        image = found.image(element.get("name", ""), size_hw)
        for shape in element:
            if shape.get("label"):
                found.region(image, str(shape.get("label")), **_values(shape.tag, shape.attrib, size_hw))
        element.clear()  # a task of a million shapes stays small in memory


def _polygon(shape: Mapping[str, str], _: tuple[int, int]) -> Any:
    return [[float(value) for point in shape["points"].split(";") for value in point.split(",")]]


def _box(shape: Mapping[str, str], _: tuple[int, int]) -> Any:
    left, top, right, bottom = (float(shape[name]) for name in ("xtl", "ytl", "xbr", "ybr"))
    x, y = (left + right) / 2, (top + bottom) / 2
    turn = np.deg2rad(float(shape.get("rotation", 0)))
    corners = np.array(rectangle(left, top, right, bottom)).reshape(-1, 2) - (x, y)
    turned = corners @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return [(turned + (x, y)).round(3).ravel().tolist()]


def _ellipse(shape: Mapping[str, str], _: tuple[int, int]) -> Any:
    x, y, radius_x, radius_y = (float(shape[name]) for name in ("cx", "cy", "rx", "ry"))
    return ellipse(x, y, radius_x, radius_y, float(shape.get("rotation", 0)))


def _mask(shape: Mapping[str, str], size_hw: tuple[int, int]) -> Any:
    """A mask's runs go along the rows of its box, background first."""
    left, top, width, height = (int(float(shape[name])) for name in ("left", "top", "width", "height"))
    runs = [int(run) for run in shape["rle"].split(",")]
    if sum(runs) != width * height:
        raise ValueError(f"the runs of a mask sum to {sum(runs)}, its box has {width * height} pixels")
    piece = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return pasted(piece, left, top, size_hw)


SHAPES: Mapping[str, Callable[[Mapping[str, str], tuple[int, int]], Any]] = {
    "polygon": _polygon, "box": _box, "ellipse": _ellipse, "mask": _mask}


def _values(kind: str, shape: Mapping[str, str], size_hw: tuple[int, int]) -> dict[str, Any]:
    return {"segmentation": SHAPES[kind](shape, size_hw)} if kind in SHAPES else {"unusable": f"a {kind}"}
