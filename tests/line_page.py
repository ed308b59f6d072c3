"""A page `/line` over an archive that a test fills: the server in this process, on a free port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from lines import photograph
from served import free_port

from ss_poc.core.masks import encode_rle
from ss_poc.line.archive import Archive
from ss_poc.line.parts import Part
from ss_poc.line.settings import FolderSource, LineSettings, PageSettings
from ss_poc.line.web.news import News
from ss_poc.line.web.page import Page

NOON = 1_700_000_000_000 // 3_600_000 * 3_600_000


def regions(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (24, 40)) -> dict[str, Any]:
    """What a service marks: of the class scratch these rows and columns, of the class dent nothing."""
    mask = np.zeros(size, bool)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = True
    return {"size": list(size), "labels": ["scratch", "dent"], "colors": ["#ff0000", "#00ff00"],
            "rle": [encode_rle(mask)["counts"], encode_rle(np.zeros(size, bool))["counts"]]}


@dataclass
class Opened:
    """A page and what it shows."""

    folder: Path
    archive: Archive
    news: News
    client: httpx.Client
    url: str

    def add(self, *parts: Part) -> None:
        """Archive parts, and tell the page."""
        self.archive.add(parts)
        self.news.tell()

    def keep(self, name: str, data: bytes) -> str:
        """Keep a picture; its place."""
        path = self.folder / "state" / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return name

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)

    def defect(self, number: int, **values: Any) -> Part:
        """A part with a scratch of 4 x 5 pixels, and its picture."""
        return part(number, "reject", **{
            "picture": self.keep(f"{number}.png", photograph(number, defect=True)), "found": {"scratch": (1, 20)},
            "regions": regions((10, 14, 20, 25)), "reasons": ("scratch was found",), **values})


def key(number: int) -> str:
    """The key of a test's part."""
    return f"{number:02x}" * 32


def part(number: int, verdict: str = "accept", **values: Any) -> Part:
    return Part(**{"key": key(number), "line": "press", "source": "camera", "name": f"{number}.png",
                   "taken_ms": NOON + number * 1000, "verdict": verdict, "model": "demo", "version": "v_1", **values})


@contextmanager
def opened(folder: Path, **settings: Any) -> Iterator[Opened]:
    """The page of a line in a folder."""
    port = free_port()
    whole = LineSettings(line="press", state=folder / "state", sources=(FolderSource(name="camera", path=folder),),
                         page=PageSettings(port=port, **settings))
    archive, news, url = Archive(whole.archive_url, "press"), News(), f"http://127.0.0.1:{port}"
    page = Page(whole, archive.engine, news)
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
            yield Opened(folder, archive, news, client, url)
    finally:
        page.stop()
        archive.close()
