"""From the settings of a sink to the sink."""

from __future__ import annotations

from pathlib import Path

from ..outbox import Delivery, Outbox, Sink
from ..settings import CsvSink, FolderSink, ModbusSink, MqttSink, OpcuaSink, SinkSettings, WebhookSink

__all__ = ["make_deliveries"]


def make_deliveries(sinks: tuple[SinkSettings, ...], line: str, folder: Path) -> list[Delivery]:
    """Make the sinks of a line, each with its queue in `folder`."""
    found = []
    for settings in sinks:
        sink = _make_sink(settings, line)
        outbox = Outbox(folder / f"{settings.name}.sqlite", settings.name, sink.wants_pictures, settings.megabytes)
        found.append(Delivery(outbox, sink, settings.verdicts))
    return found


def _make_sink(settings: SinkSettings, line: str) -> Sink:
    # Libraries load where they are used: a line without a broker needs none of them.
    if isinstance(settings, CsvSink):
        from .csv_file import CsvFile
        return CsvFile(settings)
    if isinstance(settings, FolderSink):
        from .picture_folder import PictureFolder
        return PictureFolder(settings)
    if isinstance(settings, WebhookSink):
        from .webhook import Webhook
        return Webhook(settings)
    if isinstance(settings, MqttSink):
        from .mqtt import Mqtt
        return Mqtt(settings, line)
    if isinstance(settings, ModbusSink):
        from .modbus import Modbus
        return Modbus(settings)
    if isinstance(settings, OpcuaSink):
        from .opcua import OpcUa
        return OpcUa(settings, line)
    raise TypeError(f"no sink for {type(settings).__name__}")
