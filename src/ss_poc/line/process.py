"""The process of a line: one for each state folder, until it is told to stop; what it does is in `status.json`."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.errors import ConfigError
from ..core.files import remove_leftovers, write_json
from ..core.host import give_memory_back
from .alarms import Alarms
from .archive import Archive, ArchiveError
from .engine import Line
from .outbox import Delivery
from .parts import Part
from .service import Service
from .settings import TRIGGERS, FolderSource, HttpTrigger, LineSettings, ModbusTrigger, MqttTrigger, VideoSource
from .sinks.make import make_deliveries
from .sources.folder import WatchedFolder
from .sources.http_trigger import HttpTriggered
from .sources.photograph import Source
from .sources.video import Video
from .web.news import News
from .web.page import Page

__all__ = ["run_line", "status_of"]

LOG = logging.getLogger("ss_poc.line")
# Seconds between two looks at the line, two looks for what is old, and twice that freed memory is given back.
LOOK, TIDY, FREE = 1.0, 300.0, 20.0


def run_line(settings: LineSettings) -> None:
    """Run a line until SIGTERM or SIGINT.

    Raises:
        ConfigError: the line runs already, or a port is taken.
        ArtifactError: the archive cannot be opened.
    """
    _start_logging()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with _alone(settings.state):
        remove_leftovers(settings.pictures)
        archive, news = Archive(settings.archive_url, settings.line), News()
        page = Page(settings, archive.engine, news) if settings.page else None
        service = Service(settings.service, stopping)
        alarms = Alarms(settings.alarms, settings.line, service)

        def watch(part: Part) -> None:
            alarms.see(part)
            news.tell()

        deliveries = make_deliveries(settings.sinks, settings.line, settings.state / "outbox")
        line = Line(settings, archive, service, _sources(settings, archive, deliveries), deliveries, stopping, watch)
        try:
            line.start()
            LOG.info("line %s runs", settings.line)
            _look_after(line, alarms, stopping)
        finally:
            if page:
                page.stop()
            line.stop()
            service.close()
            archive.close()
            LOG.info("line %s has stopped", settings.line)


def _sources(settings: LineSettings, archive: Archive, deliveries: Sequence[Delivery]) -> list[Source]:
    triggered = {source.camera for source in settings.sources if isinstance(source, TRIGGERS)}
    videos = {source.name: Video(source, source.name in triggered) for source in settings.sources
              if isinstance(source, VideoSource)}
    found: list[Source] = list(videos.values())
    for source in settings.sources:
        if isinstance(source, FolderSource):
            found.append(WatchedFolder(source, archive, settings.archive.days))
        elif isinstance(source, HttpTrigger):
            found.append(HttpTriggered(source, archive, videos.get(source.camera)))
        elif isinstance(source, MqttTrigger):
            from .sources.mqtt_trigger import MqttTriggered  # libraries load where they are used
            found.append(MqttTriggered(source, settings.line, videos.get(source.camera)))
        elif isinstance(source, ModbusTrigger):
            from .sources.modbus_trigger import ModbusTriggered
            controller: Any = next(item.sink for item in deliveries if item.sink.name == source.sink)
            found.append(ModbusTriggered(source, controller, videos.get(source.camera)))
    return found


def _look_after(line: Line, alarms: Alarms, stopping: threading.Event) -> None:
    """Write down how the line is, and forget what is old, until it stops."""
    kept, tidy_at, free_at = line.settings.archive, 0.0, 0.0
    while not stopping.is_set():
        if time.monotonic() >= free_at:  # many threads each leave gaps behind
            free_at = time.monotonic() + FREE
            give_memory_back()
        if time.monotonic() >= tidy_at and (kept.days or kept.gigabytes):
            tidy_at = time.monotonic() + TIDY
            try:
                parts, pictures = line.archive.tidy(line.settings.pictures, kept.days, kept.gigabytes)
                if parts or pictures:
                    LOG.info("%d old parts and %d old pictures were removed", parts, pictures)
            except (ArchiveError, OSError) as error:
                LOG.warning("nothing old can be removed: %s", error)
        alarms.look(line.sources, line.progress.last, line.deliveries)
        try:
            write_json(line.settings.state / "status.json", status_of(line, list(alarms.active.values())))
        except OSError as error:
            LOG.warning("status.json cannot be written: %s", error)
        until = time.monotonic() + LOOK
        # No `stopping.wait`: where a signal comes just as it has the event's lock, `set` blocks for ever.
        while not stopping.is_set() and time.monotonic() < until:
            time.sleep(0.1)


def status_of(line: Line, alarms: Sequence[str]) -> dict[str, Any]:
    """How a line is: parts since it was started, and what is wrong with its service, archive, sources and sinks."""
    now, last = time.monotonic(), line.progress.last
    return {
        "line": line.settings.line, "pid": os.getpid(), "parts": line.progress.parts,
        "verdicts": dict(line.progress.verdicts), "service": line.service.trouble,
        "archive": "; ".join(list(line.troubles.values())), "alarms": list(alarms),
        "sources": [{"name": source.name, "trouble": source.trouble, "silent": round(now - last[source.name], 1)
                     if source.name in last else None} for source in line.sources],
        "sinks": [{"name": delivery.sink.name, "trouble": delivery.trouble, "waiting": len(delivery.outbox)}
                  for delivery in line.deliveries],
    }


@contextmanager
def _alone(state: Path) -> Iterator[None]:
    """Let one process at a time have the state of a line."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"another process has the state of this line ({state})", "one process for each line",
                              "stop the other one, or give this line another state") from None
        (state / "pid").write_text(f"{os.getpid()}\n")
        yield
        (state / "pid").unlink(missing_ok=True)


def _start_logging() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    LOG.handlers, LOG.propagate = [handler], False
    LOG.setLevel(logging.INFO)
