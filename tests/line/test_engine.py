"""A line from folder to archive, with a real service: whatever is killed, nothing is lost and nothing is twice."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import signal
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import disk
from line_service import asked
from lines import Process, photograph, rows, until_so, yaml_of
from served import free_port

from ss_poc.core.errors import ConfigError
from ss_poc.line import engine
from ss_poc.line.archive import Archive
from ss_poc.line.outbox import Outbox
from ss_poc.line.parts import identify
from ss_poc.line.process import run_line
from ss_poc.line.service import Service, StoppedError, UnreadableError
from ss_poc.line.settings import ServiceSettings, read_settings
from ss_poc.line.sources.folder import WatchedFolder


def told(folder, column):
    """A column of what the csv of a line in `folder` says."""
    return [line.split(",")[column] for line in (folder / "parts.csv").read_text().splitlines()[1:]]


def test_photographs_become_parts_with_the_verdict_of_the_service(tmp_path, service):
    yaml = yaml_of(tmp_path, service, source=", part: '(?P<lot>[a-z]+)_(?P<part>[0-9]+)'")
    with Process(yaml):
        (tmp_path / "in" / "good_01.png").write_bytes(photograph(1))
        until_so(lambda: len(rows(tmp_path)) == 1)
        (tmp_path / "in" / "bad_02.png").write_bytes(photograph(2, defect=True))
        until_so(lambda: len(rows(tmp_path)) == 2)
    good, bad = rows(tmp_path)
    assert (good.verdict, good.lot, good.part, good.found, good.reasons) == ("accept", "good", "01", {}, ())
    assert (bad.verdict, bad.lot, bad.part, bad.found) == ("reject", "bad", "02", {"scratch": (1, 20)})
    assert bad.reasons == ("scratch was found",)
    assert bad.measurements == ({"label": "scratch", "objects": 1, "area": 20},)
    assert bad.regions["size"] == [24, 40] and bad.regions["labels"] == ["scratch"]
    assert (bad.model, bad.version, bad.line, bad.source, bad.name) == ("demo", "v_1", "press", "camera", "bad_02.png")
    assert bad.key == identify("camera", "bad_02.png", photograph(2, defect=True))
    picture = tmp_path / "state" / "pictures" / bad.picture
    assert picture.read_bytes() == photograph(2, defect=True) and bad.picture_bytes == picture.stat().st_size
    assert sorted(path.name for path in (tmp_path / "in-done").iterdir()) == ["bad_02.png", "good_01.png"]


def test_parts_are_archived_in_the_order_in_which_they_came(tmp_path, service):
    with Process(yaml_of(tmp_path, service)):
        for number in range(40):
            (tmp_path / "in" / f"{number:03d}.png").write_bytes(photograph(number))
        until_so(lambda: len(rows(tmp_path)) == 40)
    names = [part.name for part in rows(tmp_path)]
    assert sorted(names) == [f"{number:03d}.png" for number in range(40)]
    # Those that came while inotify was being set up are found by the first look, and wait a moment.
    late = [name for name in names if names.index(name) != int(name[:3])]
    assert not late or names == sorted(names[:40 - len(late)]) + sorted(names[40 - len(late):])


@pytest.mark.parametrize("data", [b"no image", photograph(7)[:60]])
def test_what_is_no_image_is_kept_as_an_error_with_its_reason(tmp_path, service, data):
    with Process(yaml_of(tmp_path, service)):
        (tmp_path / "in" / "a.png").write_bytes(data)
        until_so(lambda: rows(tmp_path))
    part = rows(tmp_path)[0]
    assert part.verdict == "error" and "image" in part.reasons[0]
    assert (tmp_path / "state" / "pictures" / part.picture).read_bytes() == data


def test_a_half_file_that_is_closed_and_then_written_on_is_read_whole(tmp_path, service):
    with Process(yaml_of(tmp_path, service)) as line:
        until_so(lambda: "runs" in line.log.read_text())
        data = photograph(3, defect=True)
        (tmp_path / "in" / "a.png").write_bytes(data[:50])
        with (tmp_path / "in" / "a.png").open("ab") as file:
            file.write(data[50:])
        until_so(lambda: rows(tmp_path))
    assert [part.verdict for part in rows(tmp_path)] == ["reject"]


def test_a_service_that_is_killed_costs_no_part_and_doubles_none(tmp_path):
    with asked(free_port(), tmp_path) as service, Process(yaml_of(tmp_path, service)):
        for number in range(60):
            (tmp_path / "in" / f"{number:03d}.png").write_bytes(photograph(number, defect=number % 2 == 1))
        until_so(lambda: len(rows(tmp_path)) >= 3)
        service.kill()
        until_so(lambda: "cannot be reached" in json.loads((tmp_path / "state" / "status.json").read_text())["service"])
        service.start()
        until_so(lambda: len(rows(tmp_path)) == 60)
    found = rows(tmp_path)
    assert sorted(part.name for part in found) == [f"{number:03d}.png" for number in range(60)]
    assert all(part.verdict == ("reject" if int(part.name[:3]) % 2 else "accept") for part in found)


def test_a_line_that_is_killed_again_and_again_loses_nothing_and_archives_nothing_twice(tmp_path, service):
    yaml = yaml_of(tmp_path, service, f"sinks: [{{type: csv, name: table, path: {tmp_path}/parts.csv}}]\n")
    for number in range(60):
        (tmp_path / "in" / f"{number:03d}.png").write_bytes(photograph(number))
    for count in (5, 20, 40):
        with Process(yaml) as line:
            until_so(lambda count=count: len(rows(tmp_path)) >= count)
            line.kill()
    with Process(yaml):
        until_so(lambda: len(rows(tmp_path)) == 60 and not list((tmp_path / "in").iterdir()))
        until_so(lambda: len(set(told(tmp_path, 3))) == 60)
    assert sorted(part.name for part in rows(tmp_path)) == [f"{number:03d}.png" for number in range(60)]
    assert len(list((tmp_path / "in-done").iterdir())) == 60


def kill_at(owner, name, when, call=1):
    """Let a process kill itself before or after a call of a function, counted from now."""
    real, calls = getattr(owner, name), itertools.count(1)

    def killed(*given, **named):
        if next(calls) < call:
            return real(*given, **named)
        if when == "after":
            real(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, killed)


@pytest.mark.parametrize("place", [
    (engine, "keep_picture", 1), (Archive, "add", 1), (Outbox, "put", 1), (Archive, "add", 2),  # notes what sinks have
    (WatchedFolder, "_put_away", 1),
], ids=lambda place: f"{place[1]}-{place[2]}")
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_step_a_part_is_archived_once_and_told(tmp_path, service, place, when):
    yaml = yaml_of(tmp_path, service, f"sinks: [{{type: csv, name: table, path: {tmp_path}/parts.csv}}]\n")
    (tmp_path / "in" / "a.png").write_bytes(photograph(1, defect=True))
    owner, name, call = place
    with Process(yaml, lambda: kill_at(owner, name, when, call)) as line:
        assert line.wait() == -signal.SIGKILL
    with Process(yaml):
        until_so(lambda: rows(tmp_path) and not list((tmp_path / "in").iterdir()))
        until_so(lambda: (tmp_path / "parts.csv").is_file() and told(tmp_path, 6))
    assert [part.verdict for part in rows(tmp_path)] == ["reject"]
    assert set(told(tmp_path, 6)) == {"reject"}
    assert len(list((tmp_path / "state" / "pictures").rglob("*.png"))) == 1


def test_a_full_disk_is_waited_out(tmp_path, service):
    with disk(tmp_path / "small", 1000):
        url = f"sqlite:///{tmp_path}/small/archive.sqlite"
        yaml = yaml_of(tmp_path, service, f"archive: {{url: '{url}', pictures: none}}\n")
        ballast = tmp_path / "small" / "ballast"
        with Process(yaml) as line:
            until_so(lambda: "runs" in line.log.read_text())
            with pytest.raises(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
            for number in range(30):
                (tmp_path / "in" / f"{number}.png").write_bytes(photograph(number))
            until_so(lambda: "full" in line.log.read_text())
            ballast.unlink()
            until_so(lambda: len(list((tmp_path / "in-done").glob("*"))) == 30)
        with contextlib.closing(sqlite3.connect(tmp_path / "small" / "archive.sqlite")) as database:
            assert database.execute("SELECT count(*), count(DISTINCT name) FROM line_parts").fetchall() == [(30, 30)]


def test_a_clock_that_was_set_back_hides_and_repeats_nothing(tmp_path, service):
    yaml = yaml_of(tmp_path, service, "archive: {days: 30}\n", source=", after: keep")
    with Process(yaml):
        (tmp_path / "in" / "a.png").write_bytes(photograph(1))
        until_so(lambda: len(rows(tmp_path)) == 1)
    now = time.time
    with Process(yaml, lambda: setattr(time, "time", lambda: now() - 90_000)):
        (tmp_path / "in" / "b.png").write_bytes(photograph(2))
        until_so(lambda: len(rows(tmp_path)) == 2)
    assert [part.name for part in rows(tmp_path)] == ["a.png", "b.png"]


def test_a_line_runs_once(tmp_path, service):
    yaml = yaml_of(tmp_path, service)
    with Process(yaml) as line:
        until_so(lambda: line.log.read_text())
        with pytest.raises(ConfigError, match="another process has the state"):
            run_line(read_settings(yaml))


def test_a_stopped_line_ends_well_while_the_service_is_away(tmp_path, service):
    yaml = yaml_of(tmp_path, service)
    yaml.write_text(yaml.read_text().replace(service.url, f"http://127.0.0.1:{free_port()}"))
    (tmp_path / "in" / "a.png").write_bytes(photograph(1))
    with Process(yaml) as line:
        until_so(lambda: "does not answer" in line.log.read_text())
        line.kill(signal.SIGTERM)
        assert line.status == 0
    assert (tmp_path / "in" / "a.png").is_file() and not rows(tmp_path)
    assert not (tmp_path / "state" / "pid").exists()


def test_a_second_photograph_with_the_same_content_is_another_part(tmp_path, service):
    with Process(yaml_of(tmp_path, service)):
        for name in ("a.png", "b.png"):
            (tmp_path / "in" / name).write_bytes(photograph(1))
        until_so(lambda: len(rows(tmp_path)) == 2)


def test_small_pictures_and_none(tmp_path, service):
    with Process(yaml_of(tmp_path, service, "archive: {pictures: none}\n")):
        (tmp_path / "in" / "a.png").write_bytes(photograph(1))
        until_so(lambda: rows(tmp_path))
    assert rows(tmp_path)[0].picture == "" and not list((tmp_path / "state" / "pictures").rglob("*.*"))


# The service's client.

def test_a_photograph_that_cannot_be_read_is_said_with_the_reason_of_the_service(service, stopping):
    client = Service(ServiceSettings(url=service.url), stopping)
    with pytest.raises(UnreadableError, match="this file is no image"):
        client.ask(b"no image", "1")
    assert client.ask(photograph(1, defect=True), "2")["verdict"] == {"defect": True, "labels": ["scratch"]}
    client.close()


def test_waiting_for_a_service_ends_when_the_line_stops(stopping):
    client = Service(ServiceSettings(url=f"http://127.0.0.1:{free_port()}"), stopping)
    threading.Timer(0.3, stopping.set).start()
    with pytest.raises(StoppedError):
        client.ask(b"x", "1")
    assert "cannot be reached" in client.trouble
    client.close()


def test_so_many_requests_as_the_yaml_says_are_on_their_way_at_a_time(stopping):
    inside, most, lock = [0], [0], threading.Lock()

    class Counting(BaseHTTPRequestHandler):
        def do_POST(self):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.1)
            with lock:
                inside[0] -= 1
            self.send_error(415)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = Service(ServiceSettings(url=f"http://127.0.0.1:{server.server_address[1]}", requests=2), stopping)
        with ThreadPoolExecutor(6) as pool:
            asked_for = [pool.submit(client.ask, b"x", "1") for _ in range(6)]
        assert all(isinstance(each.exception(), UnreadableError) for each in asked_for) and most[0] == 2
        client.close()
        server.shutdown()


def test_digests_are_of_the_whole_photograph():
    assert identify("a", "b", b"c") == hashlib.sha256(
        b"a\0b\0" + hashlib.sha256(b"c").hexdigest().encode()).hexdigest()
