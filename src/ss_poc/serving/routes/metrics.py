"""Numbers for operators: `/metrics`."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ..gauges import true_metrics
from ..metrics import METRICS_TYPE
from ..state import state_of

__all__ = ["router"]

router = APIRouter()


@router.get("/metrics", response_class=Response, summary="Numbers for Prometheus")
async def metrics(request: Request) -> Response:
    """All numbers in Prometheus' text format."""
    return Response(true_metrics(state_of(request)), media_type=METRICS_TYPE)
