"""Around every request: its id, its token, which pages may send it, its log line and its counters."""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import time
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core.errors import SegmentError, ServiceError
from .metrics import REQUESTS, SECONDS, log_line
from .state import RequestNote

__all__ = ["Guard", "Origins", "error_response"]

ANNOTATOR_PORT = 8890
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
OPEN_PREFIXES = ("/page/", "/docs", "/openapi.json")
_host: ContextVar[str] = ContextVar("host", default="")


def error_response(error: SegmentError) -> JSONResponse:
    """Write an error as JSON (`error`, `expected`, `to_do`), with its HTTP status; 500 where it has none."""
    body = {"error": error.what, "expected": error.expected, "to_do": error.fix}
    headers = {}
    if isinstance(error, ServiceError) and error.retry_after:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, ServiceError) and error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({key: text for key, text in body.items() if text}, getattr(error, "status", 500), headers)


class Origins(CORSMiddleware):
    """CORS for some origins.

    Args:
        app: what answers.
        origins: with commas between; `annotator` is port 8890 of the host name that the client calls this service by.
    """

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


class _Exchange:
    """One request and what becomes of it: its id, its note, and the status of its answer (0 before there is one)."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope, self._send = scope, send
        self.started, self.status, self.note = time.perf_counter(), 0, RequestNote()
        given = Headers(scope=scope).get("x-request-id", "")
        self.id = given if SAFE_ID.fullmatch(given) else uuid.uuid4().hex[:16]
        scope.setdefault("state", {})["note"] = self.note

    async def send(self, message: Message) -> None:
        """Pass a piece of the answer on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-ID"] = self.id
        await self._send(message)

    def log(self) -> None:
        """Write the request's log line, and count it."""
        seconds = time.perf_counter() - self.started
        # The route's own pattern: paths are the client's, and would make numbers without end.
        route = getattr(self.scope.get("route"), "path", "") or "other"
        REQUESTS.labels(route, str(self.status)).inc()
        SECONDS.labels(route).observe(seconds)
        client = self.scope.get("client")
        log_line("request", request_id=self.id, method=self.scope["method"], route=route, status=self.status,
                 milliseconds=round(seconds * 1000, 1), client=client[0] if client else "", **self.note.values())


class Guard:
    """Checks the token of every request, gives it an id, logs and counts it, and answers errors nobody foresaw.

    Args:
        app: what answers.
        token: that requests must carry, None for none. Pages and their files need none; the requests of a page do.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self.app, self.token = app, (token or "").encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        try:
            if self._may(scope):
                await self.app(scope, receive, exchange.send)
            else:
                refusal = ServiceError("the token is missing or wrong", "the service's API_TOKEN",
                                       "send the header Authorization: Bearer TOKEN", 401)
                await error_response(refusal)(scope, receive, exchange.send)
        except Exception as error:  # an error that nobody foresaw: the log has it, the answer the request's id
            log_line("unexpected error", 40, error, request_id=exchange.id)
            if not exchange.status:
                failure = SegmentError("the service failed; its log tells why", fix=f"look for {exchange.id}")
                await error_response(failure)(scope, receive, exchange.send)
        finally:
            exchange.log()

    def _may(self, scope: Scope) -> bool:
        """Whether the request needs no token, or carries it."""
        if not self.token or scope["method"] == "OPTIONS" or scope["path"] == "/" or \
                scope["path"].startswith(OPEN_PREFIXES):
            return True
        kind, _, text = Headers(scope=scope).get("authorization", "").partition(" ")
        given = text.encode("latin-1")  # as it came: headers are bytes
        if kind.lower() == "basic":  # Label Studio's way: any user, the token as password
            try:
                given = base64.b64decode(given, validate=True).partition(b":")[2]
            except binascii.Error:
                given = b""
        return hmac.compare_digest(given, self.token)
