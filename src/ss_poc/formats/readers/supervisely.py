"""Supervisely's json: `ann/PHOTOGRAPH.json` beside `img/PHOTOGRAPH` (docs.supervisely.com, "Supervisely JSON")."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...core.files import read_json
from ...core.masks import encode_rle, polygons_to_mask
from ..coco import Coco
from ..coco_rules import Finding, show
from ..collect import Collected, flat, pasted, rectangle, whole_jsons

__all__ = ["is_supervisely", "read_supervisely"]


def is_supervisely(value: Any) -> bool:
    """Whether a json is that of one photograph in Supervisely."""
    return (isinstance(value, Mapping) and isinstance(value.get("objects"), list)
            and isinstance(value.get("size"), Mapping))


def read_supervisely(source: Path, photos: Path, findings: list[Finding]) -> Coco:
    """Read all of Supervisely's files in the folders `ann`.

    Args:
        source: folder of a project.
        photos: folder of the photographs; not used, the files say all.
        findings: gets what is left out.
    """
    del photos
    found = Collected(_colors(source / "meta.json"))
    for path, value in whole_jsons(sorted(source.rglob("ann/*.json")), findings):
        if is_supervisely(value):
            size_hw = int(value["size"]["height"]), int(value["size"]["width"])
            place = path.relative_to(source).parent.parent / "img" / path.name.removesuffix(".json")
            image = found.image(place.as_posix(), size_hw)
            for item in value["objects"]:
                found.region(image, str(item.get("classTitle", "")), **_values(item, size_hw))
    return found.coco()


def _colors(meta: Path) -> dict[str, str]:
    if not meta.is_file():
        return {}
    return {str(item["title"]): str(item.get("color", "")).lower() for item in read_json(meta).get("classes", ())}


def _values(item: Mapping[str, Any], size_hw: tuple[int, int]) -> dict[str, Any]:
    kind = str(item.get("geometryType", "")) or ("bitmap" if item.get("bitmap") else "polygon")
    try:
        if kind == "bitmap":
            return {"segmentation": _bitmap(item["bitmap"], size_hw)}
        if kind in ("polygon", "rectangle"):
            outline, holes = item["points"]["exterior"], item["points"].get("interior") or ()
            polygons = [flat(outline)] if kind == "polygon" else rectangle(*outline[0], *outline[1])
            return {"segmentation": _without(polygons, [flat(hole) for hole in holes], size_hw)}
    except (KeyError, TypeError, ValueError, IndexError, OSError, zlib.error, binascii.Error):
        return {"segmentation": f"a {kind} of {show(item.get('points'))}"}
    return {"unusable": f"a {kind}"}


def _without(polygons: Sequence[Sequence[float]], holes: Sequence[Sequence[float]], size_hw: tuple[int, int]) -> Any:
    """Polygons, or an RLE where holes are cut out of them."""
    if not holes:
        return polygons
    return encode_rle(polygons_to_mask(polygons, size_hw) & ~polygons_to_mask(holes, size_hw))


def _bitmap(value: Mapping[str, Any], size_hw: tuple[int, int]) -> dict[str, Any]:
    """A bitmap is a PNG, packed by zlib, in base64, with its upper left corner."""
    unpacked = zlib.decompressobj().decompress(base64.b64decode(value["data"]), 4 * size_hw[0] * size_hw[1] + (1 << 20))
    with Image.open(io.BytesIO(unpacked)) as picture:
        piece = np.array(picture)
    piece = piece[..., -1] > 0 if piece.ndim == 3 else piece > 0
    left, top = (int(number) for number in value["origin"])
    return pasted(piece, left, top, size_hw)
