"""One small HTTP server: a bounded number of threads, answers in JSON, a token, errors in words."""

from __future__ import annotations

import hmac
import json
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ...core.errors import ConfigError, SegmentError

__all__ = ["Handler", "Server"]

MOST_CONNECTIONS = 64


class Handler(BaseHTTPRequestHandler):
    """Answers one client. Others inherit `do_GET` and the like.

    Args:
        token: what clients must send as `Authorization: Bearer`; "" for none.
        connection: what the server gives.
    """

    protocol_version, timeout = "HTTP/1.1", 60

    def __init__(self, token: str, *connection: Any) -> None:
        self._token = token
        super().__init__(*connection)  # answers

    def may_ask(self) -> bool:
        """Whether the client has sent the token; it is told where it has not."""
        given = self.headers.get("Authorization", "").encode("latin-1", "replace")
        if not self._token or hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            return True
        self.answer_json(401, {"error": "the token is missing or wrong", "to_do": "send Authorization: Bearer TOKEN"})
        return False

    def answer_json(self, status: int, body: Any, body_was_read: bool = False) -> None:
        """Answer with JSON.

        Args:
            status: of HTTP.
            body: what becomes JSON.
            body_was_read: False where the request may have one that nobody has read: the connection then ends.
        """
        self.answer(status, json.dumps(body, ensure_ascii=False).encode("utf-8"), "application/json",
                    {} if body_was_read else {"Connection": "close"})

    def refuse(self, error: SegmentError, status: int) -> None:
        """Answer with what is wrong, what was expected and what to do."""
        said = {"error": error.what, "expected": error.expected, "to_do": error.fix}
        self.answer_json(status, {name: text for name, text in said.items() if text})

    def answer(self, status: int, data: bytes, kind: str, headers: Mapping[str, str] | None = None) -> None:
        """Answer with bytes of a media type."""
        self.begin(status, {"Content-Type": kind, "Content-Length": str(len(data)), **(headers or {})})
        self.wfile.write(data)

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Send status and headers; "Connection: close" among them ends the connection after the answer."""
        self.send_response(status)
        for name, value in {"X-Content-Type-Options": "nosniff", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if headers.get("Connection") == "close":
            self.close_connection = True

    def version_string(self) -> str:
        """What the header Server says: not which Python runs here."""
        return "ss-poc-line"

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: what counts is in the archive."""


class Server(ThreadingHTTPServer):
    """Listens in a thread of its own.

    Args:
        name: of who listens, for errors.
        host, port: where.
        handler: makes the `Handler` of a connection.

    Raises:
        ConfigError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, name: str, host: str, port: int, handler: Callable[..., BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        try:
            super().__init__((host, port), handler)
        except OSError as error:
            raise ConfigError(f"{name} cannot listen on {host}:{port}: {error}", "a free port",
                              "stop the program that has it, or name another port") from None
        threading.Thread(target=self.serve_forever, name=name, daemon=True).start()

    def end(self) -> None:
        """Accept nothing more."""
        self.shutdown()
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, once one is free."""
        if not self._free.acquire(timeout=1):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and let the next one in."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: Any) -> None:
        """A client that went away is no error of ours."""
