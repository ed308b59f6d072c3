"""A camera, a stream or a video file: only its newest frame is kept, so that it never lags behind.

A thread reads frames as fast as they come, and forgets all but the last. A stream that breaks off, or a camera that is
unplugged, is opened again, after pauses that grow.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np

from ...core.images import encode_image
from ..settings import VideoSource
from .photograph import Photograph, Put

__all__ = ["Frame", "Video"]

LOG = logging.getLogger("ss_poc.line")
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds
OPEN_MS, READ_MS = 15_000, 5000  # FFmpeg looks at a stream for 5 s before it is open, where frames come slowly
# What it looked at it would give first, all at once and up to 5 s late, unless told otherwise.
OPTIONS, FRESH = "OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp|fflags;nobuffer"
NONE_YET, NONE_NOW = "no frame has come yet", "no frame comes"
FILES = threading.Lock()
QUALITY = 95  # of the JPEG that a frame becomes
# Frames that are asked about and not archived yet: the next one is the newest when one of them is done.
MOST_OUTSTANDING = 2


@dataclass(frozen=True)
class Frame:
    """One frame: (H, W, 3) uint8, BGR; its number since the source was started; when it came, in ms since 1970."""

    image: np.ndarray
    number: int
    taken_ms: int


class Video:
    """A source: see the module.

    Args:
        settings: of the source.
        by_trigger: whether frames are given only when a trigger asks for one.
    """

    def __init__(self, settings: VideoSource, by_trigger: bool = False) -> None:
        self.name, self.trouble, self._settings, self._by_trigger = settings.name, NONE_YET, settings, by_trigger
        self._wanted, self._outstanding = 0, threading.Semaphore(MOST_OUTSTANDING)
        self._newest: Frame | None = None
        self._fresh, self._stopping = threading.Condition(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._started_ms = int(time.time() * 1000)

    def start(self, put: Put) -> None:
        """Begin to read, and to give every n-th frame, or so many a second."""
        self._threads = [threading.Thread(target=self._read, name=f"frames of {self.name}", daemon=True)]
        if not self._by_trigger:
            self._threads.append(threading.Thread(target=self._give, args=(put,), name=self.name, daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        with self._fresh:
            self._fresh.notify_all()
        for thread in self._threads:
            thread.join(10)  # a stream that hangs is left to the end of the process

    def newest(self) -> Photograph | None:
        """The frame that came last; None where none comes now."""
        frame = self._newest
        return None if frame is None or self.trouble else self._photograph(frame)

    def _give(self, put: Put) -> None:
        due, pause = 0.0, 1 / self._settings.per_second if self._settings.per_second else 0.0
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            if not self._outstanding.acquire(timeout=1):
                continue
            with self._fresh:
                self._fresh.wait_for(lambda: self._stopping.is_set() or self._is_wanted())
                frame = self._newest
            if frame is None or self._stopping.is_set():
                return
            self._wanted, due = frame.number + self._settings.every, time.monotonic() + pause
            photograph = self._photograph(frame)
            photograph.finish = self._outstanding.release
            put(photograph)

    def _is_wanted(self) -> bool:
        return self._newest is not None and self._newest.number >= self._wanted

    def _photograph(self, frame: Frame) -> Photograph:
        data = encode_image(np.ascontiguousarray(frame.image[..., ::-1]), ".jpg", QUALITY)
        return Photograph(self.name, f"{self._started_ms}_{frame.number:08d}.jpg", data, frame.taken_ms)

    def _read(self) -> None:
        pause, number, is_file = FIRST_PAUSE, 0, os.path.isfile(self._settings.address)
        while not self._stopping.is_set():
            before = number
            number = self._read_on(number, is_file)
            if is_file and number > before:
                if not self._settings.repeat:
                    return
                continue
            pause = FIRST_PAUSE if number > before else min(2 * pause, LONGEST_PAUSE)
            self._say(NONE_NOW)
            self._stopping.wait(pause)

    def _read_on(self, number: int, is_file: bool) -> int:
        """Read until no frame comes; the number of the next frame."""
        capture = self._open()
        step = 1 / (capture.get(cv2.CAP_PROP_FPS) or 25) if is_file else 0.0  # a file is played, not devoured
        while capture.isOpened() and not self._stopping.wait(step):
            whole, image = capture.read()
            if not whole:
                break
            self._say("")
            with self._fresh:
                self._newest = Frame(image, number, int(time.time() * 1000))
                self._fresh.notify_all()
            number += 1
        capture.release()
        return number

    def _open(self) -> cv2.VideoCapture:
        address = self._settings.address
        if address.isdecimal():
            return cv2.VideoCapture(int(address))
        if address.startswith("/dev/"):
            return cv2.VideoCapture(address, cv2.CAP_V4L2)
        with _options(is_file=os.path.isfile(address)):
            return cv2.VideoCapture(address, cv2.CAP_FFMPEG, [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_MS])

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            LOG.warning("source %s: %s; it is opened again and again", self.name, trouble)
        elif self.trouble == NONE_NOW and not trouble:
            LOG.info("source %s: frames come again", self.name)
        self.trouble = trouble


@contextmanager
def _options(is_file: bool) -> Iterator[None]:
    """Let FFmpeg give fresh frames of a stream, and all frames of a file; what the environment says goes before."""
    if not is_file:
        os.environ.setdefault(OPTIONS, FRESH)
        yield
        return
    with FILES:
        is_ours = os.environ.get(OPTIONS) == FRESH
        if is_ours:
            del os.environ[OPTIONS]
        try:
            yield
        finally:
            if is_ours:
                os.environ[OPTIONS] = FRESH
