"""A Bento packaged before the code was split into packages is served, and rolled back from, by today's supervisor."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import free_port
from supervised import stop

from ss_poc.core.files import read_json, write_json
from ss_poc.core.run import RunPaths

ROOT = Path(__file__).resolve().parents[2]
SUPERVISOR = ROOT / "src/ss_poc/serving/supervisor.py"
FLAT = "136b250"  # the last commit with all modules in one folder
STATE = "deploy/.server/test"


@pytest.fixture
def older_code(tmp_path) -> Path:
    """Source folder of that commit."""
    if not shutil.which("git"):
        pytest.skip("no git command here")
    done = subprocess.run(["git", "archive", FLAT, "src", "requirements-serve.lock"], cwd=ROOT, capture_output=True)
    if done.returncode:
        pytest.skip(f"this copy of the project has no history back to commit {FLAT}")
    (tmp_path / "older").mkdir()
    subprocess.run(["tar", "-x", "-C", str(tmp_path / "older")], input=done.stdout, check=True)
    return tmp_path / "older" / "src"


def without_reach(run: RunPaths, result: Path) -> RunPaths:
    """A copy of a run whose marks do not reach below their threshold: the older code knows no reach."""
    copy = RunPaths(result, run.img_dir_name, run.model_name)
    shutil.copytree(run.folder, copy.folder)
    write_json(copy.operating_point, {**read_json(copy.operating_point), "reach": 0.0})
    return copy


def package(run: RunPaths, deploy: Path, code: Path, cwd: Path) -> Path:
    """The Bento that this code makes of a run; `cwd` is where the run's photographs are."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "ss_poc.bento_deploy", "--result", str(run.result), "--img_dir_name",
                    run.img_dir_name, "--model_name", run.model_name, "--deploy", str(deploy)], cwd=cwd, check=True,
                   timeout=300, env={**environment, "PYTHONPATH": str(code)})
    return deploy / "KerasSegmentationService/segment" / run.model_name


def place(bento: Path, folder: Path, version: str) -> None:
    """Copy a Bento to where the supervisor looks, under the name of another version."""
    target = folder / "deploy/KerasSegmentationService/segment" / version
    shutil.copytree(bento, target, symlinks=True)
    spec = json.loads((target / "models/model.json").read_text())
    (target / "models/model.json").write_text(json.dumps({**spec, "version": version}))


def wait_started(folder: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while not (folder / STATE / "pid").is_file():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)


def answer(client: httpx.Client, photo: bytes, version: str) -> dict[str, Any]:
    """The JSON answer once that version gives it, without what must differ."""
    until = time.monotonic() + 20
    while True:
        found: dict[str, Any] = client.post("/predict", files={"image": ("photo.png", photo)}).json()
        if found.pop("model")["version"] == version:
            del found["milliseconds"]
            return found
        assert time.monotonic() < until, f"version {version} never answered"


def test_an_older_bento_takes_over_answers_alike_and_is_rolled_back(older_code, run, labelled, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    copy = without_reach(run, tmp_path / "result")
    older, bento = (package(copy, tmp_path / name, code, run.result.parent)
                    for name, code in (("packaged", older_code), ("today", ROOT / "src")))
    assert (older / "src/ss_poc/web.py").is_file() and not (older / "src/ss_poc/serving").exists()
    place(bento, tmp_path, "today")
    place(older, tmp_path, "older")
    port, python = free_port(), sys.executable

    def ask(*words: str) -> str:
        return subprocess.run([python, str(SUPERVISOR), "ask", STATE, *words], cwd=tmp_path, text=True, check=True,
                              capture_output=True, timeout=150).stdout

    process = subprocess.Popen([python, str(SUPERVISOR), "run", STATE, "--host", "127.0.0.1", "--port", str(port),
                                "--python", python, "--version", "today"], cwd=tmp_path, env=environment)
    try:
        wait_started(tmp_path, process)
        photos = [path.read_bytes() for path in sorted(labelled.glob("*.png"))[:4]]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            today = [answer(client, photo, "today") for photo in photos]
            assert any(item["objects"] for item in today)
            assert "version older is served, in place of today" in ask("deploy", "older")
            assert [answer(client, photo, "older") for photo in photos] == today
            assert "version today is served, in place of older" in ask("rollback")
            assert [answer(client, photo, "today") for photo in photos] == today
    finally:
        stop(process, tmp_path / STATE)
