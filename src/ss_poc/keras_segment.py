"""The service: `POST /predict` takes a photograph and answers with masks.

    bentoml serve deploy/KerasSegmentationService/segment/v_1 --port 8892
    curl -X POST http://127.0.0.1:8892/predict -F image=@photo.jpg
    python -m ss_poc.keras_segment --check      (inside a Bento's src/: is its model whole?)
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import anyio
import bentoml
import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.types import Message

from .artifacts import RULES_JSON, SERVICE
from .config import ServeConfig, from_environment
from .errors import ConfigError, ImageError, SegmentError, run_command
from .images import decode_image, encode_image
from .inference import Prediction, Predictor, coco_document
from .masks import draw_overlay

__all__ = ["KerasSegmentationService", "answer", "application", "label_map"]

FORMATS = ("json", "png", "mask", "coco")
PREDICT_DOCUMENTATION: dict[str, Any] = {
    "summary": "Segment one image",
    "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": {
        "type": "object", "required": ["image"], "properties": {"image": {"type": "string", "format": "binary"}}}}}},
    "parameters": [
        {"name": "format", "in": "query", "schema": {"type": "string", "enum": list(FORMATS), "default": "json"}},
        {"name": "threshold", "in": "query", "schema": {"type": "number", "minimum": 0, "maximum": 1}}],
    "responses": {"200": {"description": "masks, or a picture of them"},
                  "400": {"description": "no image, or a wrong query"}, "413": {"description": "too large"},
                  "415": {"description": "not a format we take"}, "422": {"description": "a damaged image"}},
}


def answer(prediction: Prediction, predictor: Predictor, name: str, started: float) -> dict[str, Any]:
    """The JSON answer to one image.

    Args:
        prediction: what the model said.
        predictor: the model.
        name: file name of the image, for the COCO part.
        started: `time.perf_counter()` when the request came.
    """
    spec = predictor.spec
    return {
        "rle": prediction.rles, "labels": spec.labels, "colors": spec.colors, "objects": prediction.objects,
        "verdict": prediction.verdict, "coco": coco(prediction, predictor, name),
        "model": {"name": spec.name, "version": spec.version},
        "milliseconds": round((time.perf_counter() - started) * 1000, 1),
    }


def coco(prediction: Prediction, predictor: Predictor, name: str) -> dict[str, Any]:
    """The answer as a COCO document of one image."""
    height, width = prediction.mask.shape[:2]
    return coco_document(predictor.spec, [{"id": 1, "file_name": name, "width": width, "height": height}],
                         prediction.coco_annotations(predictor.spec.category_ids, image_id=1))


def label_map(prediction: Prediction) -> np.ndarray:
    """(H, W) uint8: 0 where nothing is, else channel + 1; where classes overlap, the last one in channel order."""
    found = np.zeros(prediction.mask.shape[:2], np.uint8)
    for channel in range(prediction.mask.shape[-1]):
        found[prediction.mask[..., channel]] = channel + 1
    return found


def application(config: ServeConfig) -> FastAPI:
    """The web application; `app.state.predictor` must be set before the first request."""
    app = FastAPI(title=SERVICE, docs_url=None, redoc_url=None)
    # The engine uses every core for one image: more at once only take memory.
    app.state.turn = threading.Semaphore(1)
    app.state.config = config
    app.add_exception_handler(SegmentError, _refuse)
    app.add_api_route("/predict", predict, methods=["POST"], openapi_extra=PREDICT_DOCUMENTATION,
                      response_class=Response)
    app.add_api_route("/", page, methods=["GET"], response_class=HTMLResponse, include_in_schema=False)
    return app


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SegmentError)
    body = {"error": error.what, "expected": error.expected, "to_do": error.fix}
    return JSONResponse({key: text for key, text in body.items() if text}, getattr(error, "status", 500))


async def predict(request: Request) -> Response:
    """Answer `POST /predict`."""
    started = time.perf_counter()
    kind, threshold = _query(request)
    name, data = await _image_of(request, request.app.state.config.max_bytes)
    return await anyio.to_thread.run_sync(_respond, request.app, kind, threshold, name, data, started)


def _respond(app: FastAPI, kind: str, threshold: float | None, name: str, data: bytes, started: float) -> Response:
    predictor: Predictor = app.state.predictor
    image = decode_image(data, app.state.config.max_pixels)
    with app.state.turn:
        prediction = predictor.predict(image, threshold)
    if kind == "png":
        overlay = draw_overlay(image, predictor.spec.colors, outlined=prediction.mask, filled=prediction.mask)
        return Response(encode_image(overlay, ".png"), media_type="image/png")
    if kind == "mask":
        return Response(encode_image(label_map(prediction), ".png"), media_type="image/png")
    return JSONResponse(coco(prediction, predictor, name) if kind == "coco"
                        else answer(prediction, predictor, name, started))


def _query(request: Request) -> tuple[str, float | None]:
    """Format and threshold of a request's query."""
    kind = request.query_params.get("format", "json")
    if kind not in FORMATS:
        raise ImageError(f"format is {kind!r}", "one of " + ", ".join(FORMATS))
    text = request.query_params.get("threshold")
    if text is None:
        return kind, None
    try:
        threshold = float(text)
    except ValueError:
        threshold = float("nan")
    if not 0 <= threshold <= 1:
        raise ImageError(f"threshold is {text!r}", "a number from 0 to 1")
    return kind, threshold


async def _image_of(request: Request, max_bytes: int) -> tuple[str, bytes]:
    """File name and content of the part `image`; reads no more than `max_bytes` of the body."""
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        raise ImageError(f"the request's content type is {kind or 'missing'}",
                         "multipart/form-data with a file 'image'", "curl -X POST URL -F image=@photo.jpg",
                         status=415 if kind else 400)
    too_large = ImageError("the request is too large", f"at most {max_bytes} bytes",
                           "send a smaller file, or raise SS_POC_MAX_BYTES", status=413)
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > max_bytes:
        raise too_large
    received = 0

    async def receive() -> Message:
        nonlocal received
        message = await request.receive()
        received += len(message.get("body", b""))
        if received > max_bytes:
            raise too_large
        return message

    try:
        form = await Request(request.scope, receive).form(max_files=1, max_fields=10)
    except (MultiPartException, HTTPException) as error:
        reason = getattr(error, "message", "") or getattr(error, "detail", "")
        raise ImageError(f"the form cannot be read: {reason}", "multipart/form-data with one file 'image'") from error
    try:
        part = form.get("image")
        if not isinstance(part, UploadFile):
            what = "there is no file 'image' in the form" if part is None else "'image' is a text, not a file"
            raise ImageError(what, "the image as a file", "curl -X POST URL -F image=@photo.jpg")
        return part.filename or "image", await part.read()
    finally:
        await form.close()


async def page(request: Request) -> HTMLResponse:
    """A page to try the model on; it needs no script."""
    spec = request.app.state.predictor.spec
    legend = "".join(f'<li style="color:{escape(color)}">&#9632; <span>{escape(label)}</span></li>'
                     for label, color in zip(spec.labels, spec.colors, strict=True))
    return HTMLResponse(PAGE.format(title=escape(f"{spec.name} {spec.version}"), legend=legend))


PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>body{{font:16px system-ui;max-width:40rem;margin:3rem auto;padding:0 1rem}}
ul{{list-style:none;padding:0}}li span{{color:#222}}button{{font:inherit;padding:.4rem 1rem}}</style>
<h1>{title}</h1><p>Pick a photograph; the answer is the picture with what the model found.</p>
<form action="predict?format=png" method="post" enctype="multipart/form-data">
<input type="file" name="image" accept="image/*" required> <button>Predict</button></form><ul>{legend}</ul>"""


def load_predictor(config: ServeConfig) -> Predictor:
    """The model of the Bento this file lies in (or of SS_POC_MODEL), after one warm inference."""
    folder = Path(os.environ.get("SS_POC_MODEL") or Path(__file__).resolve().parents[2] / "models")
    predictor = Predictor.load(folder, folder / RULES_JSON, config.threads, config.engine)
    for reason in predictor.refused:
        print(f"warning: {reason}", file=sys.stderr, flush=True)
    print(f"engine: {predictor.engine}", file=sys.stderr, flush=True)
    predictor.predict(np.zeros((*predictor.spec.size_hw, 3), np.uint8))
    return predictor


def _config() -> ServeConfig:
    # Read while BentoML imports this file: an exception would reach the operator as a page of traceback.
    try:
        return from_environment(ServeConfig)
    except ConfigError as error:
        raise SystemExit(f"error: {error}") from error


CONFIG = _config()
APP = application(CONFIG)


@bentoml.service(
    name=SERVICE, workers=CONFIG.workers,
    traffic={"timeout": CONFIG.timeout, "max_concurrency": CONFIG.concurrency},
    http={"cors": {"enabled": bool(CONFIG.cors), "access_control_allow_origins": CONFIG.cors.split(","),
                   "access_control_allow_methods": ["GET", "POST", "OPTIONS"],
                   "access_control_allow_headers": ["*"]}},
)
@bentoml.asgi_app(APP, path="/")
class KerasSegmentationService:
    """BentoML's view of the application: it loads the model before the first request is let in."""

    def __init__(self) -> None:
        APP.state.predictor = load_predictor(CONFIG)


def main(argv: Sequence[str] | None = None) -> None:
    """Check that the model beside this file is whole and answers."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", required=True, help="load the model, run it once, leave")
    parser.parse_args(argv)
    spec = load_predictor(CONFIG).spec
    print(f"{spec.name} {spec.version}: {', '.join(spec.labels)}, {spec.network}, {spec.size_hw[0]}x{spec.size_hw[1]}")


if __name__ == "__main__":
    run_command(main)
