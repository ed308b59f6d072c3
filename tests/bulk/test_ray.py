"""Bulk prediction on a real Ray of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import bright_model
import object_storage
import pytest
from conftest import SOURCE

pytest.importorskip("ray.data", reason="Ray is not installed: pip install -r requirements-ray.txt")
parquet = pytest.importorskip("pyarrow.parquet")

pytestmark = pytest.mark.ray
COUNT = 40


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder with a run, photographs, and what one process writes (`whole`)."""
    folder = tmp_path_factory.mktemp("ray")
    bright_model.make_run(folder / "result")
    bright_model.make_photographs(folder / "photos", COUNT)
    assert predict(folder, "whole").returncode == 1
    return folder


def command(work: Path, output: str | Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "ss_poc.predict", str(work / "photos"), "--img_dir_name", "tiny", "--result",
            str(work / "result"), "--output", str(work / output), *more]


def predict(work: Path, output: str | Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(work, output, *more), text=True, capture_output=True, timeout=600,
                          env={**os.environ, "PYTHONPATH": str(SOURCE)})


def read(work: Path, output: str | Path) -> list[object]:
    return [(work / output / name).read_bytes() for name in ("coco.json", "rle.csv")] + \
        parquet.read_table(work / output / "predictions.parquet").to_pylist()


def test_two_actors_write_what_one_process_writes(work):
    done = predict(work, "two", "--cluster", "ray", "--actors", "2")
    assert done.returncode == 1, done.stderr
    assert "35 images, 35 with a defect, 5 not read" in done.stdout and done.stderr.count("not read: line-") == 5
    assert read(work, "two") == read(work, "whole")


def test_a_driver_that_is_killed_is_gone_on_with(work, tmp_path):
    # By number alone: on a busy machine a piece of seconds holds a single photograph.
    script = "from ss_poc.bulk import growing; growing.PIECE_PHOTOGRAPHS, growing.PIECE_SECONDS = 4, 1e6; " \
             "from ss_poc.bulk.command import main; main()"
    flags = command(work, tmp_path / "out", "--cluster", "ray", "--actors", "1")[3:]
    with subprocess.Popen([sys.executable, "-c", script, *flags], env={**os.environ, "PYTHONPATH": str(SOURCE)},
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as driver:
        until = time.monotonic() + 400
        while not (pieces := list((tmp_path / "out/.parts").glob("part-*.parquet"))) and time.monotonic() < until:
            time.sleep(0.01)
        driver.send_signal(signal.SIGKILL)
    assert pieces
    kept = set().union(*(parquet.read_table(path)["image"].to_pylist()
                         for path in (tmp_path / "out/.parts").glob("part-*.parquet")))
    assert 4 <= len(kept) < COUNT
    done = predict(work, tmp_path / "out", "--cluster", "ray", "--actors", "1")
    assert done.returncode == 1 and f"{len(kept)} of {COUNT} photographs are done already" in done.stderr, done.stderr
    assert read(work, tmp_path / "out") == read(work, "whole")


def test_photographs_and_results_may_lie_in_object_storage(work, bucket, tmp_path):
    from ss_poc.bulk.store import Store

    object_storage.put(work / "photos", f"{bucket}/photos")
    words = command(work, f"{bucket}/out", "--cluster", "ray", "--actors", "1")
    words[3], words[words.index("--output") + 1] = f"{bucket}/photos", f"{bucket}/out"
    done = subprocess.run(words, text=True, capture_output=True, timeout=600,
                          env={**os.environ, "PYTHONPATH": str(SOURCE)})
    assert done.returncode == 1, done.stderr
    there = Store(f"{bucket}/out")
    assert [there.read(name) for name in ("coco.json", "rle.csv")] == read(work, "whole")[:2]
    assert sorted(there.below()) == ["coco.json", "predictions.parquet", "rle.csv"]


# A real Ray that says it is an older one: what it tells others of itself is all that a driver knows.
OLDER = """
import sys
import ray
ray.__version__ = "2.40.0"
from ray.scripts.scripts import main
sys.argv = ["ray", "start", "--head", "--port", sys.argv[1], "--num-cpus", "1", "--include-dashboard", "false",
            "--disable-usage-stats", "--object-store-memory", "80000000", "--block"]
main()
"""


def test_a_cluster_of_another_version_is_one_sentence(work, tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    port = object_storage.free_port()
    with (tmp_path / "head.log").open("w") as log, \
            subprocess.Popen([sys.executable, "-c", OLDER, str(port)], stdout=log, stderr=log) as head:
        until = time.monotonic() + 400
        while "Ray runtime started" not in (tmp_path / "head.log").read_text() and time.monotonic() < until:
            time.sleep(0.2)
        done = predict(work, tmp_path / "out", "--cluster", "ray", "--address", f"127.0.0.1:{port}")
        head.terminate()
    assert done.returncode == 1 and "Traceback" not in done.stderr and done.stderr.count("error:") == 1
    assert f"error: the Ray cluster at 127.0.0.1:{port} is of another version: " in done.stderr
    assert "Ray: 2.40.0" in done.stderr


def test_an_address_where_no_ray_is_is_one_sentence(work, tmp_path):
    port = object_storage.free_port()
    done = predict(work, tmp_path, "--cluster", "ray", "--address", f"127.0.0.1:{port}")
    assert done.returncode == 1 and done.stderr.count("error:") == 1 and "Traceback" not in done.stderr
    assert f"error: no Ray answers at 127.0.0.1:{port}: Connection refused" in done.stderr


def test_more_actors_than_cpus_are_refused(work, tmp_path):
    done = predict(work, tmp_path, "--cluster", "ray", "--actors", "999")
    assert done.returncode == 2 and "999 actors with 1 CPUs each" in done.stderr and "Traceback" not in done.stderr
