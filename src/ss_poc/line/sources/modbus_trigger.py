"""The coil Trigger of a Modbus sink: a controller asks for the newest frame of a camera; `sinks.modbus` says how."""

from __future__ import annotations

import logging
import threading

from ..outbox import SinkError
from ..settings import ModbusTrigger
from ..sinks.modbus import Modbus
from .photograph import Put
from .threaded import ThreadedSource
from .triggered import Shutter
from .video import Video

__all__ = ["ModbusTriggered"]

LOG = logging.getLogger("ss_poc.line")
LOOK, AGAIN = 0.2, 1.0  # seconds


class ModbusTriggered(ThreadedSource):
    """A source: see the module.

    Args:
        settings: of the source.
        controller: the sink whose coils the controller writes.
        camera: whose newest frame is taken.
    """

    def __init__(self, settings: ModbusTrigger, controller: Modbus, camera: Video | None) -> None:
        super().__init__(settings.name)
        self._controller, self._shutter = controller, Shutter(settings.name, camera)

    def _run(self, put: Put) -> None:
        while not self._stopping.is_set():
            try:
                self._controller.open()
                self.trouble = ""
                if self._controller.wait_for_trigger(True, LOOK):
                    self._take(put)
            except SinkError as error:
                if not self.trouble:
                    LOG.warning("source %s: %s; it is tried again", self.name, error)
                self.trouble = str(error)
                self._stopping.wait(AGAIN)

    def _take(self, put: Put) -> None:
        """Take one photograph; ready again once it is archived and the controller has taken Trigger back."""
        photograph, archived = self._shutter.take_or_say(self._controller.numbers()), threading.Event()
        photograph.finish = archived.set
        self._controller.set_busy(True)
        put(photograph)
        while not self._stopping.is_set() and not archived.wait(LOOK):
            continue
        while not self._stopping.is_set() and not self._controller.wait_for_trigger(False, LOOK):
            continue
        if not self._stopping.is_set():
            self._controller.set_busy(False)
