"""VGG Image Annotator's json (robots.ox.ac.uk/~vgg/software/via), as a project or as exported annotations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...core.files import read_json
from ..coco import Coco
from ..coco_rules import Finding, show
from ..collect import Collected, circle, ellipse, flat, rectangle

__all__ = ["is_via", "read_via"]


def is_via(value: Any) -> bool:
    """Whether a json is VIA's."""
    if not isinstance(value, Mapping):
        return False
    files = _files(value)
    first = next(iter(files.values()), None) if isinstance(files, Mapping) else None
    return isinstance(first, Mapping) and "filename" in first and "regions" in first


def read_via(source: Path, photos: Path, findings: list[Finding]) -> Coco:
    """Read VIA's json. VIA writes no sizes: the photographs tell them.

    Args:
        source: the json.
        photos: folder of the photographs; not used, the file says all.
        findings: not used.
    """
    del photos, findings
    found = Collected()
    for item in _files(read_json(source)).values():
        image = found.image(str(item["filename"]))
        regions = item["regions"]
        for region in regions.values() if isinstance(regions, Mapping) else regions:
            shape = region.get("shape_attributes") or {}
            found.region(image, _label(region.get("region_attributes") or {}), **_values(shape))
    return found.coco()


def _files(value: Mapping[str, Any]) -> Mapping[str, Any]:
    files: Mapping[str, Any] = value.get("_via_img_metadata", value)
    return files


def _label(attributes: Mapping[str, Any]) -> str:
    """The first attribute that says something; a set of check boxes says the one that is ticked."""
    for value in attributes.values():
        if isinstance(value, Mapping):
            value = next((name for name, ticked in value.items() if ticked), "")
        if value:
            return str(value)
    return "region"


def _values(shape: Mapping[str, Any]) -> dict[str, Any]:
    kind = shape.get("name", "")
    try:
        if kind == "polygon":
            return {"segmentation": [flat(zip(shape["all_points_x"], shape["all_points_y"], strict=True))]}
        if kind == "rect":
            left, top = shape["x"], shape["y"]
            return {"segmentation": rectangle(left, top, left + shape["width"], top + shape["height"])}
        if kind == "circle":
            return {"segmentation": circle(shape["cx"], shape["cy"], shape["r"])}
        if kind == "ellipse":
            return {"segmentation": ellipse(shape["cx"], shape["cy"], shape["rx"], shape["ry"],
                                            np.rad2deg(shape.get("theta", 0)))}
    except (KeyError, TypeError, ValueError):
        return {"segmentation": f"a {kind} of {show(dict(shape))}"}
    return {"unusable": f"a {kind}"}
