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
from ..measuring.judge import Found, Judgement, judge
from ..measuring.settings import PartRules

__all__ = ["SCHEMA", "Row", "error_rows", "predicted_rows", "rows_of"]

Row = dict[str, Any]

# image: name. label: class; null where the photograph could not be read. height, width: in pixels, and counts: COCO's
# compressed RLE of that size. score: highest probability of a marked pixel, 0..1. objects: json, a list of `score`,
# `area` and `bbox`. verdict: whether the class makes the photograph a defective one. annotation: json, COCO's, without
# its numbers; null where nothing is marked. error: why it could not be read, else null. With part rules, else null:
# judgement: accept, warn, reject or error, of the photograph; reasons: json, a list of them; measurements: json, of the
# class, see `measuring.judge`; null where it is not in the region. probability: of a defect on the photograph, 0..1;
# null where the model cannot tell.
SCHEMA = pa.schema([
    ("image", pa.string()), ("label", pa.string()), ("height", pa.int32()), ("width", pa.int32()),
    ("counts", pa.string()), ("score", pa.float64()), ("objects", pa.string()), ("verdict", pa.bool_()),
    ("annotation", pa.string()), ("error", pa.string()), ("judgement", pa.string()), ("reasons", pa.string()),
    ("measurements", pa.string()), ("probability", pa.float64())])


def rows_of(name: str, found: Prediction, spec: ModelSpec, judged: Judgement | None = None) -> list[Row]:
    """Return the rows of a photograph, in the order of the classes.

    Args:
        name: of the photograph.
        found: on it.
        spec: of the model.
        judged: what part rules say of it; None without rules.
    """
    height, width = found.mask.shape[:2]
    objects: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item in found.objects:
        objects[item["label"]].append({key: value for key, value in item.items() if key != "label"})
    annotations = {item["category_id"]: json.dumps(item) for item in found.coco_annotations(spec.category_ids, 0)}
    defects = found.verdict["labels"]
    measured = {item["label"]: json.dumps(item) for item in judged.measurements} if judged else {}
    decided = {"judgement": judged.verdict, "reasons": json.dumps(judged.reasons)} if judged else \
        {"judgement": None, "reasons": None}
    return [{"image": name, "label": label, "height": height, "width": width, "counts": rle["counts"], "score": score,
             "objects": json.dumps(objects[label]), "verdict": label in defects,
             "annotation": annotations.get(category), "error": None, **decided, "measurements": measured.get(label),
             "probability": found.probability_of_defect}
            for label, category, rle, score in zip(spec.labels, spec.category_ids, found.rles, found.scores,
                                                   strict=True)]


def error_rows(unread: Unread) -> list[Row]:
    """Return the row of a photograph that cannot be read."""
    return [{**dict.fromkeys(SCHEMA.names), "image": unread.name, "error": unread.reason}]


def predicted_rows(predictor: Predictor, name: str, read: Read | Unread, threshold: float | None,
                   rules: PartRules | None = None,
                   show: Callable[[Read, Prediction, Judgement | None], None] | None = None) -> list[Row]:
    """Return the rows of a photograph, whether it could be read or not; what is odd about it goes to stderr.

    Args:
        predictor: the model.
        name: of the photograph.
        read: what came of reading it.
        threshold: probability in 0..1 for every class, or None for each rule's own.
        rules: by which the part is judged, if there are some.
        show: gets the photograph, what was found on it and how it was judged, if it could be read.
    """
    if isinstance(read, Unread):
        return error_rows(read)
    for warning in range_warnings(read.values, predictor.spec.levels):
        tqdm.write(f"note: {name}: {warning}", sys.stderr)
    found = predictor.predict(read.image_rgb, threshold)
    judged = judge(Found(found.labels, found.rles, found.verdict["labels"]), rules, lambda: read.image_rgb) \
        if rules else None
    if show:
        show(read, found, judged)
    return rows_of(name, found, predictor.spec, judged)
