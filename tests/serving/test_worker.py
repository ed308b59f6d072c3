"""ss_poc.serving.worker and supervisor: what they build on, and that the supervisor stands alone."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVING = ROOT / "src/ss_poc/serving"


def test_the_installed_uvicorn_is_the_one_that_the_worker_was_written_for():
    (pinned,) = re.findall(r"^uvicorn==(\S+)", (ROOT / "requirements-serve.txt").read_text(), re.M)
    installed = importlib.metadata.version("uvicorn")
    assert installed == pinned, (
        f"uvicorn {installed} is installed, but serving/worker.py builds on the internals of uvicorn {pinned}. Install "
        "requirements-serve.lock, or read what HttpToolsProtocol and Server do now and change the pin.")
    assert f"uvicorn=={pinned}\n" in (ROOT / "requirements-serve.lock").read_text(), "the lock has another uvicorn"


def test_the_supervisor_runs_as_a_copy_of_one_file_without_any_package(tmp_path):
    shutil.copy(SERVING / "supervisor.py", tmp_path)
    done = subprocess.run([sys.executable, "-I", "-S", str(tmp_path / "supervisor.py"), "ask", str(tmp_path), "status"])
    assert done.returncode == 3, "nothing is served from that folder, and that is all there is to say"


def test_the_supervisor_is_a_module_that_needs_no_package_either(tmp_path):
    done = subprocess.run([sys.executable, "-S", "-m", "ss_poc.serving.supervisor", "ask", str(tmp_path), "status"],
                          env={**os.environ, "PYTHONPATH": str(ROOT / "src")})
    assert done.returncode == 3


def test_no_file_beside_the_supervisor_hides_one_of_the_standard_library():
    # Run by its path, Python looks for modules in its folder first.
    assert not {path.stem for path in SERVING.iterdir()} & set(sys.stdlib_module_names)
