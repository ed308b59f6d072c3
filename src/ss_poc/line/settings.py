"""Every setting of a line, as its yaml has them; `read_settings` checks a whole file before anything is started."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..core import yaml_settings as schema
from ..core.errors import ConfigError
from ..core.yaml_settings import Reader, entry, read_yaml
from ..measuring.settings import PartRules, part_rules
from .parts import VERDICTS

__all__ = ["ArchiveSettings", "FolderSource", "LineSettings", "PageSettings", "ServiceSettings", "SourceSettings",
           "read_settings", "state_of"]

NAME = schema.text(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}", "letters, digits, '.', '_' and '-', at most 50 of them")
PORT = schema.whole(1, 65_535)


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """The service that is asked."""

    url: str = entry(schema.url("http", "https"), "address of the service", "http://127.0.0.1:8892")
    token: str = entry(schema.secret, "the service's SS_POC_TOKEN", "")
    requests: int = entry(schema.whole(1, 64), "requests at a time", 2)
    timeout: float = entry(schema.number(1, 3600), "seconds until an answer is given up", 60.0)


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """What every source has."""

    name: str = entry(NAME, "a name for the source")
    part: re.Pattern[str] | None = entry(
        schema.pattern("part", "lot"), "how the name of a photograph tells part and lot", None)


@dataclass(frozen=True, kw_only=True)
class FolderSource(SourceSettings):
    """Photographs that others put into a folder."""

    path: Path = entry(schema.folder, "the folder that photographs come into")
    watch: str = entry(schema.choice("inotify", "polling"), "inotify, or polling for network shares", "inotify")
    every: float = entry(schema.number(0.05, 3600), "seconds between two looks into the folder, with polling", 1.0)
    settle: float = entry(schema.number(0, 3600), "seconds for which a file must stay as it is to count as whole", 2.0)
    subfolders: bool = entry(schema.switch, "whether folders in the folder are watched too", False)
    after: str = entry(schema.choice("move", "keep", "delete"), "what becomes of a file that is archived", "move")
    done: Path | None = entry(schema.path, "where files are moved", None)

    @property
    def done_folder(self) -> Path:
        """Where archived files are moved: beside the folder, unless the file names another place."""
        return self.done or self.path.with_name(self.path.name + "-done")


@dataclass(frozen=True, kw_only=True)
class VideoSource(SourceSettings):
    """A camera, a stream or a video file."""

    address: str = entry(schema.address("rtsp", "rtsps", "http", "https"),
                         "number or /dev/… of a camera, address of a stream, or a file")
    every: int = entry(schema.whole(1), "take every n-th frame", 1)
    per_second: float = entry(schema.number(0, 1000), "take at most so many frames a second; 0 for no limit", 0.0)
    repeat: bool = entry(schema.switch, "whether a file begins again at its end", False)


@dataclass(frozen=True, kw_only=True)
class HttpTrigger(SourceSettings):
    """An address that others POST to, with a photograph or for one."""

    host: str = entry(schema.text(), "address to listen on", "127.0.0.1")
    port: int = entry(PORT, "port to listen on")
    token: str = entry(schema.secret, "what others must send as Authorization: Bearer", "")
    camera: str = entry(schema.text(), "video source whose newest frame is taken where no photograph is sent", "")
    megabytes: float = entry(schema.number(0.001, 1000), "largest photograph", 64.0)


@dataclass(frozen=True, kw_only=True)
class SinkSettings:
    """What every sink has."""

    name: str = entry(NAME, "a name for the sink")
    verdicts: tuple[str, ...] = entry(schema.words(*VERDICTS), "which verdicts it is told of", VERDICTS)
    megabytes: float = entry(schema.number(0), "megabytes of pictures that may wait for it", 500.0)


@dataclass(frozen=True, kw_only=True)
class CsvSink(SinkSettings):
    """A csv with a line for each part."""

    path: Path = entry(schema.path, "the csv")


@dataclass(frozen=True, kw_only=True)
class FolderSink(SinkSettings):
    """A folder with photograph, overlay and json of each part."""

    path: Path = entry(schema.path, "the folder")


@dataclass(frozen=True, kw_only=True)
class WebhookSink(SinkSettings):
    """An address that each part is posted to."""

    url: str = entry(schema.url("http", "https"), "the address")
    secret: str = entry(schema.secret, "what messages are signed with", "")
    pictures: bool = entry(schema.switch, "whether the photograph is sent too", False)
    timeout: float = entry(schema.number(0.1, 600), "seconds for an answer", 10.0)


@dataclass(frozen=True, kw_only=True)
class Broker:
    """An MQTT broker."""

    host: str = entry(schema.text(), "the broker")
    port: int = entry(PORT, "port of the broker", 1883)
    user: str = entry(schema.text(), "user name at the broker", "")
    password: str = entry(schema.secret, "password at the broker", "")
    tls: bool = entry(schema.switch, "whether the connection is encrypted", False)
    ca: Path | None = entry(schema.file, "certificate of who signed the broker's", None)
    certificate: Path | None = entry(schema.file, "our certificate, where the broker wants one", None)
    key: Path | None = entry(schema.file, "key of our certificate", None)


@dataclass(frozen=True, kw_only=True)
class MqttTrigger(SourceSettings, Broker):
    """A topic of an MQTT broker: each message asks for a photograph."""

    topic: str = entry(schema.text(r"[^\0]{1,200}", "a topic"), "the topic; + and # may stand in it")
    camera: str = entry(schema.text(), "video source whose newest frame is taken")


@dataclass(frozen=True, kw_only=True)
class ModbusTrigger(SourceSettings):
    """The coil Trigger of a Modbus sink: a controller asks for a photograph."""

    sink: str = entry(schema.text(), "the Modbus sink that the controller is connected to")
    camera: str = entry(schema.text(), "video source whose newest frame is taken")


@dataclass(frozen=True, kw_only=True)
class MqttSink(SinkSettings, Broker):
    """An MQTT broker that is told of each part."""

    topic: str = entry(schema.text(r"[^#+\0]{1,200}", "a topic without # and +"), "what topics begin with")
    pictures: bool = entry(schema.switch, "whether the photograph is sent too", False)
    timeout: float = entry(schema.number(0.1, 600), "seconds for the broker to confirm", 10.0)


@dataclass(frozen=True, kw_only=True)
class ServerSink(SinkSettings):
    """A server that others ask."""

    host: str = entry(schema.text(), "address to listen on", "0.0.0.0")
    port: int = entry(PORT, "port to listen on")


@dataclass(frozen=True, kw_only=True)
class ModbusSink(ServerSink):
    """A Modbus TCP server that a controller asks."""

    port: int = entry(PORT, "port to listen on", 502)
    handshake: bool = entry(schema.switch, "whether a result stays until the controller has acknowledged it", True)
    timeout: float = entry(schema.number(0.1, 600), "seconds for the controller to acknowledge", 10.0)


@dataclass(frozen=True, kw_only=True)
class OpcuaSink(ServerSink):
    """An OPC UA server that others read."""

    port: int = entry(PORT, "port to listen on", 4840)


@dataclass(frozen=True, kw_only=True)
class ArchiveSettings:
    """Where parts are kept, and for how long."""

    url: str | None = entry(
        schema.url("sqlite", "postgresql+psycopg"), "sqlite:///FILE or postgresql+psycopg://…", None)
    pictures: str = entry(schema.choice("original", "small", "none"), "which pictures are kept", "original")
    folder: Path | None = entry(schema.path, "folder of the pictures", None)
    days: float = entry(schema.number(0), "days after which a part is forgotten; 0 for never", 0.0)
    gigabytes: float = entry(schema.number(0), "gigabytes of pictures that are kept; 0 for all", 0.0)


SOURCES = {"folder": FolderSource, "video": VideoSource, "http": HttpTrigger, "mqtt": MqttTrigger,
           "modbus": ModbusTrigger}
TRIGGERS = (HttpTrigger, MqttTrigger, ModbusTrigger)
SINKS = {"csv": CsvSink, "folder": FolderSink, "webhook": WebhookSink, "mqtt": MqttSink,
         "modbus": ModbusSink, "opcua": OpcuaSink}


@dataclass(frozen=True, kw_only=True)
class AlarmSettings:
    """When the sinks are warned; 0 turns an alarm off."""

    rejects: int = entry(schema.whole(0, 1000), "alarm at so many rejects…", 0)
    of: int = entry(schema.whole(1, 1000), "…among so many parts", 10)
    silent: float = entry(schema.number(0), "alarm when a source gives nothing for so many seconds", 0.0)
    not_ready: float = entry(schema.number(0), "alarm when the service does not answer for so many seconds", 30.0)
    drift: float = entry(schema.number(0), "seconds between two looks at the drift that the service tells", 0.0)


@dataclass(frozen=True, kw_only=True)
class PageSettings:
    """The page `/line`."""

    host: str = entry(schema.text(), "address to listen on", "127.0.0.1")
    port: int = entry(PORT, "port to listen on", 8896)
    token: str = entry(schema.secret, "what who opens it must know", "")
    collected: Path | None = entry(schema.path, "folder that photographs go to for labelling", None)


@dataclass(frozen=True, kw_only=True)
class LineSettings:
    """A whole line."""

    line: str = entry(NAME, "the name of the line")
    state: Path = entry(schema.path, "folder of what the line itself keeps")
    service: ServiceSettings = entry(schema.block(ServiceSettings), "the service", ServiceSettings())
    sources: tuple[SourceSettings, ...] = entry(schema.blocks(SOURCES), "a list of at least one source")
    rules: PartRules | None = entry(part_rules, "by what parts are judged, or the file that says it", None)
    archive: ArchiveSettings = entry(schema.block(ArchiveSettings), "the archive", ArchiveSettings())
    sinks: tuple[SinkSettings, ...] = entry(schema.blocks(SINKS), "a list of sinks", ())
    alarms: AlarmSettings = entry(schema.block(AlarmSettings), "when the sinks are warned", AlarmSettings())
    page: PageSettings | None = entry(schema.block(PageSettings), "the page /line", None)

    @property
    def collected(self) -> Path:
        """Where photographs go for labelling: into the state's folder, unless the yaml names a data set's."""
        return (self.page.collected if self.page else None) or self.state / "collected"

    @property
    def archive_url(self) -> str:
        """Where parts are kept: a file in the state's folder, unless the yaml names a database."""
        return self.archive.url or f"sqlite:///{self.state / 'archive.sqlite'}"

    @property
    def pictures(self) -> Path:
        """The folder of the pictures."""
        return self.archive.folder or self.state / "pictures"


def read_settings(source: Path, environment: Mapping[str, str] = os.environ) -> LineSettings:
    """Read and check the yaml of a line.

    Raises:
        ConfigError: what is wrong with it, all at once, each with its line.
    """
    return read_yaml(LineSettings, source, _together, environment)


def state_of(source: Path) -> Path:
    """The state's folder alone, also where the rest of the yaml has errors now: a line that runs can be stopped.

    Raises:
        ConfigError: the yaml cannot be read, or names no such folder.
    """
    try:
        found = yaml.safe_load(source.read_text(encoding="utf-8"))["state"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        found = None
    if not isinstance(found, str) or not found:
        raise ConfigError(f"{source} names no state", "the yaml of a line, with state: FOLDER")
    return source.parent.resolve() / Path(found).expanduser()


def _together(settings: LineSettings, reader: Reader) -> None:
    if not settings.sources:
        reader.note("sources", "is empty", "at least one source")
    _names_differ("sources", [source.name for source in settings.sources], reader)
    _names_differ("sinks", [sink.name for sink in settings.sinks], reader)
    controllers = {sink.name: sink for sink in settings.sinks if isinstance(sink, ModbusSink)}
    cameras = [source.name for source in settings.sources if isinstance(source, VideoSource)]
    for index, source in enumerate(settings.sources):
        if isinstance(source, TRIGGERS) and source.camera and source.camera not in cameras:
            reader.note(f"sources[{index}].camera", f"is {source.camera!r}", "the name of a video source")
        if isinstance(source, ModbusTrigger) and controllers.pop(source.sink, None) is None:
            reader.note(f"sources[{index}].sink", f"is {source.sink!r}", "the name of a Modbus sink, once")
    _ports_differ(settings, reader)
    if settings.alarms.rejects > settings.alarms.of:
        reader.note("alarms.rejects", f"is {settings.alarms.rejects} of {settings.alarms.of} parts", "at most that")
    for index, source in enumerate(settings.sources):
        if isinstance(source, FolderSource):
            _check_folder(source, f"sources[{index}]", reader)
    folders = Counter(source.path.resolve() for source in settings.sources if isinstance(source, FolderSource))
    for index, source in enumerate(settings.sources):
        if isinstance(source, FolderSource) and folders[source.path.resolve()] > 1:
            reader.note(f"sources[{index}].path", "is watched by another source too", "a folder for each source")


def _ports_differ(settings: LineSettings, reader: Reader) -> None:
    listening: list[tuple[str, Any]] = [("page", settings.page)]
    listening += [(f"sources[{index}]", source) for index, source in enumerate(settings.sources)]
    listening += [(f"sinks[{index}]", sink) for index, sink in enumerate(settings.sinks)]
    taken: set[int] = set()
    for place, block in listening:
        if isinstance(block, (PageSettings, HttpTrigger, ServerSink)):
            if block.port in taken:
                reader.note(f"{place}.port", f"is {block.port}, as another's", "a port of its own")
            taken.add(block.port)


def _check_folder(source: FolderSource, place: str, reader: Reader) -> None:
    if source.after != "move":
        if source.done:
            reader.note(f"{place}.done", f"is given, but after is {source.after}", "after: move")
    elif source.subfolders and source.done_folder.resolve().is_relative_to(source.path.resolve()):
        reader.note(f"{place}.done", "lies in the folder that is watched with its subfolders", "another folder")
    elif source.done_folder.resolve() == source.path.resolve():
        reader.note(f"{place}.done", "is the folder that is watched", "another folder")


def _names_differ(place: str, names: list[str], reader: Reader) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            reader.note(f"{place}[{index}].name", f"is {name!r}, as another's", "a name of its own")
