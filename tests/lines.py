"""Lines that run as processes of their own, photographs for them, and what their archives hold."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
from conftest import SOURCE
from line_service import Asked
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from ss_poc.core.images import encode_image
from ss_poc.line.command import main
from ss_poc.line.history import Query, search
from ss_poc.line.parts import Part


def photograph(number: int, defect: bool = False) -> bytes:
    """A grey PNG of 24 x 40 pixels that no other number gives; a defect is a bright block of 4 x 5."""
    image = np.full((24, 40, 3), 40, np.uint8)
    image[0, 0] = number % 100, number // 100 % 100, number // 10_000
    if defect:
        image[10:14, 20:25] = 250
    return encode_image(image, ".png")


def write_video(path: Path, frames: int, fps: float = 50) -> None:
    """A film whose frame n is of grey 4 n + 20."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), fps, (64, 48))
    for number in range(frames):
        writer.write(np.full((48, 64, 3), 4 * number + 20, np.uint8))
    writer.release()


def until_so(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for a condition; it must come true within that time, which is ample: other work may use the cores."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def yaml_of(folder: Path, service: Asked, extra: str = "", source: str = "") -> Path:
    """The yaml of a line that watches the folder `in`."""
    (folder / "in").mkdir(exist_ok=True)
    path = folder / "line.yaml"
    path.write_text(f"line: press\nstate: state\nservice: {{url: {service.url}}}\nsources:\n"
                    f"  - {{type: folder, name: camera, path: in, settle: 0.1{source}}}\n{extra}")
    return path


class Process:
    """`python -m ss_poc.line run`.

    Args:
        yaml: of the line; its log lies beside it.
        before: called in the process first, which is then a fork of this one: where this one has run threads of
            libraries, a fork may wait forever for what they held.
    """

    def __init__(self, yaml: Path, before: Callable[[], object] | None = None) -> None:
        self.yaml, self.log, self._before = yaml, yaml.parent / "log", before
        self.status: int | None = None

    def __enter__(self) -> Process:
        self.log.touch()
        if self._before is None:
            self.pid = os.posix_spawn(sys.executable, [sys.executable, "-m", "ss_poc.line", "run", str(self.yaml)],
                                      {**os.environ, "PYTHONPATH": str(SOURCE)}, file_actions=[
                                          (os.POSIX_SPAWN_OPEN, 2, str(self.log), os.O_WRONLY | os.O_APPEND, 0)])
            return self
        self.pid = os.fork()
        if not self.pid:
            self._run(self._before)
        return self

    def _run(self, before: Callable[[], object]) -> NoReturn:
        status = 1
        try:
            sys.stderr = self.log.open("a", buffering=1)
            before()
            main(["run", str(self.yaml)])
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)
        self.wait()

    def wait(self, seconds: float = 30) -> int:
        """Its exit status; that of a signal is negative."""
        until = time.monotonic() + seconds
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > until:
                os.kill(self.pid, signal.SIGKILL)
            else:
                time.sleep(0.02)
        return self.status

    def __exit__(self, *_: object) -> None:
        if self.status is None:
            self.kill(signal.SIGTERM)


def rows(folder: Path, count: int = 10_000) -> list[Part]:
    """What the archive of a line in `folder` has, in order of arrival."""
    path = folder / "state" / "archive.sqlite"
    if not path.is_file():
        return []
    engine = create_engine(f"sqlite:///{path}")
    try:
        return [part for _, part in search(engine, Query(), count)][::-1]
    except OperationalError:  # its tables are being made
        return []
    finally:
        engine.dispose()
