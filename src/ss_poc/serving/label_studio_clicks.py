"""Label Studio's smart tools: what somebody clicked on, in its words, and the region found as one of its results.

A request carries in `params.context.result` all smart points (Alt makes one negative: `is_positive` false), or the
smart box, of one label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..clicks.guidance import Box, Click
from ..core.errors import RequestError
from ..formats.label_studio import Control, corners_in_percent, results_of
from .clicking import ClickedRegion

__all__ = ["label_of", "pointed_at", "region_results", "smart_results"]

SMART = ("keypointlabels", "rectanglelabels")
EXPECTED = "points and boxes as Label Studio's smart tools send them"


def smart_results(body: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """What was pointed at, of a request for predictions; None where the request is none of a smart tool.

    Raises:
        RequestError: `params` is none of Label Studio's.
    """
    params = body.get("params") or {}
    context = params.get("context") if isinstance(params, dict) else None
    if context is None:
        return None
    results = context.get("result", []) if isinstance(context, dict) else None
    if not isinstance(results, list) or not all(isinstance(item, dict) for item in results):
        raise RequestError("the request's context is none of Label Studio's", EXPECTED)
    return [item for item in results if item.get("type") in SMART]


def label_of(results: Sequence[Mapping[str, Any]]) -> str | None:
    """The label that was pointed with; None where nothing was."""
    named = [label for item in results for label in _value(item).get(item["type"]) or []]
    return str(named[-1]) if named else None


def pointed_at(results: Sequence[Mapping[str, Any]], size_hw: Sequence[int]) -> tuple[list[Click], Box | None]:
    """Clicks, and the last box, in pixels of a photograph of (height, width).

    Raises:
        RequestError: a place is missing or no number.
    """
    height, width = size_hw
    clicks: list[Click] = []
    box = None
    try:
        for item in results:
            value = _value(item)
            if item["type"] == "keypointlabels":
                # What lies on the photograph's right or lower edge belongs to its last pixel.
                x, y = (min(float(value[name]) * side / 100, side - 1 if float(value[name]) <= 100 else float("inf"))
                        for name, side in (("x", width), ("y", height)))
                clicks.append(Click(x, y, bool(item.get("is_positive", True))))
            else:
                corners = corners_in_percent(value, height / width) * (width / 100, height / 100)
                box = Box(*corners.min(axis=0).tolist(), *corners.max(axis=0).tolist())
    except (KeyError, TypeError, ValueError) as error:
        raise RequestError(f"a smart point or box cannot be read: {error!r}", EXPECTED) from error
    return clicks, box


def region_results(region: ClickedRegion, label: str, offered: Sequence[Control]) -> list[dict[str, Any]]:
    """Write a region as polygons where the interface has them for the label, else as a brush stroke; none for none.

    Raises:
        RequestError: the interface has neither for this label.
    """
    if not region.mask.any():
        return []
    control = next((item for item in offered if label in item.labels), None)
    segmentation = region.rle if control and control.kind == "brushlabels" else region.polygons
    return [{**result, "score": round(region.score, 4)}
            for result in results_of(segmentation, label, region.mask.shape, offered, "ss-poc-click")]


def _value(item: Mapping[str, Any]) -> Mapping[str, Any]:
    value = item.get("value")
    if not isinstance(value, dict):
        raise RequestError("a smart point or box has no place", EXPECTED)
    return value
