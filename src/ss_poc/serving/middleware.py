"""Around every request: its id, its token, which pages may send it, its log line and its numbers."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import time
import uuid
from contextvars import ContextVar
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core.errors import SegmentError, ServiceError
from .metrics import REQUESTS, SECONDS, log_line

__all__ = ["Guard", "Life", "Origins", "error_response"]

ANNOTATOR_PORT = 8890
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
OPEN_PREFIXES = ("/page/", "/docs", "/openapi.json")
_host: ContextVar[str] = ContextVar("host", default="")


class Life:
    """Where the service is in its life: `ready` after the first inference, `draining` once it was told to stop, and
    `replaced` where another process has taken over its port: then the service goes on, though this process leaves."""

    def __init__(self) -> None:
        self.ready = self.draining = self.replaced = False

    @property
    def takes_requests(self) -> bool:
        """Whether clients may go on asking at this address."""
        return self.ready and (self.replaced or not self.draining)


def error_response(error: SegmentError) -> JSONResponse:
    """An error as json: `error`, `expected`, `to_do`."""
    body = {"error": error.what, "expected": error.expected, "to_do": error.fix}
    headers = {}
    if isinstance(error, ServiceError) and error.retry_after:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, ServiceError) and error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({key: text for key, text in body.items() if text}, getattr(error, "status", 500), headers)


class Origins(CORSMiddleware):
    """CORS for the origins named; `annotator` is port 8890 of whatever name this service is called by."""

    def __init__(self, app: ASGIApp, origins: str) -> None:
        named = [origin.strip().rstrip("/") for origin in origins.split(",") if origin.strip()]
        self.annotator = "annotator" in named
        super().__init__(app, allow_origins=[origin for origin in named if origin != "annotator"],
                         allow_methods=["GET", "POST"], allow_headers=["*"],
                         expose_headers=["X-Request-ID", "Retry-After"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _host.set(Headers(scope=scope).get("host", ""))
        await super().__call__(scope, receive, send)

    def is_allowed_origin(self, origin: str) -> bool:
        """Whether a page of that origin may read answers."""
        name = _host.get().rsplit(":", 1)[0] if not _host.get().endswith("]") else _host.get()
        if self.annotator and name and origin in (f"http://{name}:{ANNOTATOR_PORT}", f"https://{name}:{ANNOTATOR_PORT}"):
            return True
        return super().is_allowed_origin(origin)


class Guard:
    """Innermost of the middlewares that see every request of the application.

    Args:
        app: what answers.
        token: that requests must carry, None for none. The page and its files need none; what it asks for does.
        life: whether connections should be closed after their answer.
    """

    def __init__(self, app: ASGIApp, token: str | None, life: Life) -> None:
        self.app, self.token, self.life = app, (token or "").encode(), life

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if SAFE_ID.fullmatch(given) else uuid.uuid4().hex[:16]
        note: dict[str, Any] = {}
        scope.setdefault("state", {})["note"] = note

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                changed = MutableHeaders(scope=message)
                changed["X-Request-ID"] = request_id
                if self.life.draining:  # so that the client's next request reaches whoever comes after us
                    changed["Connection"] = "close"
            await send(message)

        try:
            if self._may(scope, headers):
                await self.app(scope, receive, answer)
            else:
                refusal = ServiceError("the token is missing or wrong", "the service's API_TOKEN",
                                       "send the header Authorization: Bearer TOKEN", 401)
                await error_response(refusal)(scope, receive, answer)
        except Exception as error:  # the last resort: whatever nobody foresaw is logged and named by its id
            log_line("unexpected error", 40, error, request_id=request_id)
            if not status:
                await error_response(SegmentError("the service failed; its log tells why", fix=f"look for {request_id}")
                                     )(scope, receive, answer)
        finally:
            self._note(scope, status, time.perf_counter() - started, request_id, note)

    def _may(self, scope: Scope, headers: Headers) -> bool:
        if not self.token or scope["method"] == "OPTIONS" or scope["path"] == "/" or \
                scope["path"].startswith(OPEN_PREFIXES):
            return True
        kind, _, text = headers.get("authorization", "").partition(" ")
        given = text.encode("latin-1")  # as it came: headers are bytes
        if kind.lower() == "basic":  # Label Studio's way: any user, the token as password
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except binascii.Error:
                given = b""
        return hmac.compare_digest(given, self.token)

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str, note: dict[str, Any]) -> None:
        # The route's own pattern: paths are the client's, and would make numbers without end.
        route = getattr(scope.get("route"), "path", "") or "other"
        REQUESTS.labels(route, str(status)).inc()
        SECONDS.labels(route).observe(seconds)
        client = scope.get("client")
        log_line("request", request_id=request_id, method=scope["method"], route=route, status=status,
                 milliseconds=round(seconds * 1000, 1), client=client[0] if client else "", **note)
