"""Numbers for operators: `/metrics`."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ..metrics import DRIFT, INFO, METRICS_TYPE, QUEUE, READY, metrics_text
from ..state import state_of

__all__ = ["router"]

router = APIRouter()


@router.get("/metrics", response_class=Response, summary="Numbers for Prometheus")
async def metrics(request: Request) -> Response:
    """All numbers in Prometheus' text format."""
    state = state_of(request)
    spec = state.model.predictor.spec
    INFO.labels(spec.name, spec.version, state.model.predictor.engine).set(1)
    QUEUE.set(state.gate.inside)
    READY.set(state.life.takes_requests)
    for item in state.model.drift.report()["measures"]:
        DRIFT.labels(item["measure"]).set(item["index"])
    return Response(metrics_text(), media_type=METRICS_TYPE)
