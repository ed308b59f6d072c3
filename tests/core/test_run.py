"""ss_poc.core.run: where a run keeps its files, and what its run.json says."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ss_poc.core.config import TrainConfig
from ss_poc.core.deployed import deploy_folder
from ss_poc.core.errors import ArtifactError, ConfigError
from ss_poc.core.files import write_json, write_text
from ss_poc.core.run import Run, RunPaths, data_path, find_json, read_run, update_run


@pytest.fixture
def paths(tmp_path) -> RunPaths:
    return RunPaths(tmp_path / "result", "tiles", "v_1")


# --- paths


def test_a_run_lies_where_the_documentation_says():
    paths = RunPaths(Path("result"), "tiles", "v_1")
    folder = "result/tiles/segment/v_1"
    found = (paths.folder, paths.run_json, paths.log, paths.graph, paths.model, paths.export, paths.valid, paths.rules,
             paths.prediction)
    assert [path.as_posix() for path in found] == [folder] + [f"{folder}/{name}" for name in (
        "run.json", "log/log.out", "graph", "model", "export", "valid", "valid/valid_post_grid.csv", "prediction")]
    assert deploy_folder(Path("deploy"), "v_1").as_posix() == "deploy/KerasSegmentationService/segment/v_1"


def test_a_run_that_is_there_is_given_back(paths):
    write_json(paths.run_json, {})
    assert paths.require() is paths


def test_a_run_that_is_not_there_is_refused_with_those_that_are(paths):
    for name in ("v_2", "v_3"):
        write_json(replace(paths, model_name=name).run_json, {})
    (paths.folder / "model").mkdir(parents=True)  # begun, but without a run.json it is none
    with pytest.raises(ArtifactError, match="there is no run") as refused:
        paths.require()
    assert refused.value.fix.endswith("tiles/segment/v_2, tiles/segment/v_3")


def test_no_run_at_all_is_said(paths):
    with pytest.raises(ArtifactError, match="none yet"):
        paths.require()
    with pytest.raises(ArtifactError, match="none yet"):
        read_run(paths)


def test_the_best_model_is_the_one_that_training_named(paths):
    write_json(paths.model / "state.json", {"best_model": "model_3_0.5.keras"})
    with pytest.raises(ArtifactError, match="model_3_0.5.keras is missing"):
        paths.best_model()
    (paths.model / "model_3_0.5.keras").write_bytes(b"x")
    assert paths.best_model() == paths.model / "model_3_0.5.keras"


@pytest.mark.parametrize("state", [{}, [], {"best_model": 3}, None])
def test_a_state_that_names_no_model_is_refused(paths, state):
    write_json(paths.model / "state.json", state)
    with pytest.raises(ArtifactError, match="state.json"):
        paths.best_model()


def test_a_replacement_has_a_name_that_no_user_can_give_and_leads_back(paths):
    new = paths.replacement
    assert new.folder == paths.folder.with_name(f".{paths.model_name}.new") and new.replaces == paths
    assert paths.replaces == paths
    with pytest.raises(ConfigError, match="model_name"):
        TrainConfig(model_name=new.model_name)
    write_json(new.run_json, {})
    with pytest.raises(ArtifactError) as refused:
        paths.require()
    assert "(none yet)" in refused.value.fix  # a run that is not whole is named to nobody


# --- the newest json


def test_the_newest_json_is_found_by_its_time(tmp_path):
    for name, seconds in (("b.json", 300), ("c.json", 100), ("a.json", 200)):
        write_text(tmp_path / ".exports" / name, "{}")
        os.utime(tmp_path / ".exports" / name, (seconds, seconds))
    write_text(tmp_path / ".exports" / "z.txt", "newer, but no json")
    write_text(tmp_path / "other.json", "newer, but not exported")
    assert find_json(tmp_path) == tmp_path / ".exports" / "b.json"


def test_among_jsons_of_one_time_the_last_name_is_taken(tmp_path):
    for name in ("coco-1.json", "coco-2.json"):
        write_text(tmp_path / ".exports" / name, "{}")
        os.utime(tmp_path / ".exports" / name, (5, 5))
    assert find_json(tmp_path).name == "coco-2.json"


def test_the_json_of_a_roboflow_folder_counts(tmp_path):
    write_text(tmp_path / "_annotations.coco.json", "{}")
    assert find_json(tmp_path).name == "_annotations.coco.json"


def test_a_folder_without_a_json_is_refused(tmp_path):
    (tmp_path / ".exports").mkdir()
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ArtifactError, match="no COCO json"):
            find_json(folder)


# --- run.json


def test_updating_a_run_replaces_sections_and_keeps_the_others(paths):
    update_run(paths, config={"epoch": 3}, scores={"dice": 0.1})
    update_run(paths, scores={"iou": 0.2}, export=None)
    assert read_run(paths) == {"config": {"epoch": 3}, "scores": {"iou": 0.2}, "export": None}


def test_a_damaged_run_json_is_refused_and_not_written_over(paths):
    write_text(paths.run_json, '{"config": {"ep')
    with pytest.raises(ArtifactError, match="run.json is no json"):
        update_run(paths, scores={})
    assert paths.run_json.read_text() == '{"config": {"ep'


# --- where a run's data lie


@pytest.mark.parametrize(("given", "kept"), [
    ("coco-annotator/datasets/demo", "coco-annotator/datasets/demo"), ("../photos", "../photos"),
    ("./부품 사진/", "부품 사진"), ("{project}/photos", "photos"), ("/elsewhere/photos", "/elsewhere/photos")])
def test_data_are_kept_so_that_a_run_means_the_same_where_the_project_has_another_place(tmp_path, monkeypatch, given,
                                                                                     kept):
    project, other = tmp_path / "project", tmp_path / "app"
    for folder in (project, other):
        folder.mkdir()
    monkeypatch.chdir(project)
    paths = RunPaths(Path("result"), "x", "v_1")
    stored = data_path(paths, given.replace("{project}", str(project)))
    assert stored == kept
    update_run(paths, data={"img_path": stored, "json_path": stored})
    shutil.copytree(project / "result", other / "result")
    monkeypatch.chdir(tmp_path)
    found = read_run(RunPaths(other / "result", "x", "v_1"))["data"]
    assert found["img_path"] == found["json_path"] == os.path.normpath(other / kept)


# --- a run as later stages read it


def test_a_run_is_read_with_its_types(paths):
    update_run(paths, status="finished", config={"architecture": "unet", "encoder": "", "size": "64x96", "scale": 0.5},
               data={"labels": ["pit"], "json_path": "a.json", "img_path": "a"}, split={"train": ["1"], "valid": ["2"]},
               scores={"images": 1, "dice": {"pit": 1.0}, "dice_plain": {"pit": 0.5}, "iou": {"pit": float("nan")}},
               engine="openvino")
    run = Run.read(paths)
    assert (run.status, run.config.architecture, run.encoder, run.size_hw, run.scale) == (
        "finished", "unet", "", (64, 96), 0.5)
    assert run.data.labels == ["pit"] and os.path.isabs(run.data.img_path) and run.split.valid == ["2"]
    assert run.scores.iou == {"pit": None} and run.engine == "openvino"


def test_a_run_of_another_version_is_read(paths):
    """Keys that are not known are left out, missing sections are None, settings are not checked anew."""
    update_run(paths, config={"size": "64", "loss": "of_before", "removed": 7}, data={"labels": ["pit"], "later": 1},
               later={"section": 1})
    run = Run.read(paths)
    assert run.size_hw == (64, 64) and run.config.loss == "of_before" and run.config.epoch == 50
    assert run.data.labels == ["pit"] and run.split.train == ()
    assert run.train is None and run.scores is None and run.export is None and run.engine is None
