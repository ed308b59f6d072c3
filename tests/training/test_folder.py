"""ss_poc.training.folder: an earlier run stays until the new one is whole, and other files stay for good."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from earlier_runs import earlier_run, files_of

from ss_poc.core.config import TrainConfig
from ss_poc.core.errors import ArtifactError, ConfigError, ModelError
from ss_poc.core.files import write_json
from ss_poc.core.run import RunPaths, read_run
from ss_poc.networks.build import build_model
from ss_poc.training.claim import claim_folder
from ss_poc.training.command import train
from ss_poc.training.folder import finish_replacing, put_in_place
from ss_poc.training.plan import make_plan


def replaced_by(config: TrainConfig, status: str) -> RunPaths:
    """A finished run with seed 0 beside notes, and a new one with seed 3 of that status, which is to replace it."""
    paths = earlier_run(config, "finished")
    (paths.folder / "notes.txt").write_text("camera 2 was out of focus")
    (paths.folder / "cases").mkdir()
    (paths.folder / "cases" / "a.txt").write_text("see line 4")
    claim_folder(make_plan(dataclasses.replace(config, overwrite=True, seed=3)))
    write_json(paths.replacement.run_json, {**read_run(paths.replacement), "status": status})
    return paths


def assert_replaced(paths: RunPaths) -> None:
    assert read_run(paths)["config"]["seed"] == 3 and read_run(paths)["status"] == "finished"
    assert not (paths.model / "model_1_0.5.keras").exists()
    assert (paths.folder / "notes.txt").read_text() == "camera 2 was out of focus"
    assert (paths.folder / "cases" / "a.txt").read_text() == "see line 4"
    assert [path.name for path in paths.folder.parent.iterdir()] == ["v_1"]


def test_a_finished_replacement_takes_its_place_and_keeps_what_no_run_writes(config):
    paths = replaced_by(config, "finished")
    assert put_in_place(paths.replacement) == paths
    assert_replaced(paths)


@pytest.mark.parametrize("renames", [0, 1, 2, 3, 4])
def test_a_kill_while_runs_are_exchanged_loses_nothing(config, monkeypatch, renames):
    """Two files are moved, then two folders; at the fourth only the old folder is left to remove."""
    paths = replaced_by(config, "finished")
    real, done = os.replace, []

    def replace(*names: object) -> None:
        if len(done) == renames:
            raise KeyboardInterrupt  # no one catches it, as no one catches a kill
        done.append(names)
        real(*names)

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr("ss_poc.core.files.shutil.rmtree", lambda *_, **__: None)
    if renames < 4:
        with pytest.raises(KeyboardInterrupt):
            put_in_place(paths.replacement)
    else:
        put_in_place(paths.replacement)
    monkeypatch.undo()
    finish_replacing(paths)
    assert_replaced(paths)
    finish_replacing(paths)
    assert_replaced(paths)


@pytest.mark.parametrize("how", ["resume", "reuse"])
def test_an_interrupted_replacement_is_what_goes_on_and_the_old_run_stays(config, how):
    paths = replaced_by(config, "started")
    before = files_of(paths.folder)
    finish_replacing(paths)
    plan = make_plan(dataclasses.replace(config, seed=3, **{how: True}))
    assert plan.paths == paths.replacement and plan.config.resume and plan.config.seed == 3
    claim_folder(plan)
    assert files_of(paths.folder) == before and read_run(paths)["status"] == "finished"


def test_an_interrupted_replacement_is_not_thrown_away_unasked(config):
    paths = replaced_by(config, "started")
    before = files_of(paths.folder.parent)
    with pytest.raises(ArtifactError, match=r"\.v_1\.new holds a run already \(started\)") as caught:
        make_plan(config)
    assert "--resume to go on with it" in caught.value.fix and files_of(paths.folder.parent) == before
    claim_folder(make_plan(dataclasses.replace(config, overwrite=True, seed=4)))
    assert read_run(paths.replacement)["config"]["seed"] == 4 and read_run(paths)["config"]["seed"] == 0


def test_weights_of_another_network_are_refused_before_anything_is_written(config, tmp_path):
    weights = tmp_path / "other.keras"
    build_model("compact", "compact16", 2, (32, 32)).save(weights)
    with pytest.raises(ModelError, match="does not fit this network"):
        train(dataclasses.replace(config, weights=str(weights), encoder="compact24"))
    assert not Path(config.result).exists()


def test_notes_in_a_folder_without_a_run_stay_beside_the_new_one(config):
    paths = RunPaths(Path(config.result), "tiny", "v_1")
    paths.folder.mkdir(parents=True)
    (paths.folder / "notes.txt").write_text("mine")
    plan = make_plan(config)
    claim_folder(plan)
    assert plan.paths == paths and {path.name for path in paths.folder.iterdir()} == {"run.json", "notes.txt"}


def test_files_of_a_run_without_its_run_json_are_replaced_only_on_purpose(config):
    paths = RunPaths(Path(config.result), "tiny", "v_1")
    (paths.valid / "pictures").mkdir(parents=True)
    (paths.valid / "pictures" / "a.jpg").write_bytes(b"a")
    for settings in (config, dataclasses.replace(config, reuse=True)):
        with pytest.raises(ArtifactError, match=r"v_1 holds valid but no run\.json") as caught:
            make_plan(settings)
    assert "--overwrite to replace them" in caught.value.fix
    plan = make_plan(dataclasses.replace(config, overwrite=True))
    claim_folder(plan)
    assert (paths.valid / "pictures" / "a.jpg").is_file() and plan.paths == paths.replacement
    put_in_place(plan.paths)
    assert [path.name for path in paths.folder.iterdir()] == ["run.json"]


@pytest.mark.parametrize("name", ["augmentation", "json_path"])
def test_what_a_run_reads_is_not_replaced_by_it(config, name):
    paths = earlier_run(config, "finished")
    inside = paths.valid / "mine.json"
    inside.parent.mkdir()
    inside.write_bytes(Path(make_plan(dataclasses.replace(config, reuse=True)).config.json_path).read_bytes())
    with pytest.raises(ConfigError, match=f"the {name} .*mine.json lies in .*v_1, which this run would replace"):
        make_plan(dataclasses.replace(config, overwrite=True, **{name: str(inside)}))


def test_an_interrupted_run_goes_on_with_its_own_json_though_there_is_a_newer_one(config, labelled):
    earlier_run(config, "started")
    newer = labelled / ".exports" / "coco-2.json"
    newer.write_text("{}")
    try:
        for how in ("resume", "reuse"):
            plan = make_plan(dataclasses.replace(config, **{how: True}))
            assert Path(plan.config.json_path) == labelled / ".exports" / "coco-1.json"
    finally:
        newer.unlink()
