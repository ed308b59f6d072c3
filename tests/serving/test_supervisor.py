"""ss_poc.serving.supervisor with real models: versions exchanged under load, bad ones refused, the dead replaced."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from served import Load, free_port, resident_mb
from supervised import stop, until_so

SUPERVISOR = Path(__file__).resolve().parents[2] / "src/ss_poc/serving/supervisor.py"
STATE = "deploy/.server/test"


@dataclass
class Site:
    """A project folder with versions, and a supervisor that serves the first of them."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, str(SUPERVISOR), "ask", STATE, *words], cwd=self.folder, text=True,
                              capture_output=True, timeout=150)

    def version(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=10).json()["version"]

    def workers(self) -> list[int]:
        numbers = self.ask("status").stdout.split("process ")[1].split(")")[0]
        return [int(word.strip(",)")) for word in numbers.split() if word != "-"]


@pytest.fixture
def site(bento, tmp_path, request):
    """Versions v_1, v_2 (they differ in name only) and three bad ones; the fastest engine, or the one asked for."""
    folder = tmp_path / "deploy/KerasSegmentationService/segment"
    for name in ("v_1", "v_2", "damaged", "foreign", "liar"):
        shutil.copytree(bento, folder / name, symlinks=True)
        rename(folder / name / "models", name)
    graph = folder / "damaged/models/model.onnx"
    graph.write_bytes(graph.read_bytes()[:-7])
    (folder / "foreign/models/model.onnx").write_bytes(b"not a graph at all")
    card = json.loads((folder / "liar/models/card.json").read_text())
    for sample in card["samples"]:
        sample["rle"] = sample["rle"][::-1]  # as if scratches were pits
    (folder / "liar/models/card.json").write_text(json.dumps(card))
    environment = {**os.environ, "SS_POC_DRAIN": "0.5", "SS_POC_ENGINE": getattr(request, "param", "")}
    environment.pop("PYTHONPATH", None)
    port = free_port()
    process = subprocess.Popen([sys.executable, str(SUPERVISOR), "run", STATE, "--host", "127.0.0.1", "--port",
                                str(port), "--python", sys.executable, "--version", "v_1"], cwd=tmp_path,
                               env=environment)
    found = Site(tmp_path, port, process)
    until = time.monotonic() + 60
    while not (tmp_path / STATE / "pid").is_file():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    yield found
    stop(process, tmp_path / STATE)


def rename(models: Path, version: str) -> None:
    spec = json.loads((models / "model.json").read_text())
    (models / "model.json").write_text(json.dumps({**spec, "version": version}))


@pytest.mark.parametrize("site", ["onnxruntime", "openvino"], indirect=True)
def test_versions_are_exchanged_and_rolled_back_without_a_dropped_request(site, labelled):
    photo = (labelled / "01.png").read_bytes()
    with Load(site.port, photo, 8) as load, Load(site.port, b"", 2, path="/readyz") as asked:
        time.sleep(0.5)
        deployed = site.ask("deploy", "v_2")
        assert deployed.returncode == 0 and "version v_2 is served, in place of v_1" in deployed.stdout
        time.sleep(2)
        assert site.version() == "v_2"
        rolled = site.ask("rollback")
        assert rolled.returncode == 0 and "version v_1 is served" in rolled.stdout
        time.sleep(2)
        assert site.version() == "v_1"
    assert set(load.statuses) == {200} and load.broken == [] and len(load.statuses) > 50
    assert set(asked.statuses) == {200} and asked.broken == [], "the service is ready all the while"
    status = site.ask("status").stdout
    assert "version v_1 is served by 1 of 1 workers" in status and "before it: version v_2" in status


@pytest.mark.parametrize(("name", "reason"), [("damaged", "checksum"), ("foreign", "checksum"),
                                              ("liar", "does not find in sample_1"), ("nothing", "no version nothing")])
def test_a_bad_version_is_refused_with_its_reason_and_the_old_one_serves_on(site, labelled, name, reason):
    before = site.workers()
    with Load(site.port, (labelled / "01.png").read_bytes(), 4) as load:
        done = site.ask("deploy", name)
    assert done.returncode == 1 and reason in done.stderr
    assert site.version() == "v_1" and site.workers() == before
    assert set(load.statuses) == {200} and load.broken == []


def test_there_is_nothing_to_roll_back_to_at_first(site):
    done = site.ask("rollback")
    assert done.returncode == 1 and "no version to go back to" in done.stderr


def test_a_worker_killed_under_load_fails_its_own_requests_only_and_is_replaced(site, labelled):
    (worker,) = site.workers()
    with Load(site.port, (labelled / "01.png").read_bytes(), 8) as load:
        time.sleep(0.5)
        os.kill(worker, signal.SIGKILL)
        until_so(lambda: site.workers() not in ([], [worker]), 60)
        answered = len(load.statuses)
        until_so(lambda: len(load.statuses) > answered, 60)
    assert set(load.statuses) == {200} and len(load.broken) <= 8
    assert site.workers() != [worker]
    assert "started again: 1" in site.ask("status").stdout


def test_stopping_leaves_no_process_and_no_socket_behind(site):
    (worker,) = site.workers()
    site.process.terminate()
    assert site.process.wait(30) == 0
    assert not Path(f"/proc/{worker}").exists()
    with pytest.raises(httpx.ConnectError):
        site.version()
    assert site.ask("status").returncode == 3


def test_workers_do_not_outlive_a_killed_supervisor(site):
    (worker,) = site.workers()
    site.process.kill()
    site.process.wait()
    until = time.monotonic() + 15
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()


def test_memory_of_the_whole_service_is_below_400_mb(site, labelled):
    with Load(site.port, (labelled / "01.png").read_bytes(), 4):
        time.sleep(2)
    assert resident_mb(site.process.pid) + sum(resident_mb(worker) for worker in site.workers()) < 400


def test_several_workers_share_the_socket_and_their_numbers(bento, tmp_path, labelled):
    folder = tmp_path / "deploy/KerasSegmentationService/segment"
    shutil.copytree(bento, folder / "v_1", symlinks=True)
    port, environment = free_port(), {**os.environ, "SS_POC_WORKERS": "2"}
    environment.pop("PYTHONPATH", None)
    process = subprocess.Popen([sys.executable, str(SUPERVISOR), "run", STATE, "--host", "127.0.0.1", "--port",
                                str(port), "--python", sys.executable, "--version", "v_1"], cwd=tmp_path,
                               env=environment)
    try:
        until = time.monotonic() + 60
        while not (tmp_path / STATE / "pid").is_file():
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        site = Site(tmp_path, port, process)
        assert len(site.workers()) == 2
        with Load(port, (labelled / "01.png").read_bytes(), 8) as load:
            time.sleep(1)
        time.sleep(1)  # twice as long as a worker may take to say that it has nothing to do any more
        texts = [httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text for _ in range(6)]
        assert all("\nsegment_queue 0.0\n" in text and "\nsegment_ready 1.0\n" in text for text in texts)
        text = texts[0]
        seen = httpx.get(f"http://127.0.0.1:{port}/drift.json", timeout=10).json()["images"]
        assert seen == len(load.statuses) or seen >= 500
        (line,) = [line for line in text.splitlines()
                   if line.startswith("segment_requests_total") and 'route="/predict",status="200"' in line]
        assert float(line.rsplit(" ", 1)[1]) == len(load.statuses)
    finally:
        stop(process, tmp_path / STATE)
