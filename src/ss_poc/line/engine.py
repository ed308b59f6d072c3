"""The line itself: source → service → verdict → archive → sinks.

Photographs are asked about several at a time, and archived in the order in which they came. A part is in the archive
before its photograph is put away, and marked there once all sinks have it in their queues: whenever the line is
killed, it goes on there when it is started again.
"""

from __future__ import annotations

import functools
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .archive import Archive, ArchiveError
from .outbox import Delivery, Item
from .parts import Part, identify
from .pictures import keep_picture
from .service import Service, StoppedError, UnreadableError
from .settings import LineSettings
from .sources.photograph import Photograph, Source
from .verdict import decide

__all__ = ["Line", "Progress"]

LOG = logging.getLogger("ss_poc.line")
BATCH = 32  # parts that are archived at once, where so many are finished
T = TypeVar("T")

# A photograph and what is decided about it.
Asked = tuple[Photograph, "Future[Part | None]"]
LONGEST_PAUSE = 5.0  # seconds
# What was handed over is noted with the next part, or once none has come for so many seconds: a line that is killed
# before hands it over once more.
IDLE, MOMENT = 0.1, 0.2


@dataclass
class Progress:
    """What the line has done since it was started."""

    parts: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)  # of each source: `time.monotonic()` of its last photograph


class Line:
    """A line that runs.

    Args:
        settings: of the line.
        archive: where parts are kept.
        service: that is asked.
        sources: that photographs come from.
        deliveries: of the sinks.
        stopping: set to stop it.
        watch: is told of each part that is new.

    Attributes:
        troubles: why nothing is archived now, by what was tried; empty where all is well.
    """

    def __init__(self, settings: LineSettings, archive: Archive, service: Service, sources: Sequence[Source],
                 deliveries: Sequence[Delivery], stopping: threading.Event,
                 watch: Callable[[Part], None] = lambda part: None) -> None:
        self.settings, self.archive, self.service, self.sources = settings, archive, service, sources
        self.deliveries, self.progress, self._watch = deliveries, Progress(), watch
        self._stopping, self.troubles, self._handed_over = stopping, dict[str, str](), list[str]()
        requests = settings.service.requests
        self._places = threading.Semaphore(5 * requests)  # photographs in memory
        self._taking, self._asked = threading.Lock(), queue.SimpleQueue[Asked | None]()
        # Twice as many threads as requests: while the disk takes a picture, the service has another photograph.
        self._pool = ThreadPoolExecutor(2 * requests, thread_name_prefix="ask")
        self._thread = threading.Thread(target=_or_end, args=(self._collect,), name="archive", daemon=True)

    def start(self) -> None:
        """Begin; what an earlier line could not hand over comes first."""
        for waiting in self.archive.waiting():
            self._insist("sinks", functools.partial(self._hand_over, waiting))
        self._keep([])
        self._thread.start()
        for delivery in self.deliveries:
            delivery.start()
        for source in self.sources:
            source.start(self.put)

    def stop(self) -> None:
        """End: what was asked is archived, what was not stays with its source."""
        self._stopping.set()
        for source in self.sources:
            source.stop()
        with self._taking:
            self._asked.put(None)
        self._thread.join()
        self._pool.shutdown()
        for delivery in self.deliveries:
            delivery.stop()

    def put(self, photograph: Photograph) -> bool:
        """Take a photograph in; waits while others are before it. False where the line stops and does not take it."""
        came = self.progress.last[photograph.source] = time.monotonic()
        while not self._places.acquire(timeout=0.2):
            if self._stopping.is_set():
                return False
        with self._taking:  # both in one order, and nothing after the end
            if self._stopping.is_set():
                return False
            self._asked.put((photograph, self._pool.submit(self._decide, photograph, came)))
        return True

    def _decide(self, photograph: Photograph, came: float) -> Part | None:
        """Ask about a photograph; None where it is archived already, or is to be read once more.

        Raises:
            StoppedError: the line stops first.
        """
        if self._stopping.is_set():
            raise StoppedError("the line stops")
        key = identify(photograph.source, photograph.name, photograph.data)
        if self._insist("archive, reading", lambda: self.archive.knows(key)):
            return None
        try:
            if photograph.missing:
                raise UnreadableError(photograph.missing)
            values = self._judged(self.service.ask(photograph.data, key[:32]), photograph.data)
        except UnreadableError as error:
            time.sleep(0.2)  # a file that somebody still writes changes
            if photograph.changed():
                return None
            values = {"verdict": "error", "reasons": (str(error),)}
        milliseconds = round((time.monotonic() - came) * 1000, 1)
        kept = self.settings.archive.pictures if photograph.data else "none"
        picture, size = self._insist("pictures", lambda: keep_picture(
            self.settings.pictures, kept, key, photograph.name, photograph.taken_ms, photograph.data))
        return Part(key=key, line=self.settings.line, source=photograph.source, name=photograph.name,
                    part=photograph.part, lot=photograph.lot, taken_ms=photograph.taken_ms, milliseconds=milliseconds,
                    picture=picture, picture_bytes=size, stamp=photograph.stamp, **values)

    def _judged(self, answer: dict[str, Any], data: bytes) -> dict[str, Any]:
        judged, model = decide(answer, self.settings.rules, data), answer["model"]
        regions = {"size": answer["rle"][0]["size"] if answer["rle"] else [0, 0], "labels": answer["labels"],
                   "colors": answer["colors"], "rle": [rle["counts"] for rle in answer["rle"]]}
        return {"verdict": judged.verdict, "reasons": judged.reasons, "measurements": judged.measurements,
                "found": judged.found, "regions": regions, "model": str(model.get("name", "")),
                "version": str(model.get("version", ""))}

    def _collect(self) -> None:
        """Archive what is decided, in order, as many at a time as are finished."""
        batch: list[Asked] = []
        while True:
            try:
                item = self._asked.get(timeout=0 if batch else IDLE)
            except queue.Empty:
                self._archive(batch)
                batch = []
                continue
            if item is None or batch and not self._joins(item, len(batch)):
                self._archive(batch)
                batch = []
            if item is None:
                return
            wait([item[1]])
            batch.append(item)

    def _joins(self, item: Asked, count: int) -> bool:
        """Whether a photograph is archived together with `count` others that are decided.

        Where others wait behind it, the line is behind, and nobody waits for a single part: it is waited for a moment,
        because a few together cost the disk and the cores less.
        """
        requests = self.settings.service.requests
        if self._asked.qsize() >= requests and count < 2 * requests:
            wait([item[1]], MOMENT)
        return item[1].done() and count < BATCH

    def _archive(self, batch: list[Asked]) -> None:
        done: list[tuple[Photograph, Part | None]] = []
        for photograph, future in batch:
            try:
                done.append((photograph, future.result()))
            except StoppedError:
                continue  # its source still has it
        try:
            new = self._keep([part for _, part in done if part])
            pictures = {part.key: photograph.data for photograph, part in done if part}
            self._insist("sinks", lambda: self._hand_over(new, pictures))
        except StoppedError:
            return
        for photograph, part in done:
            (photograph.again if part is None and photograph.changed() else photograph.finish)()
        if batch:
            self._places.release(len(batch))
        for part in new:
            self.progress.parts += 1
            self.progress.verdicts[part.verdict] = self.progress.verdicts.get(part.verdict, 0) + 1
            self._watch(part)

    def _keep(self, parts: Sequence[Part]) -> list[Part]:
        """Archive parts, and note there which ones of before were handed over; the new ones."""
        if not parts and not self._handed_over:
            return []
        new = self._insist("archive", lambda: self.archive.add(parts, self._handed_over))
        self._handed_over = []
        return new

    def _hand_over(self, parts: Sequence[Part], pictures: dict[str, bytes] | None = None) -> None:
        """Put parts into the queue of every sink."""
        if not parts:
            return
        for delivery in self.deliveries:
            told = [part for part in parts if part.verdict in delivery.verdicts]
            if delivery.outbox.wants_pictures:
                items = [Item(part.key, part.message(), part.regions, self._picture_of(part, pictures))
                         for part in told]
            else:
                items = [Item(part.key, part.message()) for part in told]
            delivery.outbox.put(items)
        self._handed_over += [part.key for part in parts]

    def _picture_of(self, part: Part, pictures: dict[str, bytes] | None) -> bytes:
        if pictures is not None:
            return pictures[part.key]
        path = self.settings.pictures / part.picture
        return path.read_bytes() if part.picture and path.is_file() else b""

    def _insist(self, what: str, action: Callable[[], T]) -> T:
        """Do what needs a database or a disk, again and again until it can be done.

        Raises:
            StoppedError: the line stops first.
        """
        pause = 0.2
        while True:
            try:
                result = action()
                if self.troubles.pop(what, ""):
                    LOG.info("%s: all is well again", what)
                return result
            except (ArchiveError, OSError, sqlite3.Error) as error:
                if what not in self.troubles:
                    LOG.warning("%s: %s; it is tried again", what, error)
                self.troubles[what] = str(error)
                if self._stopping.wait(pause):
                    raise StoppedError("the line stops") from None
                pause = min(2 * pause, LONGEST_PAUSE)


def _or_end(work: Callable[[], None]) -> None:
    """Run a thread's work. What nobody foresaw ends the process: nothing is lost, and it does not stand still."""
    try:
        work()
    except Exception:
        LOG.critical("the line ends because of an error that nobody foresaw", exc_info=True)
        os._exit(1)
