"""OPC UA: a server with a small model that others read or subscribe to.

Below `Objects` lies one object with the name of the line, in the namespace `urn:ss-poc:line`. It holds `LastPart`
(Verdict, Part, Lot, Source, Name, Id, Taken, Reasons, Objects, Area; Sequence is written last), `Counters` (Parts,
Accept, Warn, Reject, Error, since the line was started) and `Alarm` (Active, Text).
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from asyncua import Server, ua

from ..outbox import Item, SinkError
from ..settings import OpcuaSink
from .loop import LoopThread

__all__ = ["NAMESPACE", "OpcUa"]

NAMESPACE = "urn:ss-poc:line"
TEXTS = ("Verdict", "Part", "Lot", "Source", "Name", "Id", "Taken", "Reasons")
NUMBERS = ("Objects", "Area", "Sequence")
COUNTERS = ("Parts", "Accept", "Warn", "Reject", "Error")


class OpcUa:
    """A sink: see the module."""

    wants_pictures, at_a_time = False, 1

    def __init__(self, settings: OpcuaSink, line: str) -> None:
        self.name, self._settings, self._line = settings.name, settings, line
        self._loop = LoopThread(f"opcua {settings.name}")
        self._server: Server | None = None
        self._nodes: dict[str, Any] = {}
        self._counts = dict.fromkeys(COUNTERS, 0)
        self._last_key, self._alarms = "", dict[tuple[str, str | None], str]()
        with contextlib.suppress(SinkError):  # said when there is something to deliver
            self._open()

    def deliver(self, items: Sequence[Item]) -> None:
        """Write each part and alarm into the model.

        Raises:
            SinkError: the port is taken.
        """
        self._open()
        for item in items:
            values = self._alarm(item.message) if item.message["type"] == "alarm" else self._part(item)
            self._loop.run(self._write(values))
            self._last_key = item.key

    def close(self) -> None:
        """End the server."""
        if self._server:
            self._loop.run(self._server.stop())
            self._server = None
        self._loop.close()

    def _open(self) -> None:
        if self._server:
            return
        try:
            self._server = self._loop.run(self._start(), 60)
        except OSError as error:
            raise SinkError(f"{self._settings.host}:{self._settings.port} cannot be listened on: {error}") from None

    async def _start(self) -> Server:
        server = Server()
        await server.init()
        server.set_endpoint(f"opc.tcp://{self._settings.host}:{self._settings.port}/")
        server.set_server_name(f"SS-PoC line {self._line}")
        space = await server.register_namespace(NAMESPACE)
        line = await server.nodes.objects.add_object(space, self._line)
        for name, members in (("LastPart", TEXTS + NUMBERS), ("Counters", COUNTERS), ("Alarm", ("Active", "Text"))):
            parent = await line.add_object(space, name)
            for member in members:
                first, kind = _first(member), _kind(member)
                self._nodes[f"{name}.{member}"] = await parent.add_variable(space, member, first, kind)
        await server.start()
        return server

    async def _write(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            await self._nodes[name].write_value(ua.DataValue(ua.Variant(value, _kind(name.rpartition(".")[2]))))

    def _part(self, item: Item) -> dict[str, Any]:
        message, found = item.message, item.message["found"]
        if item.key != self._last_key:  # a part that is written again counts once
            self._counts["Parts"] += 1
            self._counts[message["verdict"].capitalize()] += 1
        values = {"Verdict": message["verdict"], "Part": message["part"] or "", "Lot": message["lot"] or "",
                  "Source": message["source"], "Name": message["name"], "Id": message["id"],
                  "Taken": datetime.fromisoformat(message["taken"].replace("Z", "+00:00")),
                  "Reasons": "; ".join(message["reasons"]), "Objects": sum(entry["objects"] for entry in found),
                  "Area": sum(entry["area"] for entry in found)}
        return {**{f"Counters.{name}": count for name, count in self._counts.items()},
                **{f"LastPart.{name}": value for name, value in values.items()},
                "LastPart.Sequence": self._counts["Parts"]}

    def _alarm(self, message: dict[str, Any]) -> dict[str, Any]:
        key = message["alarm"], message["source"]
        if message["active"]:
            self._alarms[key] = message["text"]
        else:
            self._alarms.pop(key, None)
        return {"Alarm.Text": "; ".join(self._alarms.values()), "Alarm.Active": bool(self._alarms)}


def _kind(member: str) -> ua.VariantType:
    if member == "Taken":
        return ua.VariantType.DateTime
    if member == "Active":
        return ua.VariantType.Boolean
    return ua.VariantType.UInt64 if member in (*NUMBERS, *COUNTERS) else ua.VariantType.String


def _first(member: str) -> Any:
    """The value of a variable before there is a part."""
    return {"Taken": datetime(1970, 1, 1), "Active": False}.get(member, 0 if member in (*NUMBERS, *COUNTERS) else "")
