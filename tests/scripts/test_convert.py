"""labels.sh: what Python is told to convert, and what a container sees of this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from coco_folder import CocoFolder
from shell import call, write_program

DOCKER = """#!/bin/sh
case "$1" in
run) for word; do printf '%s\\n' "$word"; done >"$CALLS" ;;
image) case "$*" in *ss-poc.inputs*) exit ;; esac; echo sha256:1 ;;
esac
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = CocoFolder(tmp_path)
    folder.save().rename(folder.root / "coco.json")
    return folder.root.rename(tmp_path / "내 photos, 1")


def test_labels_are_converted_without_a_tool(project, source, tmp_path):
    write_program(project / ".venv" / "bin" / "python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    done = call("sh", str(project / "labels.sh"), "convert", str(source), str(tmp_path / "out"), "--to", "yolo",
                MODE="image")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"Crack; 2 photographs (0 clean), 2 regions → {tmp_path / 'out'}"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["data.yaml", "images", "labels"]
    again = call("sh", str(project / "labels.sh"), "convert", str(source), str(tmp_path / "out"), "--to", "yolo",
                 MODE="image")
    assert again.returncode == 1 and "is there already" in again.stderr


@pytest.mark.parametrize("photos", [("--photos", "{}"), ("--photos={}",)])
def test_a_container_reads_the_source_and_writes_beside_the_target(project, source, tmp_path, photos):
    write_program(tmp_path / "bin" / "docker", DOCKER)
    (tmp_path / "p q").mkdir()
    words = [word.format(tmp_path / "p q") for word in photos]
    done = call("sh", str(project / "labels.sh"), "convert", str(source / "coco.json"), str(tmp_path / "out"), "--to",
                "voc", *words, MODE="docker", PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}",
                CALLS=str(tmp_path / "calls"))
    assert done.returncode == 0, done.stderr
    told = (tmp_path / "calls").read_text().splitlines()
    assert [told[place + 1] for place, word in enumerate(told) if word == "--mount"] == [
        f"type=bind,source={tmp_path},target={tmp_path}",
        f'type=bind,"source={source / "coco.json"}","target={source / "coco.json"}",readonly',
        f"type=bind,source={tmp_path / 'p q'},target={tmp_path / 'p q'},readonly"]
    assert told[told.index("convert"):] == ["convert", str(source / "coco.json"), str(tmp_path / "out"), "--to", "voc",
                                            f"--photos={tmp_path / 'p q'}"]
