"""The answers of the service: JSON, pictures, COCO."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fastapi.responses import Response
from pydantic_core import to_json

from ..core.errors import RequestError
from ..core.images import encode_image
from ..inference.predictor import Prediction, Predictor, coco_document

__all__ = ["answer", "coco", "json_response", "label_map", "probability_maps"]

MOST_CLASSES = 255


def answer(prediction: Prediction, predictor: Predictor, name: str, started: float,
           warnings: Sequence[str] = (), judged: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Build the JSON answer to one image.

    Args:
        prediction: what the model found.
        predictor: the model.
        name: file name of the image, for the COCO document in the answer.
        started: `time.perf_counter()`, in seconds, when the request came.
        warnings: what is odd about the image's values.
        judged: what part rules say, where the request names some.

    Returns:
        `rle` (one COCO compressed RLE a class), `labels`, `colors`, `objects`, `verdict`, `coco`, `model` and
        `milliseconds`, and `rules` and `warnings` where there are any; `/openapi.json` describes each.
    """
    spec = predictor.spec
    return {
        "rle": prediction.rles, "labels": spec.labels, "colors": spec.colors, "objects": prediction.objects,
        "verdict": prediction.verdict, "coco": coco(prediction, predictor, name),
        "model": {"name": spec.name, "version": spec.version},
        "milliseconds": round((time.perf_counter() - started) * 1000, 1),
        **({"rules": judged} if judged else {}), **({"warnings": warnings} if warnings else {}),
    }


def coco(prediction: Prediction, predictor: Predictor, name: str) -> dict[str, Any]:
    """Build the COCO document of one image named `name`."""
    height, width = prediction.mask.shape[:2]
    return coco_document(predictor.spec, [{"id": 1, "file_name": name, "width": width, "height": height}],
                         prediction.coco_annotations(predictor.spec.category_ids, image_id=1))


def label_map(prediction: Prediction) -> np.ndarray:
    """Paint the masks into one map, (H, W) uint8: 0 for background, channel + 1 for a class.

    Where classes overlap, the last one in channel order is seen.

    Raises:
        RequestError: the model has more classes than a grey PNG of 8 bits has values for.
    """
    if prediction.mask.shape[-1] > MOST_CLASSES:
        raise RequestError(f"the model has {prediction.mask.shape[-1]} classes",
                           f"at most {MOST_CLASSES}, which is what format=mask can number", "ask for format=json")
    found = np.zeros(prediction.mask.shape[:2], np.uint8)
    for channel in range(prediction.mask.shape[-1]):
        found[prediction.mask[..., channel]] = channel + 1
    return found


def probability_maps(prediction: Prediction) -> list[str]:
    """Write each class' probability, at the model's scale, as a grey PNG in base64: 0 to 255 stands for 0 to 1."""
    return [base64.b64encode(encode_image(_grey(prediction.probability[..., channel]), ".png")).decode("ascii")
            for channel in range(prediction.probability.shape[-1])]


def _grey(probability_hw: np.ndarray) -> np.ndarray:
    return np.rint(probability_hw.astype(np.float32) * 255).astype(np.uint8)


def json_response(body: Any) -> Response:
    """Write an answer as JSON, five times faster than the standard library where it has many polygons."""
    return Response(to_json(body), media_type="application/json")  # measured by benchmarks/serving.py
