"""An MQTT topic: each message asks for the newest frame of a camera.

A message may be JSON, `{"part": "17", "lot": "A7", "id": "00017"}`, a text that the pattern `part` is searched in, or,
without a pattern, the part number itself; it may be empty. A photograph shows what is there now: messages that the
broker kept (retained), or that came while there was no connection, ask for none. One that comes twice with one `id` is
one part.
"""

from __future__ import annotations

import json
import logging
import queue
from collections import deque
from typing import Any

from paho.mqtt import client as mqtt

from ..parts import part_and_lot
from ..settings import MqttTrigger
from ..sinks.mqtt import connected
from .photograph import Photograph, Put
from .threaded import ThreadedSource
from .triggered import Shutter
from .video import Video

__all__ = ["MqttTriggered"]

LOG = logging.getLogger("ss_poc.line")
MOST_BYTES, MOST_WAITING, REMEMBERED = 65_536, 100, 1000


class MqttTriggered(ThreadedSource):
    """A source: see the module.

    Args:
        settings: of the source.
        line: name of the line.
        camera: whose newest frame is taken.
    """

    def __init__(self, settings: MqttTrigger, line: str, camera: Video | None) -> None:
        super().__init__(settings.name)
        self._settings, self._line = settings, line
        self._shutter, self._ids = Shutter(settings.name, camera), deque[str](maxlen=REMEMBERED)
        self._taken: queue.Queue[Photograph] = queue.Queue(MOST_WAITING)
        self._client: mqtt.Client | None = None

    def start(self, put: Put) -> None:
        """Listen to the topic."""
        self._say(f"no connection to {self._settings.host}:{self._settings.port}")
        super().start(put)
        self._client = connected(self._settings, f"ss-poc-{self._line}-{self.name}", on_connect=self._on_connect,
                                 on_subscribe=self._on_subscribe, on_disconnect=self._on_disconnect,
                                 on_message=self._on_message)

    def stop(self) -> None:
        """End."""
        super().stop()
        if self._client:
            self._client.disconnect()
            self._client.loop_stop()

    def _run(self, put: Put) -> None:
        """Hand what was taken to the line, which may be busy: the broker is listened to meanwhile."""
        while not self._stopping.is_set():
            try:
                put(self._taken.get(timeout=0.2))
            except queue.Empty:
                continue

    def _on_connect(self, client: mqtt.Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            self._say(f"the broker refuses: {reason}")
        else:
            client.subscribe(self._settings.topic, qos=1)

    def _on_subscribe(self, _: mqtt.Client, __: Any, ___: int, reasons: Any, ____: Any) -> None:
        refused = [reason for reason in reasons if reason.is_failure]
        self._say(f"the broker refuses the topic: {refused[0]}" if refused else "")

    def _on_disconnect(self, _: mqtt.Client, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        if not self._stopping.is_set() and not self.trouble:
            self._say(f"the connection was lost: {reason}")

    def _on_message(self, _: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        if message.retain:
            LOG.warning("source %s: a message that the broker had kept asks for no photograph", self.name)
            return
        if len(message.payload) > MOST_BYTES:
            LOG.warning("source %s: a message of %d bytes asks for no photograph", self.name, len(message.payload))
            return
        given = self._read(message.payload.decode("utf-8", "replace").strip())
        if given.get("id"):
            if given["id"] in self._ids:
                return
            self._ids.append(given["id"])
        try:
            self._taken.put_nowait(self._shutter.take_or_say(given))
        except queue.Full:
            LOG.error("source %s: %d photographs wait already; one is lost: %s", self.name, MOST_WAITING, given)

    def _read(self, text: str) -> dict[str, str]:
        """Part, lot and id that a message tells."""
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            said = None
        if isinstance(said, dict):
            return {name: str(said[name]) for name in ("part", "lot", "id") if isinstance(said.get(name), (str, int))}
        if self._settings.part is None:
            return {"part": text}
        part, lot = part_and_lot(self._settings.part, text)
        return {"part": part or "", "lot": lot or ""}

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            LOG.warning("source %s: %s; it connects again and again", self.name, trouble)
        elif self.trouble and not trouble:
            LOG.info("source %s: it listens to %s", self.name, self._settings.topic)
        self.trouble = trouble
