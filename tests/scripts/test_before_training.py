"""What scripts say before anything long: wrong flags, whose version lies in deploy/, which folder is meant."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from shell import call

from ss_poc.core import check_flags


def put_bento(folder: Path, name: str) -> Path:
    """A Bento's spec, as `write_json` writes it."""
    models = folder / "deploy/KerasSegmentationService/segment/v_1/models"
    models.mkdir(parents=True)
    (models / "model.json").write_text(json.dumps({"name": name, "version": "v_1"}, indent=1) + "\n")
    return models


@pytest.mark.parametrize(("flags", "variables"), [(("--epochs", "3"), {}), ((), {"epoch": "none"})])
def test_wrong_settings_are_said_before_a_taken_port(project, flags, variables):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = call("sh", "train_serve.sh", *flags, cwd=project, PORT=str(taken.getsockname()[1]), **variables)
    assert done.returncode == 2 and "is taken" not in done.stderr and not done.stdout


def test_a_version_of_another_data_set_is_said_before_anything_is_trained(project):
    put_bento(project, "screws")
    done = call("sh", "trainer.sh", "--img_path", "bolts", cwd=project)
    assert done.returncode == 1 and "has a version v_1 of the data set screws" in done.stderr
    assert "expected: one of bolts" in done.stderr and "OVERWRITE=yes" in done.stderr and "1/6" not in done.stdout
    assert not list(project.glob(".venv*"))


@pytest.mark.parametrize(("flags", "variables"), [(("--img_path", "screws"), {}), (("--model_name", "v_2"), {}),
                                                  (("--img_path", "bolts"), {"OVERWRITE": "yes"})])
def test_a_version_of_its_own_a_new_name_and_a_word_of_the_user_are_let_through(project, flags, variables):
    put_bento(project, "screws")
    assert call("sh", "trainer.sh", "check", *flags, cwd=project, **variables).returncode == 0


@pytest.mark.parametrize(("typed", "said"), [
    ("photos/", "photos"), ("./photos//", "photos"), ("coco-annotator/datasets/demo/", "coco-annotator/datasets/demo"),
    ("{here}/photos/", "photos"), ("/else/photos/", "/else/photos"), ("../photos/", "../photos")])
def test_a_folder_is_the_same_with_and_without_what_tab_completion_adds(tmp_path, monkeypatch, capsys, typed, said):
    monkeypatch.chdir(tmp_path)
    check_flags.main(["--img_path", typed.format(here=tmp_path), "--result", "result/"])
    assert {f"img_path={said}", "result=result"} <= set(capsys.readouterr().out.splitlines())
