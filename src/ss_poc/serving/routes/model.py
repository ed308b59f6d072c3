"""What is served, and whether its input still looks as in training: `/info`, `/drift.json`, `/samples/…`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from ...core.errors import RequestError
from ..gauges import counts_of_all
from ..state import state_of

__all__ = ["router"]

router = APIRouter()


@router.get("/info", summary="The model, its scores and the limits")
async def info(request: Request) -> dict[str, Any]:
    """The model, its scores, its engine, its samples and the limits."""
    state = state_of(request)
    served, config = state.model, state.config
    spec = served.predictor.spec
    return {"name": spec.name, "version": spec.version, "labels": spec.labels, "colors": spec.colors,
            "size_hw": spec.size_hw, "scale": spec.scale, "network": spec.network, "engine": served.predictor.engine,
            "engines_refused": served.predictor.refused, "scores": served.card.get("scores", {}),
            "thresholds": [rule.proba for rule in served.predictor.rules], "samples": served.samples,
            "rules": list(served.rules),
            "limits": {"bytes": config.max_bytes, "pixels": state.max_pixels, "images": config.max_images,
                       "bytes_a_pixel": served.room.bytes_a_pixel}}


@router.get("/drift.json", summary="The last images against those of training")
async def drift(request: Request) -> dict[str, Any]:
    """The last images of all workers against those of training."""
    state = state_of(request)
    return state.model.drift.report(counts_of_all(state))


@router.get("/samples/{name}", response_class=FileResponse, include_in_schema=False)
async def sample(request: Request, name: str) -> Response:
    """One of the photographs that came with the model."""
    served = state_of(request).model
    if name not in served.samples:
        raise RequestError(f"there is no sample {name[:100]!r}", "one that /info names", status=404)
    return FileResponse(served.folder / "samples" / name)
