"""What is kept of a photograph: a row for each class, or one that says why it could not be read."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from tqdm import tqdm

from ..core.bit_depth import range_warnings
from ..core.model_spec import ModelSpec
from ..inference.predictor import Prediction, Predictor
from ..inference.reading import Read, Unread

__all__ = ["SCHEMA", "Row", "error_rows", "predicted_rows", "rows_of"]

Row = dict[str, Any]

# image: name. label: class; null where the photograph could not be read. height, width: in pixels, and counts: COCO's
# compressed RLE of that size. score: highest probability of a marked pixel, 0..1. objects: json, a list of `score`,
# `area` and `bbox`. verdict: whether the class makes the photograph a defective one. annotation: json, COCO's, without
# its numbers; null where nothing is marked. error: why it could not be read, else null.
SCHEMA = pa.schema([
    ("image", pa.string()), ("label", pa.string()), ("height", pa.int32()), ("width", pa.int32()),
    ("counts", pa.string()), ("score", pa.float64()), ("objects", pa.string()), ("verdict", pa.bool_()),
    ("annotation", pa.string()), ("error", pa.string())])


def rows_of(name: str, found: Prediction, spec: ModelSpec) -> list[Row]:
    """Return the rows of a photograph, in the order of the classes.

    Args:
        name: of the photograph.
        found: on it.
        spec: of the model.
    """
    height, width = found.mask.shape[:2]
    objects: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in found.objects:
        objects[item["label"]].append({key: value for key, value in item.items() if key != "label"})
    annotations = {item["category_id"]: json.dumps(item) for item in found.coco_annotations(spec.category_ids, 0)}
    defects = found.verdict["labels"]
    return [{"image": name, "label": label, "height": height, "width": width, "counts": rle["counts"], "score": score,
             "objects": json.dumps(objects[label]), "verdict": label in defects,
             "annotation": annotations.get(category), "error": None}
            for label, category, rle, score in zip(spec.labels, spec.category_ids, found.rles, found.scores,
                                                   strict=True)]


def error_rows(unread: Unread) -> list[Row]:
    """Return the row of a photograph that cannot be read."""
    return [{**dict.fromkeys(SCHEMA.names), "image": unread.name, "error": unread.reason}]


def predicted_rows(predictor: Predictor, name: str, read: Read | Unread, threshold: float | None,
                   show: Callable[[Read, Prediction], None] | None = None) -> list[Row]:
    """Return the rows of a photograph, whether it could be read or not; what is odd about it goes to stderr.

    Args:
        predictor: the model.
        name: of the photograph.
        read: what came of reading it.
        threshold: probability in 0..1 for every class, or None for each rule's own.
        show: gets the photograph and what was found on it, if it could be read.
    """
    if isinstance(read, Unread):
        return error_rows(read)
    for warning in range_warnings(read.values, predictor.spec.levels):
        tqdm.write(f"note: {name}: {warning}", sys.stderr)
    found = predictor.predict(read.image_rgb, threshold)
    if show:
        show(read, found)
    return rows_of(name, found, predictor.spec)
