"""Label Studio's ML backend: `/label-studio/setup`, `/label-studio/predict` and `/label-studio/health`."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...core.bit_depth import range_warnings
from ...core.deployed import SERVICE
from ...core.errors import RequestError
from ...formats.label_studio import Control, controls
from ..answers import json_response
from ..label_studio import load_image, regions
from ..label_studio_clicks import label_of, pointed_at, region_results, smart_results
from ..openapi import LABEL_STUDIO_PREDICT, LABEL_STUDIO_SETUP
from ..state import RequestNote, ServiceState, note_of, state_of
from ..uploads import read_body

__all__ = ["router"]

# What stands for a model's version where there is none.
CLICKS = "clicks"

router = APIRouter(prefix="/label-studio")


@router.post("/setup", openapi_extra=LABEL_STUDIO_SETUP, response_class=Response)
async def ls_setup(request: Request) -> Response:
    """Take a project in: its labelling interface must be one that regions can be written for."""
    with state_of(request).gate.holding() as count:
        body = await _read_object(request, count)
    interface = body.get("schema", "")
    if not isinstance(interface, str):
        raise RequestError("'schema' is no text", "the labelling interface")
    if interface.strip():
        controls(interface)
    return json_response({"model_version": _version(state_of(request))})


@router.post("/predict", openapi_extra=LABEL_STUDIO_PREDICT, response_class=Response)
async def ls_predict(request: Request) -> Response:
    """Propose regions for Label Studio's tasks, or answer the clicks of its smart tools."""
    state = state_of(request)
    state.gate.check()
    with state.gate.holding() as count:  # the images may be in the body, and stay in memory until the last is done
        return await _propose_each(request, await _read_object(request, count))


async def _propose_each(request: Request, body: dict[str, Any]) -> Response:
    tasks, interface = body.get("tasks"), body.get("label_config")
    if not isinstance(tasks, list) or not isinstance(interface, str) or not all(
            isinstance(task, dict) and isinstance(task.get("data"), dict) for task in tasks):
        raise RequestError("this is no request of Label Studio",
                           '{"tasks": [{"data": {…}}], "label_config": "<View>…"}')
    state, note = state_of(request), note_of(request)
    if len(tasks) > state.config.max_images:
        raise RequestError(f"the request has {len(tasks)} tasks", f"at most {state.config.max_images}",
                           "ask for fewer at once, or raise SS_POC_MAX_IMAGES", status=413)
    pointed = smart_results(body)
    work = _propose if pointed is None else functools.partial(_answer_clicks, pointed)
    results = [await state.gate.run(functools.partial(work, state, note, task["data"], interface),
                                    state.config.timeout) for task in tasks]
    return json_response({"results": results, "model_version": _version(state)})


@router.get("/health", summary="Label Studio's question")
async def ls_health(request: Request) -> dict[str, str]:
    """Whether the model can be asked, in Label Studio's words."""
    return {"status": "UP", "model_class": SERVICE}


def _propose(state: ServiceState, note: RequestNote, data: dict[str, Any],
             interface: str) -> dict[str, Any] | list[dict[str, Any]]:
    """Regions for one task; runs in a thread. Without a model no proposal, where an empty one would be shown."""
    if state.without_model:
        return []
    offered = controls(interface)
    predictor = state.model.predictor
    with state.gate.holding() as count:
        opened = state.open(load_image(_reference(data, offered), state.config, count))
        with state.turn_for(opened.size_hw):
            prediction = predictor.predict(opened.decode(levels=predictor.spec.levels))
            note.warn(range_warnings(opened.values, predictor.spec.levels))
            found = regions(prediction, offered)
    note.labels = prediction.verdict["labels"]
    return _told(found, state)


def _answer_clicks(pointed: Sequence[Mapping[str, Any]], state: ServiceState, note: RequestNote, data: dict[str, Any],
                   interface: str) -> dict[str, Any]:
    """The region that somebody pointed at on one task; runs in a thread. Nothing where nothing was pointed at."""
    offered, label = controls(interface), label_of(pointed)
    if label is None:
        return _told([], state)
    with state.gate.holding() as count:
        content = load_image(_reference(data, offered), state.config, count)
        opened = state.open_to_click(content)
        with state.turn_for(opened.size_hw):
            region = state.clicking.answer(content, opened, functools.partial(pointed_at, pointed), state.levels)
            found = region_results(region, label, offered) if region else []
    note.labels = [label] if found else []
    return _told(found, state)


def _reference(data: dict[str, Any], offered: Sequence[Control]) -> str:
    reference = data.get(offered[0].value)
    if not isinstance(reference, str):
        raise RequestError(f"the task has no image {offered[0].value!r}", "an address in the task's data")
    return reference


def _told(found: list[dict[str, Any]], state: ServiceState) -> dict[str, Any]:
    return {"result": found, "score": max((item["score"] for item in found), default=0.0),
            "model_version": _version(state)}


def _version(state: ServiceState) -> str:
    if state.without_model:
        return CLICKS
    spec = state.model.predictor.spec
    return f"{spec.name} {spec.version}"


async def _read_object(request: Request, count: Callable[[int], None]) -> dict[str, Any]:
    data = await read_body(request, state_of(request).config, count)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the request is no json: {str(error)[:100]}", "what Label Studio sends") from error
    if not isinstance(body, dict):
        raise RequestError("the request is no json object", "what Label Studio sends")
    return body
