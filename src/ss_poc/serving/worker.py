"""One worker: serves an application on a socket that others hold as well, and leaves without dropping a request.

It builds on internals of uvicorn: `HttpToolsProtocol` with its `cycle`, `loop` and callbacks, and `Server` with its
`startup`, `shutdown`, `servers` and `server_state`. So requirements-serve.txt pins uvicorn; read both
before you change the pin.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import threading
import time
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..core.config import ServeConfig
from .state import Life

__all__ = ["serve"]

# Seconds that connections may stay without a request, and without a whole request head.
KEEP_ALIVE, HEAD_SECONDS = 30, 15
# Seconds in which connections that were accepted may still send a request, the last on it, while the worker leaves;
# more where others serve in its place: nobody waits for it, and a client about to ask again finds it still open.
SETTLE, LINGER = 1.0, 10.0
# Looks in a row that must find no connection: what was accepted becomes one only some turns of the event loop later,
# however long a turn takes on a busy machine.
QUIET_LOOKS = 10


class _Protocol(HttpToolsProtocol):
    """Closes connections that begin a request and never end its head."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._waiting_since = time.monotonic()
        self._watch = self.loop.call_later(HEAD_SECONDS, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._waiting_since = float("inf")

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._waiting_since = time.monotonic()

    def _look(self) -> None:
        limit = KEEP_ALIVE + HEAD_SECONDS if self.cycle else HEAD_SECONDS
        if time.monotonic() - self._waiting_since >= limit:
            self.transport.close()
        else:
            self._watch = self.loop.call_later(HEAD_SECONDS, self._look)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, lifeline: int | None, life: Life) -> None:
        super().__init__(config)
        self._lifeline, self._life = lifeline, life

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._lifeline is not None:
            os.write(self._lifeline, b"ready")
            threading.Thread(target=self._stop_when_alone, args=(self._lifeline,), daemon=True).start()

    def _stop_when_alone(self, lifeline: int) -> None:
        # A byte says that others serve in its place; nothing, that whoever holds the other end is gone.
        self._life.replaced = bool(os.read(lifeline, 1))
        os.kill(os.getpid(), signal.SIGTERM)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Accept no more, so that what waits goes to the next worker; what was accepted still gets its answer.
        for server in self.servers:
            server.close()
        until = time.monotonic() + (LINGER if self._life.replaced else SETTLE)
        quiet = 0
        while quiet < QUIET_LOOKS and time.monotonic() < until:
            await asyncio.sleep(0.02)
            quiet = 0 if self.server_state.connections else quiet + 1
        await super().shutdown(sockets)


def serve(app: ASGIApp, fd: int, lifeline: int | None, config: ServeConfig, life: Life) -> None:
    """Serve until SIGTERM, or until the other end of the lifeline is closed or says something.

    Args:
        app: the application.
        fd: of a listening TCP socket.
        lifeline: of a socket that is told `ready` once requests are accepted.
        config: whose time limit running requests are given at the end.
        life: is told when others take over.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    listening = socket.socket(fileno=fd)
    settings = uvicorn.Config(app, http=_Protocol, log_config=None, access_log=False, server_header=False,
                              timeout_keep_alive=KEEP_ALIVE, timeout_graceful_shutdown=config.timeout)
    _Server(settings, lifeline, life).run(sockets=[listening])
