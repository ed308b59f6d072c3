"""`POST /trigger`: somebody sends a photograph, or asks for the newest frame of a camera, and gets the verdict.

    curl -X POST 'http://127.0.0.1:8895/trigger?part=17&lot=A7' --data-binary @photo.jpg -H 'Content-Type: image/jpeg'

The answer comes once the part is archived. A client that gives an `id` may send the same photograph again after an
error: it is one part.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..archive import Archive
from ..history import one_part
from ..parts import identify
from ..settings import HttpTrigger
from ..web.server import Handler, Server
from .photograph import Put
from .triggered import Shutter
from .video import Video

__all__ = ["HttpTriggered"]

SECONDS = 120  # until a client is told that its part is not archived yet


class HttpTriggered:
    """A source: see the module.

    Args:
        settings: of the source.
        archive: that tells the verdict.
        camera: whose newest frame is taken where a client sends none.
    """

    def __init__(self, settings: HttpTrigger, archive: Archive, camera: Video | None) -> None:
        self.name, self.trouble, self.settings = settings.name, "", settings
        self._archive, self._shutter = archive, Shutter(settings.name, camera)
        self._server: Server | None = None

    def start(self, put: Put) -> None:
        """Listen.

        Raises:
            ConfigError: the port is taken.
        """
        handler = partial(_Handler, self.settings, lambda query, data: self.take(query, data, put))
        self._server = Server(f"source {self.name}", self.settings.host, self.settings.port, handler)

    def stop(self) -> None:
        """End; nothing more is accepted."""
        if self._server:
            self._server.end()

    def take(self, query: dict[str, str], data: bytes, put: Put) -> tuple[int, dict[str, Any]]:
        """Give one photograph to the line, and wait for its part.

        Args:
            query: `part`, `lot` and `id`, as far as they are given.
            data: the photograph; b"" for the newest frame of the camera.
            put: of the line.

        Returns:
            HTTP status and answer.
        """
        photograph = self._shutter.take(query, data)
        if photograph is None:
            return 409, {"error": "there is no photograph in the request, and no frame from a camera",
                         "to_do": "send the image as the body, or check the camera"}
        archived = threading.Event()
        photograph.finish = archived.set
        if not put(photograph) or not archived.wait(SECONDS):
            return 503, {"error": "the part is not archived yet", "to_do": "send it again, with the same id"}
        part = one_part(self._archive.engine, identify(photograph.source, photograph.name, photograph.data))
        return (200, part.message()) if part else (503, {"error": "the part is not archived"})


class _Handler(Handler):
    """Answers one client; `triggered` gives status and answer to a query and a body."""

    def __init__(self, settings: HttpTrigger, triggered: Callable[[dict[str, str], bytes], tuple[int, dict[str, Any]]],
                 *connection: Any) -> None:
        self.settings, self.triggered = settings, triggered
        super().__init__(settings.token, *connection)

    def do_POST(self) -> None:
        """Answer a trigger."""
        address = urlsplit(self.path)
        length = self.headers.get("Content-Length", "")
        if not self.may_ask():
            return
        if address.path != "/trigger":
            self.answer_json(404, {"error": f"there is nothing at {address.path}", "to_do": "POST /trigger"})
        elif not length.isdecimal():
            self.answer_json(411, {"error": "the request does not say its length", "to_do": "send Content-Length"})
        elif int(length) > self.settings.megabytes * 1e6:
            self.answer_json(413, {"error": f"the body has {int(length) / 1e6:.1f} MB",
                                   "expected": f"at most {self.settings.megabytes:g} MB"})
        else:
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            data = self.rfile.read(int(length))
            if len(data) == int(length):
                self.answer_json(*self.triggered(query, data), body_was_read=True)
