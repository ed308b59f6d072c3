"""The page `/line` and what it asks for.

    GET /line                        the page; its files below /line/files/ and /page/
    GET /line/info                   name of the line, classes that were found, whether parts can be sent to labelling
    GET /line/status                 what status.json says: what is wrong with service, sources and sinks, alarms
    GET /line/parts?part=&lot=&…     parts of a search, the last one first
    GET /line/counts?since_ms=…      how many parts, by verdict, by class and by hour
    GET /line/events?after_id=…      parts as they come (server-sent events)
    GET /line/part/<id>              one part, with its regions
    GET /line/picture/<id>           its picture
    GET /line/export.csv, .parquet   the parts of a search
    POST /line/label/<id>            its photograph goes to labelling
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import json
import re
import socket
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from ...core.errors import ImageError, RequestError
from ...core.images import decode_image, encode_image
from ..history import Query, counts_by_class, counts_by_verdict, labels_of, one_part, search, trend
from ..parts import Part
from ..settings import LineSettings
from .export import csv_pieces, write_parquet
from .labelling import Labelling
from .news import News
from .queries import Asked, key_of, read_query
from .server import Handler, Server

__all__ = ["Page"]

OWN, SHARED = Path(__file__).parents[1] / "page", Path(__file__).parents[2] / "serving" / "page"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
# Others become JPEG: browsers cannot read them.
SHOWN = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".jpe": "image/jpeg", ".jfif": "image/jpeg", ".png": "image/png",
         ".webp": "image/webp", ".gif": "image/gif", ".bmp": "image/bmp"}
POLICY = ("default-src 'self'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; base-uri 'none';"
          " form-action 'none'; frame-ancestors 'none'")
MOST_LISTENERS, KEEP_ALIVE, BETWEEN = 16, 15.0, 0.2  # streams of events; seconds between two words on one
TOGETHER = 50  # parts that are told at once, at most: who was away longer sees the last ones


class Page:
    """The server of the page: see the module.

    Args:
        settings: of the line; with those of the page.
        engine: of the archive.
        news: is told of new parts.

    Raises:
        ConfigError: the port is taken.
    """

    def __init__(self, settings: LineSettings, engine: Engine, news: News) -> None:
        assert settings.page
        self.settings, self.page, self.engine, self.news = settings, settings.page, engine, news
        self.labelling = Labelling(settings.collected, settings.line, settings.pictures)
        self.listeners, self.names = 0, {"localhost", self.page.host.lower(), socket.gethostname().lower()}
        self._server = Server("page", self.page.host, self.page.port, functools.partial(_Handler, self))

    def stop(self) -> None:
        """End; who listens for news is let go."""
        self.news.close()
        self._server.end()

    def part(self, key: str) -> Part:
        """A part of this line.

        Raises:
            RequestError: there is none; status 404.
        """
        found = one_part(self.engine, key_of(key))
        if found is None or found.line != self.settings.line:
            raise RequestError("there is no such part", "the id of a part that is archived", status=404)
        return found

    def told(self, part: Part, number: int | None = None) -> dict[str, Any]:
        """A part as the page reads it."""
        return {**part.message(), "number": number, "taken_ms": part.taken_ms}

    def picture(self, part: Part) -> tuple[bytes, str]:
        """A part's picture, in a format that browsers read, and its media type.

        Raises:
            RequestError: it is not kept, or cannot be read; status 404.
        """
        path = (self.settings.pictures / part.picture).resolve()
        if not part.picture or not path.is_relative_to(self.settings.pictures.resolve()) or not path.is_file():
            raise RequestError("the picture of this part is not kept", status=404)
        kind = SHOWN.get(path.suffix.lower())
        if kind:
            return path.read_bytes(), kind
        try:
            return encode_image(decode_image(path), ".jpg"), "image/jpeg"
        except ImageError as error:
            raise RequestError(f"the picture cannot be read: {error.what}", status=404) from None


class _Handler(Handler):
    """Answers one browser."""

    def __init__(self, page: Page, *connection: Any) -> None:
        self.page = page
        super().__init__(page.page.token, *connection)

    def do_GET(self) -> None:
        """Answer what is asked for."""
        self._answered(self._get)

    def do_POST(self) -> None:
        """Send a part to labelling."""
        self._answered(self._post)

    def _answered(self, work: Callable[[str, str], None]) -> None:
        address = urlsplit(self.path)
        try:
            self._check_sender()
            work(address.path, address.query)
        except RequestError as error:
            self.refuse(error, error.status)
        except SQLAlchemyError:
            self.answer_json(503, {"error": "the archive does not answer", "to_do": "check that its database runs"})

    def _check_sender(self) -> None:
        """Refuse pages of other sites: their scripts run in browsers that reach this one.

        Raises:
            RequestError: the request comes from another page, or the name it was sent to is none of this machine.
        """
        host = self.headers.get("Host", "")
        origin = self.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise RequestError("the request comes from the page of another site", "one from this page", status=403)
        if not self.page.page.token and not _is_ours(host, self.page.names):
            raise RequestError(f"{host[:100]!r} is no name of this machine", "its address or its host name",
                               "set a token for the page, or open it by address", status=403)

    def _get(self, path: str, query: str) -> None:
        if path in ("", "/"):
            self.begin(307, {"Location": "line", "Content-Length": "0"})
        elif path == "/line":
            self._send_file(OWN / "line.html")
        elif found := re.fullmatch(r"/(page|line/files)/([a-z]+\.(?:js|css))", path):
            self._send_file((SHARED if found[1] == "page" else OWN) / found[2])
        elif self.may_ask():
            self._tell(path, query)

    def _tell(self, path: str, query: str) -> None:
        name, _, key = path.removeprefix("/line/").partition("/")
        by_query: dict[str, Callable[[Asked], None]] = {
            "parts": self._parts, "counts": self._counts, "events": self._events, "export.csv": self._csv,
            "export.parquet": self._parquet}
        by_key: dict[str, Callable[[Part], None]] = {"part": self._part, "picture": self._picture}
        if not path.startswith("/line/"):
            raise _nothing_at(path)
        if name in by_query and not key:
            by_query[name](read_query(query, self.page.settings.line))
        elif name in by_key:
            by_key[name](self.page.part(key))
        elif name == "info" and not key:
            self._json({"line": self.page.settings.line, "sources": [item.name for item in self.page.settings.sources],
                        "labels": labels_of(self.page.engine, self.page.settings.line)})
        elif name == "status" and not key:
            path_of = self.page.settings.state / "status.json"
            self._data(path_of.read_bytes() if path_of.is_file() else b"{}", "application/json")
        else:
            raise _nothing_at(path)

    def _post(self, path: str, _: str) -> None:
        if not self.may_ask():
            return
        if not path.startswith("/line/label/"):
            raise _nothing_at(path)
        try:
            name = self.page.labelling.send(self.page.part(path.removeprefix("/line/label/")))
        except OSError as error:
            raise RequestError(f"the photograph cannot be written: {error.strerror}", "a folder with room", "check the"
                               f" folder {self.page.settings.collected}", status=503) from None
        self.answer_json(200, {"name": name})

    def _parts(self, asked: Asked) -> None:
        found = search(self.page.engine, asked.query, asked.count + 1)
        self._json({"parts": [self.page.told(part, number) for number, part in found[:asked.count]],
                    "more": len(found) > asked.count})

    def _counts(self, asked: Asked) -> None:
        engine, query = self.page.engine, asked.query
        self._json({"verdicts": counts_by_verdict(engine, query), "labels": counts_by_class(engine, query),
                    "hours": trend(engine, query)})

    def _part(self, part: Part) -> None:
        self._json({**self.page.told(part), "regions": part.regions, "sent": self.page.labelling.sent(part)})

    def _picture(self, part: Part) -> None:
        data, kind = self.page.picture(part)
        self.answer(200, data, kind, {"Content-Security-Policy": "default-src 'none'; sandbox",
                                      "Cache-Control": "private, max-age=3600"})

    def _csv(self, asked: Asked) -> None:
        self.begin(200, {"Content-Type": "text/csv; charset=utf-8", "Transfer-Encoding": "chunked",
                         "Connection": "close", **_named("csv", self.page)})
        with contextlib.suppress(SQLAlchemyError):  # an answer without its last chunk is one that broke off
            for piece in csv_pieces(self.page.engine, asked.query):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")

    def _parquet(self, asked: Asked) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "parts.parquet"
            write_parquet(self.page.engine, asked.query, path)
            self.begin(200, {"Content-Type": "application/vnd.apache.parquet", "Content-Length":
                             str(path.stat().st_size), **_named("parquet", self.page)})
            with path.open("rb") as file:
                while piece := file.read(1 << 20):
                    self.wfile.write(piece)

    def _events(self, asked: Asked) -> None:
        last = asked.query.after_id
        if last is None:
            raise RequestError("after_id is missing", "the number of the last part that is known, or 0")
        if self.page.listeners >= MOST_LISTENERS:
            raise RequestError(f"{MOST_LISTENERS} pages listen already", "fewer", "close one of them", status=503)
        self.page.listeners += 1
        try:
            self.begin(200, {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "Connection": "close",
                             "X-Accel-Buffering": "no"})
            with contextlib.suppress(SQLAlchemyError):  # the page asks again
                self._tell_news(last)
        finally:
            self.page.listeners -= 1

    def _tell_news(self, last: int) -> None:
        """Send parts as they come, until the browser goes away."""
        seen, line = -1, self.page.settings.line
        while not self.page.news.closed:
            seen = self.page.news.wait(seen, KEEP_ALIVE)
            found = search(self.page.engine, Query(line=line, after_id=last), TOGETHER)
            last = found[0][0] if found else last
            parts = [self.page.told(part, number) for number, part in reversed(found)]
            said = f"data: {json.dumps(parts, ensure_ascii=False)}\n\n" if parts else ": still here\n\n"
            self.wfile.write(said.encode("utf-8"))
            time.sleep(BETWEEN)

    def _send_file(self, path: Path) -> None:
        if not path.is_file():
            raise _nothing_at(self.path)
        self.answer(200, path.read_bytes(), f"{KINDS[path.suffix]}; charset=utf-8",
                    {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache", "Referrer-Policy": "no-referrer"})

    def _json(self, body: Any) -> None:
        self._data(json.dumps(body, ensure_ascii=False).encode("utf-8"), "application/json")

    def _data(self, data: bytes, kind: str) -> None:
        self.answer(200, data, kind, {"Cache-Control": "no-store"})


def _nothing_at(path: str) -> RequestError:
    return RequestError(f"there is nothing at {path[:100]}", "/line", status=404)


def _named(suffix: str, page: Page) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{quote(page.settings.line)}.{suffix}"',
            "Cache-Control": "no-store"}


def _is_ours(host: str, names: Collection[str]) -> bool:
    """Whether what a browser asked for is an address, or a name of this machine.

    A page of a stranger can have its own name lead to this address, and would then read all answers.
    """
    try:
        name = (urlsplit(f"//{host}").hostname or "").lower()
        return name in names or bool(ipaddress.ip_address(name))
    except ValueError:
        return False
