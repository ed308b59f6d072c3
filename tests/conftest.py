"""A tiny labelled set and a run trained on it by the real commands, shared by all tests that need one."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import drawn_samples
import numpy as np
import pytest
from drawn_samples import boxes, coded

from ss_poc.core.run import RunPaths
from ss_poc.data.dataset import Sample

# Whether an engine answers here or not: scripts do their work natively, except in tests that say otherwise.
os.environ["MODE"] = "native"
SOURCE = Path(__file__).resolve().parents[1] / "src"
SIZE_HW = (64, 96)
ROOM_GB = 12


def stage(name: str, *flags: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `python -m ss_poc.<name>` as a user would."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-m", f"ss_poc.{name}", *flags], cwd=cwd, env=environment, text=True,
                          capture_output=True, timeout=300)
    if check and done.returncode:
        raise AssertionError(f"{name} {flags} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


@contextlib.contextmanager
def disk(folder: Path, kib: int) -> Iterator[None]:
    """A real file system of so many KiB in a new folder; the test is skipped where none may be mounted."""
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid():
        pytest.skip("needs root on Linux, to mount a small tmpfs")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)], capture_output=True,
                          text=True)
    if done.returncode:
        pytest.skip(f"mount is not permitted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def log_of(paths: RunPaths) -> list[list[str]]:
    """Rows of a run's log, its header first."""
    return [line.split(";") for line in paths.log.read_text().splitlines()]


def draw_set(folder: Path, count: int) -> Path:
    """`count` grey pictures: a bright disc is a pit, a dark bar is a scratch, every fourth picture is clean."""
    (folder / ".exports").mkdir(parents=True)
    images, annotations = [], []
    for number in range(count):
        random = np.random.default_rng(number)
        picture = random.integers(90, 120, (*SIZE_HW, 3)).astype(np.uint8)
        images.append({"id": number + 1, "file_name": f"{number:02d}.png", "height": SIZE_HW[0], "width": SIZE_HW[1]})
        if number % 4:
            left, top = int(random.integers(6, 60)), int(random.integers(6, 36))
            if number % 4 == 2:
                cv2.rectangle(picture, (left, top), (left + 29, top + 9), (20, 20, 20), -1)
                outline = [left, top, left + 30, top, left + 30, top + 10, left, top + 10]
            else:
                cv2.circle(picture, (left + 10, top + 10), 10, (230, 230, 230), -1)
                angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
                outline = np.stack([left + 10.5 + 10.5 * np.cos(angles), top + 10.5 + 10.5 * np.sin(angles)], 1)
                outline = outline.reshape(-1).tolist()
            annotations.append({"id": number, "image_id": number + 1, "category_id": 2 if number % 4 == 2 else 7,
                                "segmentation": [outline], "iscrowd": 0})
        cv2.imwrite(str(folder / f"{number:02d}.png"), picture)
    path = folder / ".exports" / "coco-1.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [
        {"id": 2, "name": "scratch", "color": "#ff0000"}, {"id": 7, "name": "pit", "color": "#0000ff"}]}))
    return path


def made_once(factory: pytest.TempPathFactory, folder: Path, make: Callable[[], object]) -> None:
    """Let the first of the test processes that need a folder make it, and give a copy to the others."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        make()
        return
    kept = factory.getbasetemp().parent / "made_once" / folder.relative_to(folder.parents[2])
    kept.parent.mkdir(parents=True, exist_ok=True)
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.is_dir():
            shutil.copytree(kept, folder, symlinks=True)
        else:
            make()
            shutil.copytree(folder, kept, symlinks=True)


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the tiny set."""
    folder = tmp_path_factory.mktemp("work") / "tiny"
    draw_set(folder, 24)
    return folder


@pytest.fixture(scope="session")
def run(labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A run on the tiny set: trained, exported and searched."""
    here = labelled.parent
    paths = RunPaths(here / "result", "tiny", "v_1")

    def make() -> None:
        names = ("--img_dir_name", "tiny", "--model_name", "v_1")
        stage("train", "--img_path", "tiny", "--epoch", "12", "--batch_size", "4", "--lr", "0.005", *names, cwd=here)
        stage("export", *names, cwd=here)
        stage("post_processing", *names, cwd=here)

    made_once(tmp_path_factory, paths.folder, make)
    return paths


@pytest.fixture(scope="session")
def bento(run: RunPaths, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Bento of the tiny run."""
    here = run.result.parent
    folder = here / "deploy" / "KerasSegmentationService" / "segment" / "v_1"
    made_once(tmp_path_factory, folder,
              lambda: stage("bento_deploy", "--img_dir_name", "tiny", "--model_name", "v_1", cwd=here))
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium; tests that want it are skipped, with the reason, where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if not path:
        pytest.skip("no Chromium here: apt-get install chromium")
    with api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=[
            "--no-sandbox", "--disable-background-networking", "--disable-component-update"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """The base image that images are made of here; tests are skipped, with the reason, where there is no engine.

    One module at a time has the engine: images and ports are named alike in all.
    """
    if not shutil.which("docker"):
        pytest.skip("no docker command here")
    answer = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], text=True, capture_output=True)
    if answer.returncode:
        pytest.skip(f"no Docker engine answers: {answer.stderr.strip()}")
    base = os.environ.get("BASE_IMAGE", "")
    if not base:
        pytest.skip("BASE_IMAGE names no image to build on; .ci/run makes one")
    if os.getuid():
        pytest.skip("these tests become another user, which only root may")
    place = subprocess.check_output(["docker", "info", "--format", "{{.DockerRootDir}}"], text=True).strip()
    # Where there is no such folder, the engine has a disk elsewhere.
    free = shutil.disk_usage(place).free / 1e9 if Path(place).is_dir() else ROOM_GB
    if free < ROOM_GB:
        pytest.skip(f"images and the wheels to make them of need {ROOM_GB} GB of disk, {free:.0f} are left in {place}")
    with (Path(tempfile.gettempdir()) / "ss-poc-tests-docker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield base


@pytest.fixture
def samples(tmp_path):
    """Seven coded images of 40x60; number 3 is clean, the others have a box at rows 10..19 and columns 10..29."""
    masks = [boxes((40, 60), 1, *[(0, 10, 10, 10, 20)] * (number != 3)) for number in range(7)]
    return drawn_samples.labelled(tmp_path, [coded((40, 60), number) for number in range(7)], masks)


@pytest.fixture
def mixed(tmp_path):
    """Sixteen images of class 0, one of class 1, three clean, all 40x60 and coded."""
    masks = [boxes((40, 60), 2, (0, 5, 7, 8, 9)) for _ in range(16)]
    masks += [boxes((40, 60), 2, (1, 20, 30, 8, 9)), *[boxes((40, 60), 2)] * 3]
    return drawn_samples.labelled(tmp_path, [coded((40, 60), number) for number in range(20)], masks)


@pytest.fixture
def decodings(monkeypatch):
    """Names of the samples that are decoded, in order."""
    names, decode = [], Sample.image
    monkeypatch.setattr(Sample, "image", lambda self: names.append(self.name) or decode(self))
    return names
