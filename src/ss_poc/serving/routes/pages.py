"""Pages for people: `/`, `/drift` and `/docs`. What they show they ask for themselves."""

from __future__ import annotations

import functools
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

__all__ = ["PAGE", "SWAGGER", "router"]

PAGE = Path(__file__).parents[1] / "page"
SWAGGER = PAGE / "swagger"

router = APIRouter(include_in_schema=False)


async def _page(file: str) -> HTMLResponse:
    return HTMLResponse((PAGE / file).read_text(encoding="utf-8"))


for path, name in (("/", "index.html"), ("/drift", "drift.html"), ("/docs", "docs.html")):
    router.add_api_route(path, functools.partial(_page, name), methods=["GET"])
