"""Photographs that are asked for by a topic of a real broker and by a coil that a controller sets."""

from __future__ import annotations

import contextlib
import json

import pytest
from lines import Process, rows, until_so, write_video, yaml_of
from mosquitto import broker
from paho.mqtt import publish
from pymodbus.client import ModbusTcpClient
from served import free_port

from ss_poc.core.errors import ConfigError
from ss_poc.line.settings import read_settings
from ss_poc.line.sinks.modbus import ACK, ERROR, OK, READY, RESULT_READY, TRIGGER


def written(folder, service, source, sinks="[]", camera="a.avi, repeat: true"):
    """The yaml of a line with a film as its camera, and one more source."""
    if "avi" in camera:
        write_video(folder / "a.avi", 40)  # in none of these frames the stand-in finds a defect
    yaml = yaml_of(folder, service)
    yaml.write_text(f"line: press\nstate: state\nservice: {{url: {service.url}}}\nsources:\n"
                    f"  - {{type: video, name: film, address: {camera}}}\n  - {{{source}}}\nsinks: {sinks}\n")
    return yaml


@contextlib.contextmanager
def by_topic(folder, service, extra="", **values):
    """A line that a topic triggers, and a way to write to that topic."""
    with broker(folder / "broker") as server:
        yaml = written(folder, service, f"type: mqtt, name: topic, host: 127.0.0.1, port: {server.port}, "
                                        f"topic: plant/+/take, camera: film{extra}", **values)

        def tell(payload, **options):
            publish.single("plant/press/take", payload, hostname="127.0.0.1", port=server.port, qos=1, **options)

        with Process(yaml) as line:
            until_so(lambda: "it listens to plant/+/take" in line.log.read_text())
            yield server, tell, line


def frames_come(folder):
    status = folder / "state" / "status.json"
    until_so(lambda: status.is_file() and not any(source["trouble"] for source in
                                                  json.loads(status.read_text())["sources"]))


def numbers(folder):
    return [(part.part, part.lot, part.verdict) for part in rows(folder)]


def test_a_message_takes_a_photograph_with_the_numbers_that_it_tells(tmp_path, service):
    with by_topic(tmp_path, service) as (_, tell, _):
        frames_come(tmp_path)
        for count, payload in enumerate(('{"part": 17, "lot": "A7"}', "18", "", "[" * 60_000, b"\xff\x00")):
            tell(payload)
            until_so(lambda count=count: len(rows(tmp_path)) == count + 1)
    found = rows(tmp_path)
    assert [(part.part, part.lot) for part in found[:3]] == [("17", "A7"), ("18", None), (None, None)]
    assert found[3].part == "[" * 200 and found[4].part == "\ufffd"
    assert {part.source for part in found} == {"topic"} and len({part.name for part in found}) == 5


def test_a_message_that_comes_twice_was_kept_or_is_too_large_takes_no_other_photograph(tmp_path, service):
    with by_topic(tmp_path, service) as (_, tell, line):
        frames_come(tmp_path)
        for _ in range(2):
            tell('{"part": "17", "id": "x/../1"}')
        tell("x" * 70_000)
        tell("19")
        until_so(lambda: len(rows(tmp_path)) == 2)
        tell("20", retain=True)
        until_so(lambda: len(rows(tmp_path)) == 3)
        assert "a message of 70000 bytes" in line.log.read_text()
        line.kill(15)
        with Process(line.yaml) as again:  # the broker tells it what it kept
            until_so(lambda: "that the broker had kept" in again.log.read_text())
            tell("21")
            until_so(lambda: len(rows(tmp_path)) == 4)
    assert [part for part, *_ in numbers(tmp_path)] == ["17", "19", "20", "21"]
    assert rows(tmp_path)[0].name == "x/../1.jpg" and not rows(tmp_path)[0].picture.startswith("..")


def test_a_text_is_searched_by_a_pattern_where_there_is_one(tmp_path, service):
    pattern = ", part: '(?P<lot>[A-Z]+)-(?P<part>[0-9]+)'"
    with by_topic(tmp_path, service, pattern) as (_, tell, _):
        frames_come(tmp_path)
        tell("scan AB-0017 ok")
        until_so(lambda: rows(tmp_path))
    assert numbers(tmp_path)[0][:2] == ("0017", "AB")


def test_a_workpiece_without_a_frame_is_an_error_and_a_lost_broker_is_said_and_found_again(tmp_path, service):
    with by_topic(tmp_path, service, camera="/dev/video63") as (server, tell, line):
        tell("17")
        until_so(lambda: rows(tmp_path))
        server.kill()
        until_so(lambda: "connection was lost" in line.log.read_text())
        server.start()
        until_so(lambda: line.log.read_text().count("it listens to") == 2)
        tell("18")
        until_so(lambda: len(rows(tmp_path)) == 2)
    assert numbers(tmp_path) == [("17", None, "error"), ("18", None, "error")]
    assert rows(tmp_path)[0].reasons == ("no frame came from film",) and rows(tmp_path)[0].picture == ""


class Controller:
    """A PLC: it asks for photographs and acknowledges results, step by step."""

    def __init__(self, port):
        self.client = ModbusTcpClient("127.0.0.1", port=port)
        until_so(self.client.connect)

    def coil(self, number):
        return self.client.read_coils(number, count=1).bits[0]

    def write(self, first, text):
        data = text.encode().ljust(40, b"\0")
        self.client.write_registers(first, [int.from_bytes(data[at:at + 2], "big") for at in range(0, 40, 2)])

    def ask(self, part, lot=""):
        """Ask for a photograph, as the handshake has it."""
        until_so(lambda: self.coil(READY))
        self.write(48, part)
        self.write(68, lot)
        self.client.write_coil(TRIGGER, True)
        until_so(lambda: not self.coil(READY))
        self.client.write_coil(TRIGGER, False)

    def result(self):
        """Verdict, part and whether OK and Error are set; then acknowledge."""
        until_so(lambda: self.coil(RESULT_READY))
        registers = self.client.read_holding_registers(0, count=25).registers
        found = registers[0], registers[5:7], self.coil(OK), self.coil(ERROR)
        self.client.write_coil(ACK, True)
        until_so(lambda: not self.coil(RESULT_READY))
        self.client.write_coil(ACK, False)
        return found


@contextlib.contextmanager
def by_coil(folder, service, **values):
    port = free_port()
    yaml = written(folder, service, "type: modbus, name: coil, sink: plc, camera: film",
                   f"[{{type: modbus, name: plc, host: 127.0.0.1, port: {port}}}]", **values)
    with Process(yaml):
        controller = Controller(port)
        yield controller
        controller.client.close()


def test_a_controller_asks_for_photographs_and_reads_their_results(tmp_path, service):
    with by_coil(tmp_path, service) as controller:
        frames_come(tmp_path)
        for part, lot, words in (("AB1", "7", [0x4142, 0x3100]), ("CD", "", [0x4344, 0])):
            controller.ask(part, lot)
            assert controller.result() == (1, words, True, False)
        until_so(lambda: controller.coil(READY))
    assert numbers(tmp_path) == [("AB1", "7", "accept"), ("CD", None, "accept")]


def test_ready_stays_away_until_trigger_is_taken_back_and_one_trigger_is_one_photograph(tmp_path, service):
    with by_coil(tmp_path, service) as controller:
        frames_come(tmp_path)
        until_so(lambda: controller.coil(READY))
        controller.client.write_coil(TRIGGER, True)
        controller.result()
        until_so(lambda: len(rows(tmp_path)) == 1)
        assert not controller.coil(READY)
        controller.client.write_coil(TRIGGER, True)  # as controllers do that write all coils in each cycle
        assert not controller.coil(READY)
        controller.client.write_coil(TRIGGER, False)
        until_so(lambda: controller.coil(READY))
    assert len(rows(tmp_path)) == 1


def test_a_controller_is_told_an_error_where_no_frame_comes(tmp_path, service):
    with by_coil(tmp_path, service, camera="/dev/video63") as controller:
        controller.ask("17")
        assert controller.result() == (4, [0x3137, 0], False, True)
    assert numbers(tmp_path) == [("17", None, "error")]


def test_triggers_name_cameras_and_sinks_that_are_there(tmp_path):
    path = tmp_path / "line.yaml"
    path.write_text("line: a\nstate: s\nsources:\n  - {type: video, name: film, address: '0'}\n"
                    "  - {type: mqtt, name: b, host: h, topic: t, camera: none}\n"
                    "  - {type: modbus, name: c, sink: plc, camera: film}\n"
                    "  - {type: modbus, name: d, sink: plc, camera: film}\n"
                    "  - {type: modbus, name: e, sink: table, camera: film}\n  - {type: mqtt, name: f, host: h}\n"
                    "sinks:\n  - {type: modbus, name: plc}\n  - {type: csv, name: table, path: x.csv}\n")
    with pytest.raises(ConfigError) as caught:
        read_settings(path)
    said = str(caught.value)
    assert "line 9: sources[5].topic is missing" in said and "line 9: sources[5].camera is missing" in said
    path.write_text(path.read_text().replace("  - {type: mqtt, name: f, host: h}\n", ""))
    with pytest.raises(ConfigError) as caught:
        read_settings(path)
    said = str(caught.value)
    assert "line 5: sources[1].camera is 'none'; expected the name of a video source" in said
    assert "line 7: sources[3].sink is 'plc'; expected the name of a Modbus sink, once" in said
    assert "line 8: sources[4].sink is 'table'" in said and "sources[2]" not in said
