"""From an uploaded image to its answer: `/predict` and `/predict_batch`."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...core.bit_depth import range_warnings
from ...core.drawing import draw_heat, draw_overlay
from ...core.errors import ImageError, RequestError
from ...core.images import OpenedImage, encode_image
from ...core.levels import Levels
from ...core.refine import resize_probability
from ...inference.predictor import Prediction
from ...measuring.judge import Found, judge
from ..answers import answer, coco, json_response, label_map, probability_maps
from ..collector import ReceivedImage
from ..openapi import BATCH, PREDICT
from ..state import RequestNote, ServiceState, note_of, state_of
from ..uploads import Upload, read_body, read_files

__all__ = ["FORMATS", "router"]

FORMATS = ("json", "png", "heat", "mask", "coco")

router = APIRouter()


@dataclass(frozen=True)
class _Query:
    """What the address asks for: format, a threshold in place of the model's own, probability maps, part rules."""

    format: str
    threshold: float | None
    maps: bool
    rules: str | None


@router.post("/predict", openapi_extra=PREDICT, response_class=Response)
async def predict(request: Request) -> Response:
    """Segment one image."""
    started, state = time.perf_counter(), state_of(request)
    query = _read_query(request, state)
    state.gate.check()
    with state.gate.holding() as count:
        upload = await _read_image(request, state, count)
        work = functools.partial(_respond, state, note_of(request), upload, query, started)
        return await state.gate.run(work, state.config.timeout)


@router.post("/predict_batch", openapi_extra=BATCH, response_class=Response)
async def predict_batch(request: Request) -> Response:
    """Segment several images; one that is broken does not fail the others."""
    state = state_of(request)
    query = _read_query(request, state)
    if query.format not in ("json", "coco"):
        raise RequestError(f"format is {query.format!r}", "json or coco, which can hold several answers")
    state.gate.check()
    with state.gate.holding() as count:
        uploads = await read_files(request, state.config, count, most=state.config.max_images)
        files = [upload for upload in uploads if upload.is_file]
        if not files:
            raise RequestError("there is no file in the form", "one or more images",
                               "curl -F image=@a.jpg -F image=@b.jpg")
        work = functools.partial(_respond_each, state, note_of(request), files, query)
        return json_response({"results": await state.gate.run(work, state.config.timeout)})


def _read_query(request: Request, state: ServiceState) -> _Query:
    accepts_picture = request.headers.get("accept", "").startswith("image/png")
    kind = request.query_params.get("format", "png" if accepts_picture else "json")
    if kind not in FORMATS:
        raise RequestError(f"format is {kind!r}", "one of " + ", ".join(FORMATS))
    maps = request.query_params.get("maps", "0")
    if maps not in ("0", "1"):
        raise RequestError(f"maps is {maps!r}", "0 or 1")
    rules = request.query_params.get("rules")
    if rules is not None and kind != "json":
        raise RequestError(f"rules are asked for with format={kind}", "format=json, which tells what was measured")
    if rules is not None and rules not in state.model.rules:
        raise RequestError(f"there are no rules {rules[:100]!r}", "one of " + (", ".join(state.model.rules) or "none"),
                           "put them into the folder that SS_POC_RULES names, and start the service again")
    return _Query(kind, _threshold(request.query_params.get("threshold")), maps == "1", rules)


def _threshold(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        threshold = float(text)
    except ValueError:
        threshold = float("nan")
    if not 0 <= threshold <= 1:
        raise RequestError(f"threshold is {text!r}", "a number from 0 to 1")
    return threshold


async def _read_image(request: Request, state: ServiceState, count: Callable[[int], None]) -> Upload:
    """Read the image: a form's file, or the whole body where its content type says that it is the image."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind == "application/octet-stream":
        return Upload("image", "image", await read_body(request, state.config, count))
    return _the_image(await read_files(request, state.config, count, most=1))


def _the_image(uploads: list[Upload]) -> Upload:
    found = next((upload for upload in uploads if upload.field == "image"), None)
    if found is None or not found.is_file:
        what = "there is no file 'image' in the form" if found is None else "'image' is a text, not a file"
        raise RequestError(what, "the image as a file", "curl -X POST URL -F image=@photo.jpg")
    return found


def _see(state: ServiceState, data: bytes, opened: OpenedImage,
         threshold: float | None) -> tuple[ReceivedImage, Prediction]:
    """Decode an image, predict, and record it; runs in a thread."""
    image = _received(opened, data, state.model.predictor.spec.levels)
    prediction = state.model.predictor.predict(image.rgb, threshold)
    state.model.record(image, prediction)
    return image, prediction


def _received(opened: OpenedImage, data: bytes, levels: Levels) -> ReceivedImage:
    rgb = opened.decode(levels=levels)
    return ReceivedImage(data, rgb, opened.orientation, opened.wide, tuple(range_warnings(opened.values, levels)))


def _respond(state: ServiceState, note: RequestNote, upload: Upload, query: _Query, started: float) -> Response:
    opened = state.open(upload.data)
    with state.turn_for(opened.size_hw):  # the answer takes as much memory as the prediction
        return _respond_to(state, note, upload, opened, query, started)


def _respond_to(state: ServiceState, note: RequestNote, upload: Upload, opened: OpenedImage, query: _Query,
                started: float) -> Response:
    image, prediction = _see(state, upload.data, opened, query.threshold)
    note.bytes, (note.height, note.width) = len(upload.data), image.rgb.shape[:2]
    note.labels = prediction.verdict["labels"]
    note.warn(image.warnings)
    if query.format == "png":
        overlay = draw_overlay(image.rgb, state.model.predictor.spec.colors, outlined=prediction.mask,
                               filled=prediction.mask)
        return Response(encode_image(overlay, ".png"), media_type="image/png")
    if query.format == "heat":
        highest = resize_probability(prediction.probability.max(axis=-1), image.rgb.shape[:2])
        return Response(encode_image(draw_heat(image.rgb, highest), ".png"), media_type="image/png")
    if query.format == "mask":
        return Response(encode_image(label_map(prediction), ".png"), media_type="image/png")
    body = _body(state, image, prediction, upload.name, query, started)
    if query.maps:
        body["maps"] = probability_maps(prediction)
    return json_response(body)


def _body(state: ServiceState, image: ReceivedImage, prediction: Prediction, name: str, query: _Query,
          started: float) -> dict[str, Any]:
    if query.format == "coco":
        return coco(prediction, state.model.predictor, name)
    judged = None
    if query.rules is not None:
        found = Found(state.model.predictor.spec.labels, prediction.rles, prediction.verdict["labels"])
        judged = {"name": query.rules, **judge(found, state.model.rules[query.rules], lambda: image.rgb).told()}
    return answer(prediction, state.model.predictor, name, started, image.warnings, judged)


def _respond_each(state: ServiceState, note: RequestNote, files: list[Upload], query: _Query) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    for upload in files:
        started = time.perf_counter()
        try:
            opened = state.open(upload.data)
            with state.turn_for(opened.size_hw):
                image, prediction = _see(state, upload.data, opened, query.threshold)
                note.warn(image.warnings)
                body = _body(state, image, prediction, upload.name, query, started)
                del image, prediction
            results.append({"name": upload.name, "status": 200, **body})
        except ImageError as error:
            results.append({"name": upload.name, "status": error.status, "error": error.what,
                            "expected": error.expected, "to_do": error.fix})
    note.images, note.failed = len(files), sum(result["status"] != 200 for result in results)
    return results
