"""scripts/labels.sh: what is proposed where a photograph cannot be read. The labelling tool alone is not there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
mode=native tool=annotator
is_up() { :; }
choose_mode() { :; }
training_env() { :; }
fail() { echo "$1" >&2; exit 1; }
project_python() { "$python" "$@"; }
ask() { echo "asked: $*"; [ "$1" != changed ]; }
. "$root/scripts/labels.sh"
propose_labels tiny 2
"""


def propose(here: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-euc", SCRIPT], cwd=here, text=True, capture_output=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "python": sys.executable,
                               "root": str(ROOT)})


@pytest.fixture
def here(run, labelled, tmp_path) -> Path:
    """A project with the tiny run, and three of its photographs without labels, one of them damaged."""
    folder = tmp_path / "coco-annotator" / "datasets" / "tiny"
    folder.mkdir(parents=True)
    for number in range(3):
        shutil.copy(labelled / f"{number:02}.png", folder)
    (folder / "01.png").write_bytes(b"damaged")
    shutil.copytree(run.folder, tmp_path / "result" / "tiny" / "segment" / "v_1")
    return tmp_path


def test_a_damaged_photograph_does_not_keep_the_others_from_being_proposed(here):
    done = propose(here)
    assert done.returncode == 1 and "not read: 01.png: " in done.stderr
    proposals = "coco-annotator/datasets/tiny/.proposals/proposals.json"
    assert done.stdout.splitlines()[-1] == f"asked: propose tiny {proposals} --model tiny v_1"
    assert (here / proposals).is_file()


def test_without_new_proposals_those_of_before_are_not_shown_again(here):
    folder = here / "coco-annotator" / "datasets" / "tiny"
    (folder / ".proposals").mkdir()
    (folder / ".proposals" / "proposals.json").write_text("{}")
    for path in folder.glob("*.png"):
        path.unlink()
    done = propose(here)
    assert done.returncode == 1 and "no images" in done.stderr and "asked: propose" not in done.stdout
