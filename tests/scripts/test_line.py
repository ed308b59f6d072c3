"""line.sh: a line is checked, started, looked at and stopped; its environment is that of the tests."""

from __future__ import annotations

import json
import sys

import pytest
from shell import ROOT, call, write_program

YAML = "line: press\nstate: my state\nsources: [{type: folder, name: camera, path: in, settle: 0.1}]\n"


@pytest.fixture
def line(project):
    """The project with a finished .venv-line, and a folder with a yaml."""
    write_program(project / ".venv-line/bin/python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    stamp = ('. scripts/setup.sh; python=$(find_python); '
             '{ cat requirements-line.lock; "$python" --version; pwd; } | cksum >.venv-line/.ready')
    assert call("sh", "-c", stamp, cwd=project).returncode == 0
    (project / "하나" / "in").mkdir(parents=True)
    (project / "하나" / "line.yaml").write_text(YAML)
    yield project
    call("sh", "line.sh", "stop", "하나/line.yaml", cwd=project)


def test_a_line_is_started_looked_at_and_stopped(line):
    def run(*words):
        return call("sh", "line.sh", *words, cwd=line)

    assert run("status", "하나/line.yaml").returncode == 3
    started = run("start", "하나/line.yaml")
    assert started.returncode == 0 and "the line runs" in started.stdout, started.stderr
    assert "it runs already" in run("start", "하나/line.yaml").stdout
    status = run("status")  # of the line that was started last
    assert status.returncode == 0 and json.loads(status.stdout)["line"] == "press"
    assert "line press runs" in run("logs").stdout
    (line / "하나" / "line.yaml").write_text(YAML + "sinks: oops\n")  # it can be stopped all the same
    assert run("stop").stdout == "stopped\n" and run("status").returncode == 3
    assert "no line runs" in run("stop").stdout


def test_errors_of_a_yaml_are_said_and_nothing_is_started(line):
    (line / "하나" / "line.yaml").write_text(YAML + "sinks: oops\n")
    for verb in ("check", "start"):
        done = call("sh", "line.sh", verb, "하나/line.yaml", cwd=line)
        assert done.returncode == 2 and "line 4: sinks holds one value; expected a list" in done.stderr
    assert not (line / "하나" / "my state").exists()
    (line / "하나" / "line.yaml").write_text(YAML)
    assert "is right: line press" in call("sh", "line.sh", "check", "하나/line.yaml", cwd=line).stdout


@pytest.mark.parametrize("words", [
    (), ("begin",), ("start",), ("stop", "-f"), ("start", "a", "b"), ("status", "--all")])
def test_wrong_calls_say_how_to_call(project, words):
    done = call("sh", "line.sh", *words, cwd=project)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "usage: sh line.sh" in done.stderr


def test_the_demo_needs_photographs_and_a_service(line):
    done = call("sh", "line.sh", "demo", cwd=line)
    assert done.returncode == 1 and "the demo photographs are not there" in done.stderr


def test_the_yaml_of_the_demo_is_right(line):
    (line / "하나" / "demo.yaml").write_text((ROOT / "docs" / "line.yaml").read_text())
    assert "is right: line demo" in call("sh", "line.sh", "check", "하나/demo.yaml", cwd=line).stdout
