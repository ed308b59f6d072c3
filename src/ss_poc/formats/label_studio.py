"""Label Studio's formats: the labelling interface, and regions as polygons in percent or as brush strokes.

Brush masks are thi.ng's rle-pack, as Label Studio writes it. Its own coder comes only with its SDK, which is not
installed where models are served.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

import numpy as np

from ..core.errors import RequestError
from ..core.masks import decode_rle, encode_rle

__all__ = ["Control", "brush_mask", "brush_rle", "controls", "corners_in_percent", "interface", "labels_in",
           "results_of", "segmentation_of"]

KINDS = {"PolygonLabels": "polygonlabels", "BrushLabels": "brushlabels"}
# Title, tag, name and settings of what a new project is labelled with. Only points and boxes are answered by a service
# (`serving.label_studio_clicks`); smart polygons and strokes would be sent and stay without an answer.
TOOLS = (("Polygon", "PolygonLabels", "polygon", 'strokeWidth="2" pointSize="small" smart="false"'),
         ("Brush", "BrushLabels", "brush", 'smart="false"'),
         ("Click", "KeyPointLabels", "point", 'smart="true" smartOnly="true"'),
         ("Box", "RectangleLabels", "box", 'smart="true" smartOnly="true"'))
RUN_BITS = (3, 4, 8, 16)
WORD_BITS = 8


@dataclass(frozen=True)
class Control:
    """A tag of a labelling interface that draws regions: its PolygonLabels or BrushLabels.

    Attributes:
        kind: `polygonlabels` or `brushlabels`.
        name: of the tag.
        to_name: name of the image that it belongs to.
        value: key in a task's data that holds the image.
        labels: names of the classes that it offers.
    """

    kind: str
    name: str
    to_name: str
    value: str
    labels: tuple[str, ...]


def interface(colors: Mapping[str, str]) -> str:
    """Return a labelling interface (XML) with a polygon, a brush, a smart point and a smart box for every label.

    Args:
        colors: a `#rrggbb` colour for the name of each label.
    """
    labels = "".join(f"\n        <Label value={quoteattr(label)} background={quoteattr(color)}/>"
                     for label, color in colors.items())
    # Above the photograph, where they are seen without scrolling.
    row = 'style="display: flex; flex-wrap: wrap; gap: 0 2em"'
    cell = 'style="display: flex; align-items: center; gap: 1em"'
    tools = "".join(f'\n    <View {cell}>\n      <Header value="{title}" size="6"/>\n'
                    f'      <{tag} name="{name}" toName="image" {settings}>{labels}\n      </{tag}>\n    </View>'
                    for title, tag, name, settings in TOOLS)
    return (f'<View>\n  <View {row}>{tools}\n  </View>\n'
            '  <Image name="image" value="$image" zoom="true" zoomControl="true" rotateControl="false"/>\n</View>\n')


def controls(label_config: str) -> list[Control]:
    """Return the polygon and brush tags of a labelling interface, polygons first.

    Raises:
        RequestError: no XML, or nothing in it that regions can be written for.
    """
    tree = _parse(label_config)
    images = {node.get("name", ""): node.get("value", "").lstrip("$") for node in tree.iter("Image")}
    found = [Control(KINDS[node.tag], node.get("name", ""), node.get("toName", ""), images[node.get("toName", "")],
                     tuple(label.get("value", "") for label in node.iter("Label")))
             for node in tree.iter() if node.tag in KINDS and node.get("toName", "") in images]
    if not found:
        raise RequestError("the labelling interface has no polygons and no brush for an image", ADVICE)
    return sorted(found, key=lambda control: control.kind, reverse=True)


ADVICE = "a labelling interface with an Image and PolygonLabels or BrushLabels"


def _parse(label_config: str) -> ElementTree.Element:
    if "<!" in label_config.replace("<!--", ""):
        raise RequestError("the labelling interface declares a document type or entities", ADVICE)
    try:
        return ElementTree.fromstring(label_config)
    except ElementTree.ParseError as error:
        raise RequestError(f"the labelling interface is no XML: {error}", ADVICE) from error


def labels_in(label_config: str) -> dict[str, str]:
    """Return the labels of an interface in its order, each with its colour, or "" where it has none.

    Raises:
        RequestError: the interface is no XML.
    """
    found: dict[str, str] = {}
    for node in _parse(label_config).iter("Label"):
        found.setdefault(node.get("value", ""), node.get("background", ""))
    return found


def results_of(segmentation: Any, label: str, size_hw: Sequence[int], offered: Sequence[Control],
               key: str) -> list[dict[str, Any]]:
    """Return a COCO region as Label Studio's results: one result for each polygon, or a brush stroke for an RLE.

    Args:
        segmentation: polygons [[x, y, …], …] in pixels, or a COCO RLE.
        label: name of its class.
        size_hw: (height, width) of the image.
        offered: the tags of the interface.
        key: the ids of the results begin with it.

    Raises:
        RequestError: no tag of this kind offers the label.
    """
    brush = isinstance(segmentation, Mapping)
    kinds = [control for control in offered if label in control.labels]
    control = next((item for item in kinds if (item.kind == "brushlabels") == brush), kinds[0] if kinds else None)
    if control is None or (control.kind == "polygonlabels") == brush:
        kind = "brush" if brush else "polygons"
        raise RequestError(f"the labelling interface offers no {kind} for {label!r}", ADVICE)
    height, width = size_hw
    if brush:
        values: list[dict[str, Any]] = [{"format": "rle", "rle": brush_rle(decode_rle(segmentation, size_hw))}]
    else:
        values = [{"points": (np.reshape(polygon, (-1, 2)) / (width, height) * 100).round(4).tolist(), "closed": True}
                  for polygon in segmentation]
    return [{"id": f"{key}-{number}", "from_name": control.name, "to_name": control.to_name, "type": control.kind,
             "original_width": width, "original_height": height, "image_rotation": 0,
             "value": {**value, control.kind: [label]}} for number, value in enumerate(values)]


def segmentation_of(result: Mapping[str, Any]) -> tuple[str, Any] | None:
    """Return the label and the COCO segmentation (polygons in pixels, or an RLE) of one of Label Studio's results.

    None: the result is no region with a label. Rectangles, which an interface has if the user changed it, become
    polygons.

    Raises:
        RequestError: a brush stroke is damaged.
    """
    kind, value = result.get("type", ""), result.get("value", {})
    labels = value.get(kind) or []
    if not labels or kind not in ("polygonlabels", "brushlabels", "rectanglelabels"):
        return None
    height, width = int(result["original_height"]), int(result["original_width"])
    if kind == "brushlabels":
        return labels[0], encode_rle(brush_mask(value["rle"], (height, width)))
    points = np.array(value["points"] if kind == "polygonlabels" else corners_in_percent(value, height / width))
    return labels[0], [(points * (width, height) / 100).round(2).ravel().tolist()]


def corners_in_percent(value: Mapping[str, Any], ratio: float) -> np.ndarray:
    """Corners of a rectangle in percent; it is turned clockwise around its upper left one, in pixels of equal sides."""
    angle = np.deg2rad(value.get("rotation", 0.0))
    sides = np.array([[0, 0], [value["width"], 0], [value["width"], value["height"]], [0, value["height"]]], float)
    sides[:, 1] *= ratio
    turned = sides @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned[:, 1] /= ratio
    return turned + (value["x"], value["y"])


def brush_rle(mask_hw: np.ndarray) -> list[int]:
    """Encode an (H, W) bool mask as Label Studio's brush RLE, a list of bytes 0..255.

    The mask is four equal channels of 0 or 255. Bits: how many values (32), bits a value less 1 (5), four lengths
    less 1 that the size of a run may be written in (4 each); then each run: 1, which of the four (2), its size less 1,
    its value (github.com/thi-ng/umbrella, rle-pack).
    """
    values = np.asarray(mask_hw, bool).ravel()
    starts = np.concatenate([[0], np.flatnonzero(values[1:] != values[:-1]) + 1, [len(values)]])
    bits = [f"{4 * len(values):032b}", f"{WORD_BITS - 1:05b}", *(f"{size - 1:04b}" for size in RUN_BITS)]
    for start, end in zip(starts[:-1], starts[1:], strict=True):
        value, left = f"{255 if values[start] else 0:08b}", 4 * int(end - start)
        while left:
            run = min(left, 2 ** RUN_BITS[-1])
            kind = next(index for index, size in enumerate(RUN_BITS) if run <= 2**size)
            bits.append(f"1{kind:02b}{run - 1:0{RUN_BITS[kind]}b}{value}")
            left -= run
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def brush_mask(rle: Sequence[int], size_hw: Sequence[int]) -> np.ndarray:
    """Decode Label Studio's brush RLE to an (H, W) bool mask, True where the fourth channel (opacity) is above 127.

    The format is that of `brush_rle`; a run that begins with 0 lists its values one by one.

    Args:
        rle: bytes 0..255.
        size_hw: (height, width) of the image.

    Raises:
        RequestError: the list ends early, or belongs to an image of another size.
    """
    bits = "".join(f"{byte:08b}" for byte in rle)
    place = 0

    def read(count: int) -> int:
        nonlocal place
        place += count
        if place > len(bits):
            raise RequestError(f"a brush stroke ends after {len(bits)} bits", "a whole one", "draw it again")
        return int(bits[place - count:place], 2)

    total, word = read(32), read(5) + 1
    if total != 4 * size_hw[0] * size_hw[1]:
        raise RequestError(f"a brush stroke has {total} values", f"4 for each pixel of {size_hw[1]}x{size_hw[0]}")
    sizes = [read(4) + 1 for _ in range(4)]
    values = np.zeros(total, np.uint8)
    at = 0
    while at < total:
        alike = read(1)
        end = at + read(sizes[read(2)]) + 1
        if alike:
            values[at:end] = read(word)
        else:
            values[at:end] = [read(word) for _ in range(end - at)]
        at = end
    return np.asarray(values.reshape(*size_hw, 4)[..., 3] > 127)
