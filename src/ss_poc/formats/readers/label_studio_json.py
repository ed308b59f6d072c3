"""Label Studio's own json: a list of tasks with their annotations (labelstud.io, "Export: JSON")."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.errors import RequestError
from ...core.files import read_json
from ..coco import Coco
from ..coco_rules import Finding
from ..collect import Collected, ellipse
from ..label_studio import segmentation_of

__all__ = ["is_label_studio", "read_label_studio"]

# What Label Studio draws that names no pixels.
LINES = {"keypointlabels": "a point", "vectorlabels": "a line"}


def is_label_studio(value: Any) -> bool:
    """Whether a json is a list of Label Studio's tasks."""
    return (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)
            and isinstance(value[0].get("data"), Mapping) and "annotations" in value[0])


def read_label_studio(source: Path, photos: Path, findings: list[Finding]) -> Coco:
    """Read tasks. One without a finished annotation is left out; of several annotations the last one counts.

    Args:
        source: the json.
        photos: folder of the photographs; not used, the file says all.
        findings: not used.
    """
    del photos, findings
    found = Collected()
    for task in read_json(source):
        if not isinstance(task, Mapping) or not isinstance(task.get("data"), Mapping):
            continue
        done = [item for item in task.get("annotations") or ()
                if isinstance(item, Mapping) and not item.get("was_cancelled")]
        name = next((value for value in task["data"].values() if isinstance(value, str)), "")
        if done and name:
            _add(found, name, [item for item in done[-1].get("result") or () if isinstance(item, Mapping)])
    return found.coco()


def _add(found: Collected, name: str, results: list[Mapping[str, Any]]) -> None:
    sizes = [(item["original_height"], item["original_width"]) for item in results
             if item.get("original_height") and item.get("original_width")]
    image = found.image(name, sizes[0] if sizes else None)
    for result in results:
        kind, value = str(result.get("type", "")), result.get("value")
        labels = value.get(kind) if isinstance(value, Mapping) else None
        if labels:
            found.region(image, str(labels[0]), **_values(kind, value, result))


def _values(kind: str, value: Any, result: Mapping[str, Any]) -> dict[str, Any]:
    if kind in LINES:
        return {"unusable": LINES[kind]}
    try:
        if kind == "ellipselabels":
            width, height = float(result["original_width"]) / 100, float(result["original_height"]) / 100
            return {"segmentation": ellipse(value["x"] * width, value["y"] * height, value["radiusX"] * width,
                                            value["radiusY"] * height, value.get("rotation", 0))}
        region = segmentation_of(result)
    except (RequestError, KeyError, TypeError, ValueError) as error:
        return {"segmentation": f"damaged: {error}"[:200]}
    return {"segmentation": region[1]} if region else {"unusable": f"a region of the kind {kind}"}
