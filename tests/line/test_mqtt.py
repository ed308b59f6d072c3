"""MQTT, with a real broker: what it is told, and what happens when it is killed, refuses, or wants TLS."""

from __future__ import annotations

import json
import shutil
import subprocess
import time

import pytest
from lines import Process, photograph, rows, until_so, yaml_of
from mosquitto import broker, listening

from ss_poc.line.outbox import Item, SinkError
from ss_poc.line.settings import MqttSink
from ss_poc.line.sinks.mqtt import Mqtt


def sink(port: int, **settings) -> Mqtt:
    return Mqtt(MqttSink(**{"name": "bus", "host": "127.0.0.1", "port": port, "topic": "plant/press", "timeout": 30,
                            **settings}), "press")


def item(number: int, kind: str = "part") -> Item:
    return Item(f"k{number}", {"type": kind, "number": number})


def test_parts_alarms_and_a_retained_status_are_published(tmp_path):
    with broker(tmp_path) as server:
        told = sink(server.port, pictures=True)
        with listening(server.port, "plant/#") as heard:
            told.deliver([item(1), item(2, "alarm"), Item("k3", {"type": "part", "number": 3}, {"rle": ["x"]}, b"123")])
            until_so(lambda: len(heard) == 4)
        assert ("plant/press/status", b"online", False) in heard
        found = [(topic, json.loads(payload)) for topic, payload, _ in heard if not topic.endswith("status")]
        assert found == [("plant/press/parts", {"type": "part", "number": 1}),
                         ("plant/press/alarms", {"type": "alarm", "number": 2}),
                         ("plant/press/parts", {"type": "part", "number": 3, "regions": {"rle": ["x"]},
                                                "photograph": "MTIz"})]
        with listening(server.port, "plant/press/status") as late:
            until_so(lambda: late == [("plant/press/status", b"online", True)])
            told.close()
            until_so(lambda: late[-1][1] == b"offline")


@pytest.mark.parametrize("seconds", [0, pytest.param(30, marks=pytest.mark.slow)])
def test_a_broker_that_is_killed_gets_everything_in_order_when_it_is_back(tmp_path, service, seconds):
    kept = f"allow_anonymous true\npersistence true\npersistence_location {tmp_path}/\nautosave_interval 1"
    with broker(tmp_path / "broker", kept) as server, listening(server.port, "plant/press/parts") as heard:
        yaml = yaml_of(tmp_path, service, "sinks: [{type: mqtt, name: bus, host: 127.0.0.1, topic: plant/press, "
                                          f"port: {server.port}, timeout: 2}}]\n")
        with Process(yaml):
            (tmp_path / "in" / "0.png").write_bytes(photograph(0))
            until_so(lambda: heard and (tmp_path / "mosquitto.db").is_file())  # it knows who listens
            server.kill()
            for number in range(1, 6):
                (tmp_path / "in" / f"{number}.png").write_bytes(photograph(number, defect=True))
            until_so(lambda: len(rows(tmp_path)) == 6)
            status = tmp_path / "state" / "status.json"
            until_so(lambda: json.loads(status.read_text())["sinks"][0] | {"trouble": ""} ==
                     {"name": "bus", "trouble": "", "waiting": 5})
            time.sleep(seconds)
            server.start()
            until_so(lambda: len({payload for _, payload, _ in heard}) == 6)
    first = list(dict.fromkeys(json.loads(payload)["name"] for _, payload, _ in heard))
    assert first == [part.name for part in rows(tmp_path)]  # in order; more than once is allowed


def test_a_line_that_is_killed_is_offline_by_its_will(tmp_path, service):
    with broker(tmp_path / "broker") as server, listening(server.port, "plant/press/status") as heard:
        yaml = yaml_of(tmp_path, service, "sinks: [{type: mqtt, name: bus, host: 127.0.0.1, topic: plant/press, "
                                          f"port: {server.port}}}]\n")
        with Process(yaml) as line:
            (tmp_path / "in" / "0.png").write_bytes(photograph(0))
            until_so(lambda: heard)
            line.kill()
            until_so(lambda: [payload for _, payload, _ in heard] == [b"online", b"offline"])


def test_a_broker_that_refuses_or_is_away_is_an_error_that_says_so(tmp_path):
    users = tmp_path / "users"
    with broker(tmp_path, f"allow_anonymous false\npassword_file {users}") if _user(users) else _skip() as server:
        with pytest.raises(SinkError, match="Not authorized"):
            _once(sink(server.port, timeout=5))
        with pytest.raises(SinkError, match="Not authorized"):
            _once(sink(server.port, user="line", password="wrong", timeout=5))
        _once(sink(server.port, user="line", password="right"))
    with pytest.raises(SinkError, match="no connection"):
        _once(sink(1, timeout=0.5))


def test_a_connection_is_encrypted_and_the_broker_is_checked(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out",
                    "cert.pem", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                   cwd=tmp_path, check=True, capture_output=True)
    tls = f"allow_anonymous true\ncertfile {tmp_path}/cert.pem\nkeyfile {tmp_path}/key.pem"
    with broker(tmp_path / "broker", tls) as server:
        _once(sink(server.port, tls=True, ca=tmp_path / "cert.pem"))
        with pytest.raises(SinkError):  # signed by nobody that this machine knows
            _once(sink(server.port, tls=True, timeout=1))


def _once(told: Mqtt) -> None:
    try:
        told.deliver([item(1)])
    finally:
        told.close()


def _user(path) -> bool:
    if not shutil.which("mosquitto_passwd"):
        return False
    done = subprocess.run(["mosquitto_passwd", "-b", "-c", str(path), "line", "right"], capture_output=True)
    return done.returncode == 0


def _skip():
    pytest.skip("no mosquitto_passwd here: apt-get install mosquitto")
