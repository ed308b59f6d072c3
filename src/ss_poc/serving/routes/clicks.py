"""Regions by clicks on the page: `/click` finds one, `/label` keeps those of a photograph for labelling."""

from __future__ import annotations

import functools
import json
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...clicks.guidance import Box, Click
from ...core.errors import RequestError
from ..answers import json_response
from ..corrections import Corrections, check_regions
from ..openapi import CLICK, LABEL
from ..state import RequestNote, ServiceState, note_of, state_of
from ..uploads import Upload, read_files

__all__ = ["router"]

CLICKS_EXPECTED = "x,y or x,y,0 (not the region), with ; between: 410,233;450,240,0"
BOX_EXPECTED = "left,top,right,bottom in pixels"

router = APIRouter()


@router.post("/click", openapi_extra=CLICK, response_class=Response)
async def click(request: Request) -> Response:
    """Find the region that clicks or a box mean."""
    started, state = time.perf_counter(), state_of(request)
    clicks, box = _clicks(request.query_params.get("clicks", "")), _box(request.query_params.get("box", ""))
    if box is None and not any(item.positive for item in clicks):
        raise RequestError("nothing says which region is meant", "clicks=, one of which is positive, or box=",
                           CLICKS_EXPECTED)
    state.gate.check()
    with state.gate.holding() as count:
        upload = _file(await read_files(request, state.config, count, most=1), "image")
        work = functools.partial(_region, state, note_of(request), upload, clicks, box, started)
        return json_response(await state.gate.run(work, state.config.timeout))


@router.post("/label", openapi_extra=LABEL, response_class=Response)
async def label(request: Request) -> Response:
    """Keep a photograph and the regions on it, for labelling and training."""
    state = state_of(request)
    state.gate.check()
    with state.gate.holding() as count:
        uploads = await read_files(request, state.config, count, most=2)
        image, regions = _file(uploads, "image"), _file(uploads, "regions")
        work = functools.partial(_keep, state, note_of(request), image, regions)
        return json_response(await state.gate.run(work, state.config.timeout))


def _region(state: ServiceState, note: RequestNote, upload: Upload, clicks: list[Click], box: Box | None,
            started: float) -> dict[str, Any]:
    opened = state.open_to_click(upload.data)
    note.bytes, (note.height, note.width) = len(upload.data), opened.upright_hw
    with state.turn_for(opened.size_hw):
        found = state.clicking.answer(upload.data, opened, lambda size_hw: (clicks, box), state.levels)
    assert found is not None  # a positive click or a box was asked for
    return {"rle": found.rle, "polygons": found.polygons, "area": int(found.mask.sum()),
            "score": round(found.score, 4), "milliseconds": round((time.perf_counter() - started) * 1000, 1)}


def _keep(state: ServiceState, note: RequestNote, image: Upload, regions: Upload) -> dict[str, Any]:
    opened = state.open_to_click(image.data)
    note.bytes, (note.height, note.width) = len(image.data), opened.upright_hw
    try:
        said = json.loads(regions.data)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the file 'regions' is no json: {str(error)[:100]}", "a list of regions") from error
    found = check_regions(said, opened.upright_hw)
    with state.turn_for(opened.size_hw):
        return Corrections(state.config.collect_path).keep(image.data, opened, found, state.levels)


def _file(uploads: list[Upload], field: str) -> Upload:
    found = next((upload for upload in uploads if upload.field == field and upload.is_file), None)
    if found is None:
        raise RequestError(f"there is no file {field!r} in the form", f"{field} as a file",
                           f"curl -X POST URL -F {field}=@…")
    return found


def _clicks(text: str) -> list[Click]:
    try:
        found = []
        for item in filter(None, text.split(";")):
            x, y, *kind = item.split(",")
            if kind not in ([], ["0"], ["1"]):
                raise ValueError(item)
            found.append(Click(float(x), float(y), kind != ["0"]))
        return found
    except ValueError as error:
        raise RequestError(f"clicks={text[:60]!r} cannot be read", CLICKS_EXPECTED) from error


def _box(text: str) -> Box | None:
    if not text:
        return None
    try:
        left, top, right, bottom = (float(value) for value in text.split(","))
    except ValueError as error:
        raise RequestError(f"box={text[:60]!r} cannot be read", BOX_EXPECTED) from error
    return Box(left, top, right, bottom)
