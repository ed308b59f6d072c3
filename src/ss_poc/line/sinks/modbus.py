"""Modbus TCP: a server that a controller (PLC) reads results from, with a handshake.

The controller writes coil 1, Ack, and coil 0, Trigger, where a source is triggered by it. The line writes the coils
8 Ready, 9 Result ready, 10 OK, 11 NG, 12 Error, 13 Heartbeat (changes each second), 14 Alarm and 15 Warn. It writes the
holding registers 0 verdict (0 none, 1 accept, 2 warn, 3 reject, 4 error), 1 sequence number (1 to 65535, then 1 again),
2 number of objects, 3 and 4 their area in pixels (high word first), 5 to 24 part number and 25 to 44 lot number (ASCII,
two characters a register, then zeros). The controller writes the registers 48 to 67 part number and 68 to 87 lot number
of the photograph that it asks for.

A result: the line writes the registers and OK, NG or Error, then sets Result ready. The controller reads, and sets Ack.
The line takes Result ready back, the controller takes Ack back; then the next result may come.

A photograph: the controller waits for Ready, writes the numbers, and sets Trigger. The line takes the photograph, and
takes Ready back. The controller takes Trigger back. Once the part is archived, the line sets Ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pymodbus import ModbusException
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from ..outbox import Item, SinkError
from ..parts import VERDICTS
from ..settings import ModbusSink
from .loop import LoopThread

__all__ = ["ACK", "ALARM", "ERROR", "HEARTBEAT", "NG", "OK", "READY", "RESULT_READY", "TRIGGER", "WARN",
           "Modbus"]

TRIGGER, ACK, READY, RESULT_READY, OK, NG, ERROR, HEARTBEAT, ALARM, WARN = 0, 1, 8, 9, 10, 11, 12, 13, 14, 15
PART, LOT = 48, 68  # first registers of the numbers that the controller writes
COILS, REGISTERS, TEXT = 32, 96, 20  # TEXT: registers of a part or lot number
READ_COILS, READ_REGISTERS, WRITE_COIL, WRITE_COILS, WRITE_REGISTERS = 1, 3, 5, 15, 16  # function codes
MOST = 0xFFFF


class Modbus:
    """A sink: see the module."""

    wants_pictures, at_a_time = False, 1

    def __init__(self, settings: ModbusSink) -> None:
        self.name, self._settings = settings.name, settings
        self._loop = LoopThread(f"modbus {settings.name}")
        self._server: ModbusTcpServer | None = None
        self._sequence, self._shown = 0, ""
        self._alarms: set[tuple[str, str | None]] = set()
        self._busy, self._triggered, self._opening = False, threading.Event(), threading.Lock()
        with contextlib.suppress(SinkError):  # said when there is something to deliver
            self.open()

    def deliver(self, items: Sequence[Item]) -> None:
        """Show each part until the controller has acknowledged it; show whether there is an alarm.

        Raises:
            SinkError: the port is taken, or the controller does not acknowledge.
        """
        self.open()
        for item in items:
            if item.message["type"] == "alarm":
                self._show_alarm(item.message)
            else:
                self._show(item)

    def close(self) -> None:
        """Take Ready back and end the server."""
        if self._server:
            self.write({READY: False})
            self._loop.run(self._server.shutdown())
            self._server = None
        self._loop.close()

    def read(self, coil: int) -> bool:
        """A coil as it is now."""
        assert self._server
        return bool(self._loop.run(self._server.async_getValues(1, READ_COILS, coil, 1))[0])

    def write(self, coils: Mapping[int, bool]) -> None:
        """Set coils, in order."""
        assert self._server
        for coil, value in coils.items():
            self._loop.run(self._server.async_setValues(1, WRITE_COILS, coil, [value]))

    def open(self) -> None:
        """Listen, unless that is done already.

        Raises:
            SinkError: the port is taken.
        """
        with self._opening:
            if self._server:
                return
            try:
                self._server = self._loop.run(self._start())
            except (RuntimeError, OSError, ModbusException) as error:
                raise SinkError(
                    f"{self._settings.host}:{self._settings.port} cannot be listened on: {error}") from None
            self._show_ready()

    def wait_for_trigger(self, value: bool, seconds: float) -> bool:
        """Wait until the controller has set Trigger, or taken it back; False where it has not within that time."""
        self._triggered.clear()
        if self.read(TRIGGER) == value:
            return True
        self._triggered.wait(seconds)
        return self.read(TRIGGER) == value

    def numbers(self) -> dict[str, str]:
        """Part and lot number that the controller has written; those that it left empty are ""."""
        assert self._server
        values = self._loop.run(self._server.async_getValues(1, READ_REGISTERS, PART, 2 * TEXT))
        return {"part": _said(values[:TEXT]), "lot": _said(values[TEXT:])}

    def set_busy(self, busy: bool) -> None:
        """Say that a photograph is being worked on: not ready."""
        self._busy = busy
        self._show_ready()

    def _show_ready(self) -> None:
        self.write({READY: not self._busy and ("service", None) not in self._alarms})

    async def _look(self, function: int, start: int, address: int, count: int, *_: Any) -> None:
        """Wake who waits for Trigger once a controller writes it; asked before each access."""
        if function in (WRITE_COIL, WRITE_COILS) and address <= TRIGGER < address + count:
            self._triggered.set()

    async def _start(self) -> ModbusTcpServer:
        def bits() -> list[SimData]:
            return [SimData(0, values=[False] * COILS, datatype=DataType.BITS)]

        def words() -> list[SimData]:
            return [SimData(0, values=[0] * REGISTERS, datatype=DataType.REGISTERS)]

        server = ModbusTcpServer(SimDevice(0, (bits(), bits(), words(), words()), action=self._look),
                                 address=(self._settings.host, self._settings.port))
        await server.serve_forever(background=True)
        self._beating = asyncio.ensure_future(self._beat(server))
        return server

    async def _beat(self, server: ModbusTcpServer) -> None:
        beat = False
        while True:
            beat = not beat
            await server.async_setValues(1, WRITE_COILS, HEARTBEAT, [beat])
            await asyncio.sleep(1)

    def _show_alarm(self, message: Mapping[str, Any]) -> None:
        change = self._alarms.add if message["active"] else self._alarms.discard
        change((message["alarm"], message["source"]))
        self.write({ALARM: bool(self._alarms)})
        self._show_ready()

    def _show(self, item: Item) -> None:
        if item.key != self._shown:  # else it still stands there, and its Ack may have come meanwhile
            if self._settings.handshake:
                self._wait(False, "take Ack back")
            self.write({RESULT_READY: False})
            verdict = item.message["verdict"]
            self._sequence = self._sequence % MOST + 1
            self._loop.run(self._write_registers(self._registers(item)))
            self.write({OK: verdict in ("accept", "warn"), WARN: verdict == "warn", NG: verdict == "reject",
                        ERROR: verdict == "error", RESULT_READY: True})
            self._shown = item.key
        if self._settings.handshake:
            self._wait(True, "set Ack")
            self.write({RESULT_READY: False, OK: False, WARN: False, NG: False, ERROR: False})
            self._shown = ""

    async def _write_registers(self, values: list[int]) -> None:
        assert self._server
        await self._server.async_setValues(1, WRITE_REGISTERS, 0, values)

    def _registers(self, item: Item) -> list[int]:
        message, found = item.message, item.message["found"]
        area = min(sum(entry["area"] for entry in found), 0xFFFF_FFFF)
        objects = min(sum(entry["objects"] for entry in found), MOST)
        return [VERDICTS.index(message["verdict"]) + 1, self._sequence, objects, area >> 16, area & MOST,
                *_text(message["part"]), *_text(message["lot"])]

    def _wait(self, value: bool, what: str) -> None:
        until = time.monotonic() + self._settings.timeout
        while self.read(ACK) != value:
            if time.monotonic() > until:
                raise SinkError(f"the controller does not {what} within {self._settings.timeout:g} s")
            time.sleep(0.01)


def _text(text: str | None) -> list[int]:
    data = (text or "").encode("ascii", "replace")[:2 * TEXT].ljust(2 * TEXT, b"\0")
    return [int.from_bytes(data[index:index + 2], "big") for index in range(0, len(data), 2)]


def _said(registers: Any) -> str:
    """The text that registers hold, two characters each, up to a zero."""
    data = b"".join(int(value).to_bytes(2, "big") for value in registers)
    return data.partition(b"\0")[0].decode("ascii", "replace").strip()
