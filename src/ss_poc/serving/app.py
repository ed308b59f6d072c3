"""The web application: routes, and what goes on between a request and its answer."""

from __future__ import annotations

import functools
import json
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from pydantic_core import to_json
from starlette.staticfiles import StaticFiles

from ..core.config import ServeConfig
from ..core.deployed import SERVICE
from ..core.drawing import draw_overlay
from ..core.errors import ImageError, SegmentError
from ..core.images import decode_image, encode_image, header
from ..formats.label_studio import controls
from ..inference.appearance import measure
from ..inference.predictor import Prediction, Predictor
from .admission import Gate
from .answers import answer, coco, label_map, probability_maps
from .collector import Collector
from .drift import Drift
from .label_studio import load_image, regions
from .metrics import (
    BRIGHTNESS,
    CONFIDENCE,
    CONTRAST,
    DRIFT,
    FOUND,
    IMAGES,
    INFO,
    METRICS_TYPE,
    QUEUE,
    READY,
    metrics_text,
)
from .middleware import Guard, Life, Origins, error_response
from .openapi import BATCH, DESCRIPTION, LABEL_STUDIO_PREDICT, LABEL_STUDIO_SETUP, PREDICT
from .uploads import Upload, read_body, read_files

__all__ = ["FORMATS", "Served", "application"]

FORMATS = ("json", "png", "mask", "coco")
PAGE = Path(__file__).parent / "page"
# Swagger UI comes with BentoML: nothing is loaded from elsewhere.
SWAGGER = Path(bentoml.__file__).parent / "_internal" / "server" / "static_content"
# All requests in memory together may hold so many times the largest one.
BODIES_AT_ONCE = 8
# Images of more pixels go through one at a time: they take about 20 bytes a pixel.
LARGE = 16_000_000


class Served:
    """A model and what goes with it: samples, drift, the collector.

    Args:
        predictor: the model.
        folder: of the model, with `samples/` and `card.json`.
        card: what is told of the model: scores, and the reference of the training images.
        config: of the service.
    """

    def __init__(self, predictor: Predictor, folder: Path, card: Mapping[str, Any], config: ServeConfig) -> None:
        self.predictor, self.folder, self.card = predictor, folder, card
        self.drift = Drift(card.get("reference") or {})
        self.collector = Collector(Path(config.collect_path), predictor.spec, config.collect,
                                   config.collect_days) if config.collect else None

    def look(self, data: bytes, image: np.ndarray, prediction: Prediction) -> None:
        """Count an image, compare it with those of training, keep it if it is worth it."""
        measured = measure(image, prediction.probability)
        verdict = prediction.verdict
        IMAGES.labels("defect" if verdict["defect"] else "clean").inc()
        for label in verdict["labels"]:
            FOUND.labels(label).inc()
        BRIGHTNESS.observe(measured["brightness"])
        CONTRAST.observe(measured["contrast"])
        CONFIDENCE.observe(measured["confidence"])
        self.drift.add(measured)
        if self.collector:
            self.collector.offer(data, image, prediction, 1 - measured["confidence"])


def application(config: ServeConfig) -> FastAPI:
    """The web application; `app.state.served` must be set before the first request."""
    app = FastAPI(title=SERVICE, description=DESCRIPTION, docs_url=None, redoc_url=None)
    app.state.config, app.state.life = config, Life()
    app.state.gate = Gate(config.concurrency, config.engine_threads + 1, BODIES_AT_ONCE * config.max_bytes)
    app.state.large = threading.Lock()
    app.add_exception_handler(SegmentError, _refuse)
    app.add_middleware(Guard, token=config.api_token, life=app.state.life)
    app.add_middleware(Origins, origins=config.cors)
    app.add_api_route("/predict", predict, methods=["POST"], openapi_extra=PREDICT, response_class=Response)
    app.add_api_route("/predict_batch", predict_batch, methods=["POST"], openapi_extra=BATCH, response_class=Response)
    app.add_api_route("/info", info, methods=["GET"], summary="The model, its scores and the limits")
    app.add_api_route("/drift.json", drift, methods=["GET"], summary="The last images against those of training")
    for path, endpoint, told in (("/label-studio/setup", ls_setup, LABEL_STUDIO_SETUP),
                                 ("/label-studio/predict", ls_predict, LABEL_STUDIO_PREDICT)):
        app.add_api_route(path, endpoint, methods=["POST"], openapi_extra=told, response_class=Response)
    app.add_api_route("/label-studio/health", ls_health, methods=["GET"], summary="Label Studio's question")
    app.add_api_route("/metrics", metrics, methods=["GET"], response_class=Response, summary="Numbers for Prometheus")
    app.add_api_route("/samples/{name}", sample, methods=["GET"], response_class=FileResponse, include_in_schema=False)
    for path, file in (("/", "index.html"), ("/drift", "drift.html"), ("/docs", "docs.html")):
        app.add_api_route(path, functools.partial(page, file), methods=["GET"], include_in_schema=False)
    app.mount("/page", StaticFiles(directory=PAGE))
    app.mount("/docs-files", StaticFiles(directory=SWAGGER))
    return app


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SegmentError)
    request.state.note["reason"] = error.what
    return error_response(error)


async def predict(request: Request) -> Response:
    """Segment one image."""
    started, config, gate = time.perf_counter(), request.app.state.config, request.app.state.gate
    kind, threshold, with_maps = _query(request)
    gate.check()
    with gate.holding() as count:
        upload = _the_image(await read_files(request, config, count, most=1))
        work = functools.partial(_respond, request, upload, kind, threshold, with_maps, started)
        response: Response = await gate.run(work, config.timeout)
        return response


def _the_image(uploads: list[Upload]) -> Upload:
    found = next((upload for upload in uploads if upload.field == "image"), None)
    if found is None or not found.is_file:
        what = "there is no file 'image' in the form" if found is None else "'image' is a text, not a file"
        raise ImageError(what, "the image as a file", "curl -X POST URL -F image=@photo.jpg")
    return found


def _see(request: Request, data: bytes, threshold: float | None) -> tuple[np.ndarray, Prediction]:
    """Decode an image, predict, and count it; runs in a thread."""
    served, most = request.app.state.served, request.app.state.config.max_pixels
    height, width = header(data, most)[0]
    with request.app.state.large if height * width > LARGE else nullcontext():
        image = decode_image(data, most)
        prediction = served.predictor.predict(image, threshold)
        served.look(data, image, prediction)
    return image, prediction


def _respond(request: Request, upload: Upload, kind: str, threshold: float | None, with_maps: bool,
             started: float) -> Response:
    predictor: Predictor = request.app.state.served.predictor
    image, prediction = _see(request, upload.data, threshold)
    request.state.note.update(bytes=len(upload.data), height=image.shape[0], width=image.shape[1],
                              labels=prediction.verdict["labels"])
    if kind == "png":
        overlay = draw_overlay(image, predictor.spec.colors, outlined=prediction.mask, filled=prediction.mask)
        return Response(encode_image(overlay, ".png"), media_type="image/png")
    if kind == "mask":
        return Response(encode_image(label_map(prediction), ".png"), media_type="image/png")
    body = coco(prediction, predictor, upload.name) if kind == "coco" else answer(prediction, predictor, upload.name,
                                                                                started)
    if with_maps:
        body["maps"] = probability_maps(prediction)
    return _json(body)


def _json(body: Any) -> Response:
    # Five times faster than the standard library on an answer with many polygons (benchmarks/serving.py).
    return Response(to_json(body), media_type="application/json")


def _query(request: Request) -> tuple[str, float | None, bool]:
    """Format, threshold and whether probability maps are wanted."""
    accepts_picture = request.headers.get("accept", "").startswith("image/png")
    kind = request.query_params.get("format", "png" if accepts_picture else "json")
    if kind not in FORMATS:
        raise ImageError(f"format is {kind!r}", "one of " + ", ".join(FORMATS))
    maps = request.query_params.get("maps", "0")
    if maps not in ("0", "1"):
        raise ImageError(f"maps is {maps!r}", "0 or 1")
    text = request.query_params.get("threshold")
    if text is None:
        return kind, None, maps == "1"
    try:
        threshold = float(text)
    except ValueError:
        threshold = float("nan")
    if not 0 <= threshold <= 1:
        raise ImageError(f"threshold is {text!r}", "a number from 0 to 1")
    return kind, threshold, maps == "1"


async def predict_batch(request: Request) -> Response:
    """Segment several images; one that is broken does not fail the others."""
    config, gate = request.app.state.config, request.app.state.gate
    kind, threshold, _ = _query(request)
    if kind not in ("json", "coco"):
        raise ImageError(f"format is {kind!r}", "json or coco, which can hold several answers")
    gate.check()
    with gate.holding() as count:
        uploads = await read_files(request, config, count, most=config.max_images)
        files = [upload for upload in uploads if upload.is_file]
        if not files:
            raise ImageError("there is no file in the form", "one or more images",
                             "curl -F image=@a.jpg -F image=@b.jpg")
        results: list[dict[str, Any]] = await gate.run(functools.partial(_each, request, files, kind, threshold),
                                                       config.timeout)
    return _json({"results": results})


def _each(request: Request, files: list[Upload], kind: str, threshold: float | None) -> list[dict[str, Any]]:
    predictor: Predictor = request.app.state.served.predictor
    results: list[dict[str, Any]] = []
    for upload in files:
        started = time.perf_counter()
        try:
            _, prediction = _see(request, upload.data, threshold)
            body = coco(prediction, predictor, upload.name) if kind == "coco" else answer(prediction, predictor,
                                                                                        upload.name, started)
            results.append({"name": upload.name, "status": 200, **body})
        except ImageError as error:
            results.append({"name": upload.name, "status": error.status, "error": error.what,
                            "expected": error.expected, "to_do": error.fix})
    request.state.note.update(images=len(files), failed=sum(result["status"] != 200 for result in results))
    return results


async def info(request: Request) -> dict[str, Any]:
    """The model, its scores, its engine, its samples and the limits."""
    served, config = request.app.state.served, request.app.state.config
    spec = served.predictor.spec
    return {"name": spec.name, "version": spec.version, "labels": spec.labels, "colors": spec.colors,
            "size_hw": spec.size_hw, "scale": spec.scale, "network": spec.network, "engine": served.predictor.engine,
            "engines_refused": served.predictor.refused, "scores": served.card.get("scores", {}),
            "thresholds": [rule.proba for rule in served.predictor.rules],
            "samples": [item["name"] for item in served.card.get("samples", [])],
            "limits": {"bytes": config.max_bytes, "pixels": config.max_pixels, "images": config.max_images}}


async def drift(request: Request) -> dict[str, Any]:
    """The last images of this worker against those of training."""
    report: dict[str, Any] = request.app.state.served.drift.report()
    return report


async def metrics(request: Request) -> Response:
    """All numbers in Prometheus' text format."""
    served, life = request.app.state.served, request.app.state.life
    spec = served.predictor.spec
    INFO.labels(spec.name, spec.version, served.predictor.engine).set(1)
    QUEUE.set(request.app.state.gate.inside)
    READY.set(life.takes_requests)
    for item in served.drift.report()["measures"]:
        DRIFT.labels(item["measure"]).set(item["index"])
    return Response(metrics_text(), media_type=METRICS_TYPE)


async def sample(request: Request, name: str) -> Response:
    """One of the photographs that came with the model."""
    served: Served = request.app.state.served
    if name not in [item["name"] for item in served.card.get("samples", [])]:
        raise ImageError(f"there is no sample {name[:100]!r}", "one that /info names", status=404)
    return FileResponse(served.folder / "samples" / name)


async def page(file: str) -> HTMLResponse:
    """A page for people; what it shows it asks for itself."""
    return HTMLResponse((PAGE / file).read_text(encoding="utf-8"))


async def ls_health(request: Request) -> dict[str, str]:
    """Whether the model can be asked, in Label Studio's words."""
    return {"status": "UP", "model_class": SERVICE}


async def ls_setup(request: Request) -> Response:
    """Take a project in: its labelling interface must be one that regions can be written for."""
    body = await _ls_body(request)
    interface = body.get("schema", "")
    if not isinstance(interface, str):
        raise ImageError("'schema' is no text", "the labelling interface")
    if interface.strip():
        controls(interface)
    return _json({"model_version": _ls_version(request)})


async def ls_predict(request: Request) -> Response:
    """Propose regions for Label Studio's tasks."""
    body = await _ls_body(request)
    tasks, interface = body.get("tasks"), body.get("label_config")
    if not isinstance(tasks, list) or not isinstance(interface, str) or not all(
            isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks):
        raise ImageError("this is no request of Label Studio", '{"tasks": [{"data": {…}}], "label_config": "<View>…"}')
    config, gate = request.app.state.config, request.app.state.gate
    results = [await gate.run(functools.partial(_ls_task, request, task["data"], interface), config.timeout)
               for task in tasks]
    return _json({"results": results, "model_version": _ls_version(request)})


def _ls_task(request: Request, data: dict[str, Any], interface: str) -> dict[str, Any]:
    offered = controls(interface)
    reference = data.get(offered[0].value)
    if not isinstance(reference, str):
        raise ImageError(f"the task has no image {offered[0].value!r}", "an address in the task's data")
    image = decode_image(load_image(reference, request.app.state.config), request.app.state.config.max_pixels)
    prediction = request.app.state.served.predictor.predict(image)
    found = regions(prediction, offered)
    request.state.note.update(labels=prediction.verdict["labels"])
    return {"result": found, "score": max((item["score"] for item in found), default=0.0),
            "model_version": _ls_version(request)}


def _ls_version(request: Request) -> str:
    spec = request.app.state.served.predictor.spec
    return f"{spec.name} {spec.version}"


async def _ls_body(request: Request) -> dict[str, Any]:
    gate: Gate = request.app.state.gate
    with gate.holding() as count:
        data = await read_body(request, request.app.state.config, count)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"the request is no json: {str(error)[:100]}", "what Label Studio sends") from error
    if not isinstance(body, dict):
        raise ImageError("the request is no json object", "what Label Studio sends")
    return body
