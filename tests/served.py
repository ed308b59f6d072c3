"""Starting the service as server.sh does (one worker on a socket) or as `bentoml serve` does, and asking it."""

from __future__ import annotations

import io
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from PIL import Image


@dataclass
class Served:
    """A service that runs: its process, its port, a client, and where its log goes."""

    process: subprocess.Popen[bytes]
    port: int
    client: httpx.Client
    log: Path

    def post(self, data: bytes, name: str = "photo.png", query: str = "", kind: str = "image/png") -> httpx.Response:
        return self.client.post(f"/predict{query}", files={"image": (name, data, kind)})


def free_port() -> int:
    """A port that nobody listens on, below those that the system itself gives to connections: it may be a while until
    it is used."""
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def wait_ready(served: Served, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while True:
        assert served.process.poll() is None and time.monotonic() < until, served.log.read_text()
        try:
            if served.client.get("/readyz", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)


@contextmanager
def running(bento: Path, way: str = "worker", folder: Path | None = None, **environment: str) -> Iterator[Served]:
    """The Bento, served: `way` is "worker" or "bentoml"."""
    here = folder or Path(tempfile.mkdtemp())
    settings = {**os.environ, "BENTOML_HOME": str(here / "home"), "BENTOML_DO_NOT_TRACK": "true",
                "SS_POC_COLLECT_PATH": str(here / "collected"), **environment}
    settings.pop("PYTHONPATH", None)
    (here / "home").mkdir(parents=True, exist_ok=True)
    with (here / "log").open("wb") as log:
        if way == "worker":
            with socket.create_server(("127.0.0.1", 0)) as listening:
                port = listening.getsockname()[1]
                process = subprocess.Popen([sys.executable, "-m", "ss_poc.keras_segment", "--fd",
                                            str(listening.fileno())], cwd=bento / "src", env=settings, stdout=log,
                                           stderr=subprocess.STDOUT, pass_fds=(listening.fileno(),))
        else:
            port = free_port()
            process = subprocess.Popen([sys.executable, "-m", "bentoml", "serve", str(bento), "--port", str(port),
                                        "--host", "127.0.0.1"], env=settings, stdout=log, stderr=subprocess.STDOUT)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            served = Served(process, port, client, here / "log")
            wait_ready(served)
            yield served
    finally:
        process.terminate()
        process.wait(60)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@dataclass
class Load:
    """Clients that ask again and again until told to stop; what they met."""

    port: int
    data: bytes
    clients: int
    path: str = "/predict"
    statuses: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self, number: int) -> None:
        # Every other client opens a connection for each request.
        limits = httpx.Limits(max_keepalive_connections=0) if number % 2 else httpx.Limits()
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=30, limits=limits) as client:
            while not self.stop.is_set():
                try:
                    answer = (client.post(self.path, files={"image": ("photo.png", self.data)}) if self.data
                              else client.get(self.path))
                    self.statuses.append(answer.status_code)
                except httpx.TransportError as error:
                    self.broken.append(f"{type(error).__name__}: {error}")
                    time.sleep(0.05)


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024
