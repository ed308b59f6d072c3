"""POST /trigger: a photograph, or the newest frame of a camera, and the verdict as the answer."""

from __future__ import annotations

import json
import socket

import httpx
import pytest
from lines import Process, photograph, rows, until_so, write_video, yaml_of
from served import free_port

from ss_poc.core.errors import ConfigError
from ss_poc.line.settings import read_settings


@pytest.fixture
def triggered(tmp_path, service, token):
    """A line with a trigger of a camera (a film), one that only takes photographs, and one that wants a token."""
    write_video(tmp_path / "a.avi", 40)
    ports = [free_port() for _ in range(3)]
    yaml = yaml_of(tmp_path, service)
    yaml.write_text(
        f"line: press\nstate: state\nservice: {{url: {service.url}}}\nsources:\n"
        "  - {type: video, name: film, address: a.avi, repeat: true}\n"
        f"  - {{type: http, name: button, port: {ports[0]}, camera: film}}\n"
        f"  - {{type: http, name: hand, port: {ports[1]}, megabytes: 0.01}}\n"
        f"  - {{type: http, name: gate, port: {ports[2]}, token: '${{TRIGGER_TOKEN}}'}}\n")
    with Process(yaml) as line:
        until_so(lambda: "runs" in line.log.read_text())
        yield [f"http://127.0.0.1:{port}/trigger" for port in ports]


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setenv("TRIGGER_TOKEN", "s3cret")


def test_a_photograph_is_answered_with_its_part_and_one_sent_again_with_its_id_is_the_same_part(triggered, tmp_path):
    data = photograph(1, defect=True)
    answers = [httpx.post(f"{triggered[1]}?part=17&lot=A7&id=x1", content=data) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200] and answers[0].json() == answers[1].json()
    said = answers[0].json()
    assert (said["verdict"], said["part"], said["lot"], said["source"]) == ("reject", "17", "A7", "hand")
    assert httpx.post(triggered[1], content=data).json()["id"] != said["id"]
    assert len(rows(tmp_path)) == 2


def test_without_a_photograph_the_newest_frame_of_the_camera_is_taken_and_only_then(triggered, tmp_path):
    until_so(lambda: httpx.post(f"{triggered[0]}?part=1").status_code == 200)
    said = httpx.post(f"{triggered[0]}?part=2", timeout=20).json()
    assert (said["source"], said["part"]) == ("button", "2") and said["name"].endswith(".jpg")
    assert {part.part for part in rows(tmp_path)} == {"1", "2"}
    assert httpx.post(triggered[1]).status_code == 409


def test_what_is_no_image_is_archived_as_an_error(triggered):
    assert httpx.post(triggered[1], content=b"x").json()["verdict"] == "error"


@pytest.mark.parametrize(("path", "options", "status"), [
    ("", {"content": bytes(20_000)}, 413), ("/other", {"content": b"x"}, 404),
    ("", {"content": iter([b"chunked"])}, 411)])
def test_requests_that_cannot_be_are_refused(triggered, path, options, status):
    answer = httpx.post(triggered[1] + path, **options)
    assert answer.status_code == status and "error" in answer.json()


def test_a_token_is_asked_for_where_there_is_one(triggered):
    assert httpx.post(triggered[2], content=photograph(1)).status_code == 401
    assert httpx.post(triggered[2], content=photograph(1), headers={"Authorization": "Bearer wrong"}).status_code == 401
    good = httpx.post(triggered[2], content=photograph(1), headers={"Authorization": "Bearer s3cret"})
    assert good.status_code == 200 and good.json()["verdict"] == "accept"


def test_names_and_numbers_that_no_database_takes_are_made_storable(triggered):
    said = httpx.post(f"{triggered[1]}?part=%00a%ED%A0%80&id=..%2F..%2Fetc", content=photograph(1)).json()
    assert said["part"].startswith("a") and "\0" not in json.dumps(said) and said["verdict"] == "accept"
    assert not said["picture"].startswith("..")


def test_a_trigger_needs_a_camera_that_is_there_and_a_free_port(tmp_path, service):
    yaml = yaml_of(tmp_path, service)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        yaml.write_text("line: a\nstate: s\nsources:\n"
                        f"  - {{type: http, name: b, port: {port}, camera: none}}\n")
        with pytest.raises(ConfigError, match=r"line 4: sources\[0\].camera is 'none'"):
            read_settings(yaml)
        yaml.write_text(yaml.read_text().replace(", camera: none", ""))
        with Process(yaml) as line:
            assert line.wait() != 0 and "cannot listen on" in line.log.read_text()
