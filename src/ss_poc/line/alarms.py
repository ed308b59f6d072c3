"""Alarms: too many rejects, a source that is silent, a service that does not answer, photographs that drift.

Each is told once when it comes and once when it goes, to all sinks.
"""

from __future__ import annotations

import logging
import sqlite3
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .outbox import Delivery, Item
from .parts import Part, when
from .service import Service, StoppedError
from .settings import AlarmSettings
from .sources.photograph import Source

__all__ = ["Alarms"]

LOG = logging.getLogger("ss_poc.line")


class Alarms:
    """The alarms of one line.

    Args:
        settings: which there are.
        line: name of the line.
        service: whose trouble and drift are looked at.
        clock: seconds that never go back.

    Attributes:
        active: text of each alarm that is on, by its name and source.
    """

    def __init__(self, settings: AlarmSettings, line: str, service: Service,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._line, self._service, self._clock = settings, line, service, clock
        self._verdicts: deque[str] = deque(maxlen=settings.of)
        self._well_at, self._drift_at, self._drift = clock(), clock(), ""
        self._started = clock()
        self._waiting: list[Item] = []
        self.active: dict[tuple[str, str | None], str] = {}

    def see(self, part: Part) -> None:
        """Take in a part that is new."""
        self._verdicts.append(part.verdict)

    def look(self, sources: Sequence[Source], last: dict[str, float], deliveries: Sequence[Delivery]) -> None:
        """Look whether alarms come or go, and tell the sinks.

        Args:
            sources: of the line.
            last: of each source, when its last photograph came, by the same clock.
            deliveries: of the sinks.
        """
        found = dict(self._found(sources, last))
        for key in [*found, *self.active]:
            if (key in found) != (key in self.active):
                self._waiting.append(self._item(key, found.get(key)))
                if key in found:
                    self.active[key] = found[key]
                else:
                    del self.active[key]
        try:
            for delivery in deliveries if self._waiting else ():
                delivery.outbox.put(self._waiting)
            self._waiting = []
        except sqlite3.Error as error:
            LOG.warning("an alarm waits, because it cannot be written: %s", error)

    def _found(self, sources: Sequence[Source], last: dict[str, float]) -> Iterator[tuple[tuple[str, str | None], str]]:
        settings, now = self._settings, self._clock()
        rejects = self._verdicts.count("reject")
        if settings.rejects and rejects >= settings.rejects:
            yield ("rejects", None), f"{rejects} of the last {len(self._verdicts)} parts were rejected"
        for source in sources if settings.silent else ():
            seconds = now - last.get(source.name, self._started)
            if seconds >= settings.silent:
                why = f": {source.trouble}" if source.trouble else ""
                yield ("silent", source.name), f"no photograph comes from {source.name}{why}"
        if not self._service.trouble:
            self._well_at = now
        if settings.not_ready and now - self._well_at >= settings.not_ready:
            yield ("service", None), f"the service does not answer: {self._service.trouble}"
        if settings.drift and now >= self._drift_at:
            self._drift_at = now + settings.drift
            self._look_at_drift()
        if self._drift:
            yield ("drift", None), self._drift

    def _look_at_drift(self) -> None:
        try:
            shifted = self._service.drift()
        except StoppedError:
            return  # what is wrong with the service has an alarm of its own
        self._drift = f"photographs are unlike those of training in {', '.join(shifted)}" if shifted else ""

    def _item(self, key: tuple[str, str | None], text: str | None) -> Item:
        name, source = key
        LOG.warning("alarm %s: %s", name, text or "it is over")
        number = uuid.uuid4().hex
        message: dict[str, Any] = {
            "type": "alarm", "id": number, "time": when(int(time.time() * 1000)), "line": self._line, "alarm": name,
            "source": source, "active": text is not None, "text": text or self.active[key]}
        return Item(number, message)
