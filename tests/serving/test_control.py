"""ss_poc.serving.supervisor: commands as nobody should send them, full disks, workers that die at a bad moment."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import disk
from supervised import STATE, SUPERVISOR, Site, lay_out, supervised, until_so

from ss_poc.serving.supervisor import Worker


@pytest.fixture
def site(tmp_path):
    """Versions v_1 (served), v_2 and slow, which waits to be told before it starts."""
    lay_out(tmp_path, "v_1", "v_2", "slow")
    with supervised(tmp_path) as found:
        until_so((found.state / "pid").is_file)
        yield found


def let_go(site: Site) -> None:
    (site.folder / "deploy/KerasSegmentationService/segment/slow/src/go").write_text("")


# --- commands


def test_what_is_no_command_is_refused_and_the_next_is_heard(site):
    for line in (b"not json\n", b"\n", b"[]\n", b'"deploy"\n', b"3\n", b"null\n", b'{"a": 1}\n', b'["deploy"]\n',
                 b'["status", "x"]\n', b'["deploy", "v_2", "v_2"]\n', b'["deploy", 3]\n', b'["deploy", null]\n',
                 b'[["deploy"], "v_2"]\n', b'["halt"]\n', b'["deploy", ""]\n', b'["deploy", "."]\n',
                 b'["deploy", ".."]\n', b'["deploy", "v_1/../v_2"]\n',
                 b'["deploy", "a\\u0000b"]\n', b'["deploy", "\\ud800"]\n', b"\xff\xfe\n",
                 b"[" * 60_000 + b"\n", b"x" * 1_000_000, b'["deploy", "v_2"]', b""):
        said = site.say(line)
        assert not said or json.loads(said)["ok"] is False, line
        assert json.loads(site.say(b'["status"]\n'))["text"].startswith("version v_1 is served by 1 of 1 workers"), line
    assert "v_2" in site.ask("deploy", "v_2").stdout and site.version() == "v_2"


def test_a_client_that_leaves_during_deploy_stops_neither_it_nor_later_commands(site):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(site.state / "control"))
        connection.sendall(b'["deploy", "slow"]\n')
    until_so(lambda: len(site.workers()) == 2)
    let_go(site)
    until_so(lambda: "version slow is served" in site.ask("status").stdout)
    done = site.ask("rollback")
    assert done.returncode == 0 and "version v_1 is served, in place of slow" in done.stdout


def test_an_interrupted_deploy_says_that_the_server_goes_on(site):
    asking = subprocess.Popen([sys.executable, str(SUPERVISOR), "ask", STATE, "deploy", "slow"], cwd=site.folder,
                              text=True, stderr=subprocess.PIPE,
                              # Where a shell started the tests in its background, SIGINT is ignored.
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    until_so(lambda: len(site.workers()) == 2)
    asking.send_signal(signal.SIGINT)
    assert "the server goes on" in asking.communicate(timeout=20)[1] and asking.returncode == 1
    let_go(site)
    until_so(lambda: "version slow is served" in site.ask("status").stdout)


def test_clients_that_connect_and_say_nothing_keep_none_waiting(site):
    silent = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for connection in silent:
        connection.connect(str(site.state / "control"))
    assert "v_2" in site.ask("deploy", "v_2").stdout
    for connection in silent:
        connection.close()


def test_status_is_told_while_a_version_is_started(site):
    asking = subprocess.Popen([sys.executable, str(SUPERVISOR), "ask", STATE, "deploy", "slow"], cwd=site.folder,
                              text=True, stdout=subprocess.PIPE)
    until_so(lambda: len(site.workers()) == 2)
    assert "version v_1 is served by 1 of 1 workers" in site.ask("status").stdout
    let_go(site)
    assert "version slow is served, in place of v_1" in asking.communicate(timeout=20)[0]


# --- workers


def test_a_worker_that_dies_while_another_version_is_started_is_replaced(site):
    (first,) = site.workers()
    asking = subprocess.Popen([sys.executable, str(SUPERVISOR), "ask", STATE, "deploy", "slow"], cwd=site.folder,
                              text=True, stdout=subprocess.PIPE)
    until_so(lambda: len(site.workers()) == 2)
    os.kill(first, signal.SIGKILL)
    until_so(lambda: first not in site.workers() and len(site.workers()) == 2)
    assert site.version() == "v_1", "by a new worker: the slow version is not ready yet"
    let_go(site)
    assert "version slow is served, in place of v_1" in asking.communicate(timeout=20)[0]
    until_so(lambda: len(site.workers()) == 1)
    assert site.version() == "slow"


def test_a_server_that_is_stopped_while_it_starts_a_version_leaves_no_process(site):
    asking = subprocess.Popen([sys.executable, str(SUPERVISOR), "ask", STATE, "deploy", "slow"], cwd=site.folder,
                              text=True, stderr=subprocess.PIPE)
    until_so(lambda: len(site.workers()) == 2)
    workers = site.workers()
    site.process.terminate()
    assert site.process.wait(20) == 0
    said = asking.communicate(timeout=20)[1]  # which one depends on who is first
    assert asking.returncode == 1 and said in ("the server is being stopped\n", "the server went away\n")
    until_so(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def test_a_server_that_is_stopped_before_its_first_worker_is_ready_ends_at_once_and_without_an_error(tmp_path):
    lay_out(tmp_path, "slow")
    with supervised(tmp_path, "--version", "slow") as site:
        until_so(site.workers)
        (worker,) = site.workers()
        site.process.terminate()
        assert site.process.wait(20) == 0 and site.process.stderr.read() == ""
        assert not Path(f"/proc/{worker}").exists() and not (site.state / "pid").exists()


def test_a_server_that_is_stopped_while_it_replaces_a_dead_worker_ends_at_once(site):
    let_go(site)
    assert site.ask("deploy", "slow").returncode == 0
    until_so(lambda: len(site.workers()) == 1)
    (site.folder / "deploy/KerasSegmentationService/segment/slow/src/go").unlink()
    (first,) = site.workers()
    os.kill(first, signal.SIGKILL)
    until_so(lambda: len(site.workers()) == 1 and first not in site.workers())
    (second,) = site.workers()
    site.process.terminate()
    assert site.process.wait(20) == 0 and not Path(f"/proc/{second}").exists()
    assert "could not be started" not in (site.state / "log").read_text()


def test_a_worker_that_does_not_leave_in_time_is_killed_and_the_log_says_so(tmp_path, monkeypatch, caplog):
    lay_out(tmp_path, "v_1")
    program = tmp_path / "deploy/KerasSegmentationService/segment/v_1/src/ss_poc/keras_segment.py"
    program.write_text("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + program.read_text())
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        worker = Worker(sys.executable, "v_1", listening, dict(os.environ))
        worker.wait_ready(60, lambda: False)
        worker.stop(0.3)
    assert worker.process.returncode == -signal.SIGKILL
    assert caplog.messages == [f"worker {worker.process.pid} has not left after 0.3 s and is killed"]


def test_a_version_that_vanished_is_named_and_what_is_served_goes_on(site):
    (site.folder / "deploy/KerasSegmentationService/segment/v_2/src").rename(site.folder / "elsewhere")
    done = site.ask("deploy", "v_2")
    assert done.returncode == 1 and "version v_2 could not be started" in done.stderr
    assert site.version() == "v_1" and len(site.workers()) == 1


# --- full disks


@pytest.fixture
def small(tmp_path):
    """A site whose state lies on a file system of 64 KiB."""
    lay_out(tmp_path, "v_1", "v_2")
    (tmp_path / STATE).parent.mkdir(parents=True)
    with disk(tmp_path / STATE, 64):
        yield tmp_path


def fill(folder: Path) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(b"x" * 512)
    return filler


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_stops_neither_deploy_nor_rollback_and_is_noted_later(small, workers):
    with supervised(small, workers=workers) as site:
        until_so((site.state / "pid").is_file)
        filler = fill(site.state)
        done = site.ask("deploy", "v_2")
        assert done.returncode == 0 and done.stdout.startswith("version v_2 is served, in place of v_1\n")
        assert "not noted yet" in done.stdout and "No space left" in done.stdout
        until_so(lambda: len(site.workers()) == workers)
        assert {site.version() for _ in range(10)} == {"v_2"}
        assert json.loads((site.state / "served.json").read_text()) == {"version": "v_1", "previous": ""}
        assert "not noted yet" in site.ask("status").stdout
        filler.unlink()
        until_so(lambda: json.loads((site.state / "served.json").read_text())["version"] == "v_2")
        until_so(lambda: "not noted" not in site.ask("status").stdout)
        fill(site.state)
        assert site.ask("rollback").returncode == 0 and {site.version() for _ in range(10)} == {"v_1"}
        until_so(lambda: len(site.workers()) == workers)


def test_a_start_on_a_full_disk_is_refused_with_its_reason_and_leaves_no_process(small):
    fill(small / STATE)
    with supervised(small) as site:
        assert site.process.wait(20) == 1
        assert "No space left" in site.process.stderr.read()
        with pytest.raises(ConnectionRefusedError):
            site.version()


def test_a_start_that_nobody_watches_serves_on_a_full_disk(small):
    fill(small / STATE)
    with supervised(small, "--go_on", "--log", "-") as site:
        def served() -> bool:
            try:
                return site.version() == "v_1"
            except ConnectionRefusedError:
                return False

        until_so(served)


@pytest.mark.parametrize("content", ["", "[]", "3", '{"version": "v_2"}', "half {"])
def test_a_damaged_note_is_as_none(tmp_path, content):
    lay_out(tmp_path, "v_1", "v_2")
    (tmp_path / STATE).mkdir(parents=True)
    (tmp_path / STATE / "served.json").write_text(content)
    with supervised(tmp_path, "--go_on") as site:
        until_so((site.state / "pid").is_file)
        assert site.version() == "v_1"


def test_a_taken_port_is_named_without_a_traceback(tmp_path):
    lay_out(tmp_path, "v_1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run([sys.executable, str(SUPERVISOR), "run", STATE, "--host", "127.0.0.1", "--port",
                               str(taken.getsockname()[1]), "--python", sys.executable, "--version", "v_1"],
                              cwd=tmp_path, text=True, capture_output=True, timeout=20)
    assert done.returncode == 1 and "Address already in use" in done.stderr and "Traceback" not in done.stderr
