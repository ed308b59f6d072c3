"""`pip install .` into an empty environment, and all stages outside of the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import httpx
import pytest
from conftest import draw_set
from served import free_port

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What a build reads, as a copy: it writes beside it."""
    folder = tmp_path_factory.mktemp("source") / "ss-poc"
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.txt", "requirements-serve.txt",
                 "requirements-annotate.txt", "requirements-serve.lock"):
        shutil.copy(ROOT / name, folder)
    made = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", symlinks=True, ignore=made)
    return folder


def test_a_wheel_holds_every_file_of_the_package(source, tmp_path):
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet",
                    "--wheel-dir", str(tmp_path), str(source)], check=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("ss_poc/")}
    there = {path.relative_to(source / "src").as_posix() for path in (source / "src" / "ss_poc").rglob("*")
             if path.is_file() and path.suffix != ".pyc"}
    assert held == there


@pytest.fixture(scope="module")
def installed(source, tmp_path_factory):
    """The Python of an environment that `pip install .` filled."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    # The newest packages of the day may differ from those that were tested: the lock keeps to those.
    locks = [word for name in ("requirements.lock", "requirements-serve.lock")
             for word in ("--constraint", str(ROOT / name))]
    done = subprocess.run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet",
                           "--disable-pip-version-check", *locks, str(source)], text=True, capture_output=True,
                          timeout=1500)
    assert done.returncode == 0, done.stderr
    return folder / "bin" / "python"


@pytest.mark.slow
def test_an_installed_package_trains_and_serves_outside_of_the_checkout(installed, tmp_path):
    draw_set(tmp_path / "tiny", 24)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def stage(name: str, *flags: str) -> str:
        done = subprocess.run([str(installed), "-m", f"ss_poc.{name}", *flags], cwd=tmp_path, env=environment,
                              text=True, capture_output=True, timeout=300)
        assert done.returncode == 0, f"{name}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    where = stage("config", "--img_path", "tiny")
    assert "tiny" in where
    stage("train", "--img_path", "tiny", "--epoch", "2", "--batch_size", "4")
    run = json.loads((tmp_path / "result/tiny/segment/v_1/run.json").read_text())
    assert run["config"]["weights"] == "synthetic", "the weights in the package are found"
    for name in ("export", "post_processing", "optimise", "report", "bento_deploy"):
        stage(name, "--img_dir_name", "tiny")
    assert (tmp_path / "result/tiny/segment/v_1/valid/report.html").is_file()
    port = free_port()
    server = subprocess.Popen([str(installed), "-m", "ss_poc.serving.supervisor", "run", "state", "--host", "127.0.0.1",
                               "--port", str(port), "--python", str(installed), "--version", "v_1"], cwd=tmp_path,
                              env=environment)
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "state" / "pid").is_file():
            assert server.poll() is None and time.monotonic() < until
            time.sleep(0.1)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            answer = client.post("/predict", files={"image": (tmp_path / "tiny" / "01.png").read_bytes()})
            assert answer.status_code == 200 and answer.json()["rle"][0]["size"] == [64, 96]
            assert client.get("/").status_code == client.get("/page/style.css").status_code == 200
    finally:
        server.terminate()
        server.wait(60)
