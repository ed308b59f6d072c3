"""labelme's own json: a file beside each photograph (github.com/wkentaro/labelme, `label_file.py`)."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from PIL import Image

from ..coco import Coco
from ..coco_rules import Finding, show
from ..collect import Collected, circle, flat, pasted, rectangle, whole_jsons

__all__ = ["is_labelme", "read_labelme"]


def is_labelme(value: Any) -> bool:
    """Whether a json is one of labelme's."""
    return isinstance(value, dict) and isinstance(value.get("shapes"), list) and "imagePath" in value


def read_labelme(source: Path, photos: Path, findings: list[Finding]) -> Coco:
    """Read all of labelme's files in a folder and its subfolders, or one of them.

    Args:
        source: the folder, or a file.
        photos: folder of the photographs; not used, the files say all.
        findings: gets what is left out.
    """
    del photos
    found = Collected()
    for path, value in whole_jsons([source] if source.is_file() else sorted(source.rglob("*.json")), findings):
        if is_labelme(value):
            _add(found, value, path.parent.relative_to(source) if source.is_dir() else Path())
    return found.coco()


def _add(found: Collected, value: Mapping[str, Any], folder: Path) -> None:
    size_hw = value.get("imageHeight"), value.get("imageWidth")
    whole = all(isinstance(side, (int, float)) and side > 0 for side in size_hw)
    given = PureWindowsPath(str(value["imagePath"]))  # knows both kinds of slashes
    name = given.as_posix() if given.is_absolute() or ".." in given.parts else (folder / given.as_posix()).as_posix()
    image = found.image(name, size_hw if whole else None)  # type: ignore[arg-type]  # they are numbers
    for shape in value["shapes"]:
        if isinstance(shape, Mapping):
            found.region(image, str(shape.get("label", "")), **_values(shape, size_hw))


def _values(shape: Mapping[str, Any], size_hw: tuple[Any, Any]) -> dict[str, Any]:
    kind, points = shape.get("shape_type") or "polygon", shape.get("points")
    try:
        if kind == "mask":
            return {"segmentation": _mask(shape, size_hw)}
        if kind == "polygon":
            return {"segmentation": [flat(points)]}  # type: ignore[arg-type]  # the except below is for this
        if kind == "rectangle":
            corners = np.array(points, float)  # two of them, or all four
            (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
            return {"segmentation": rectangle(left, top, right, bottom)}
        if kind == "circle":
            (x, y), edge = points  # type: ignore[misc]
            return {"segmentation": circle(x, y, math.dist((x, y), edge))}
    except (TypeError, ValueError, IndexError, KeyError, OSError, binascii.Error):
        return {"segmentation": f"a {kind} of {show(points)}"}
    return {"unusable": f"a {kind}"}


def _mask(shape: Mapping[str, Any], size_hw: tuple[Any, Any]) -> dict[str, Any]:
    """The RLE of a mask: a PNG, in base64, of the box between its two points."""
    (left, top), _ = shape["points"]
    with Image.open(io.BytesIO(base64.b64decode(shape["mask"]))) as picture:
        piece = np.array(picture) > 0
    return pasted(piece, int(left), int(top), size_hw)
