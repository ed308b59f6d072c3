"""The web application: its routes by subject (`routes/`), and what stands between a request and its route."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.staticfiles import StaticFiles

from ..core.deployed import SERVICE
from ..core.errors import SegmentError
from .middleware import Guard, Origins, error_response
from .openapi import DESCRIPTION
from .routes import clicks, label_studio, metrics, model, pages, predict
from .state import ServiceState, note_of

__all__ = ["application"]


def application(state: ServiceState) -> FastAPI:
    """Build the web application; `state.served` must be set before the first request. Without a model: clicks alone."""
    app = FastAPI(title=SERVICE, description=DESCRIPTION, docs_url=None, redoc_url=None)
    app.state.service = state
    app.add_exception_handler(SegmentError, _refuse)
    app.add_middleware(Guard, token=state.config.api_token)
    app.add_middleware(Origins, origins=state.config.cors)
    if state.without_model:
        app.include_router(label_studio.router)
        return app
    for subject in (predict, clicks, model, label_studio, metrics, pages):  # their order in /openapi.json
        app.include_router(subject.router)
    app.mount("/page", StaticFiles(directory=pages.PAGE))
    app.mount("/docs-files", StaticFiles(directory=pages.SWAGGER))
    return app


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SegmentError)
    note_of(request).reason = error.what
    return error_response(error)
