"""ss_poc.training.plan: everything is checked before a run's folder is touched."""

from __future__ import annotations

import dataclasses
import json
import zipfile
from pathlib import Path

import pytest
from earlier_runs import earlier_run, files_of
from repeated_workpieces import folder_of

from ss_poc.core.errors import ArtifactError, ConfigError, ModelError, SegmentError
from ss_poc.core.files import write_json
from ss_poc.core.run import Run, RunPaths, read_run
from ss_poc.data.facts import Survey
from ss_poc.training.claim import claim_folder
from ss_poc.training.command import _say, seconds_after, train
from ss_poc.training.earlier import recipe_of, survey_of
from ss_poc.training.plan import make_plan
from ss_poc.training.recipe import CHOSEN


def test_a_plan_writes_nothing(config, tmp_path):
    plan = make_plan(config)
    assert not list(tmp_path.iterdir())
    assert not plan.config.resume and not plan.finished
    assert {row.setting for row in plan.recipe} == {*CHOSEN}
    assert len(plan.samples("train")) + len(plan.samples("valid")) == len(plan.dataset.samples) == 24


@pytest.mark.parametrize(("change", "error"), [
    ({"json_path": "none.json"}, SegmentError), ({"encoder": "resnet18"}, ModelError),
    ({"architecture": "unet", "encoder": "nope"}, ModelError),
    ({"architecture": "pspnet", "size": "64x64", "crop": "96x96"}, ModelError),
    ({"weights": "none.keras"}, ModelError), ({"augmentation": "none.yaml"}, ConfigError), ({"gpus": 99}, ConfigError),
    ({"encoder": "compact16", "architecture": "unet", "weights": "synthetic"}, ModelError)], ids=str)
def test_overwrite_with_a_setting_that_cannot_be_leaves_the_old_run_whole(config, change, error):
    paths = earlier_run(config, "finished")
    before = files_of(paths.folder)
    with pytest.raises(error):
        train(dataclasses.replace(config, overwrite=True, **change))
    assert files_of(paths.folder) == before


def test_weights_of_the_run_that_is_overwritten_are_refused(config):
    paths = earlier_run(config, "finished")
    weights = paths.model / "model_2_0.4.keras"
    with zipfile.ZipFile(weights, "w") as file:
        file.writestr("config.json", json.dumps({"config": {"layers": [
            {"class_name": "Conv2D", "config": {"filters": 2}}]}}))
    before = files_of(paths.folder)
    with pytest.raises(ConfigError, match="which this run would replace"):
        make_plan(dataclasses.replace(config, overwrite=True, weights=str(weights)))
    assert files_of(paths.folder) == before


def test_claiming_a_folder_leaves_the_old_run_and_says_what_was_chosen(config):
    paths = earlier_run(config, "finished")
    before = files_of(paths.folder)
    plan = make_plan(dataclasses.replace(config, overwrite=True, seed=3))
    claim_folder(plan)
    assert files_of(paths.folder) == before
    assert [path.name for path in paths.replacement.folder.iterdir()] == ["run.json"]
    run = read_run(paths.replacement)
    assert run["status"] == "started" and run["config"]["seed"] == 3 and run["split"] == plan.split
    assert run["config"]["budget"] is None and run["config"]["encoder"] == "compact24"
    assert survey_of(run) == plan.survey
    assert [row.row() for row in recipe_of(run)] == [row.row() for row in plan.recipe]


def test_a_folder_without_a_run_is_replaced(config):
    paths = RunPaths(Path(config.result), "tiny", "v_1")
    paths.model.mkdir(parents=True)
    claim_folder(make_plan(config))
    assert [path.name for path in paths.folder.iterdir()] == ["run.json"]


def test_a_run_that_goes_on_keeps_its_folder_settings_and_split(config):
    paths = earlier_run(dataclasses.replace(config, lr=0.005), "started")
    torn = paths.model / f".{2**22 + 1}.tmp.resume.npz"
    torn.write_bytes(b"half a checkpoint")
    plan = make_plan(dataclasses.replace(config, reuse=True, lr=0.005))
    assert plan.config.resume and plan.config.architecture == "compact" and plan.split == read_run(paths)["split"]
    run_json = paths.run_json.read_bytes()
    claim_folder(plan)
    assert not torn.exists() and (paths.model / "model_1_0.5.keras").is_file()
    assert paths.run_json.read_bytes() == run_json


def test_a_finished_run_is_reused_as_it_is(config, capsys):
    paths = earlier_run(config, "finished")
    before = files_of(paths.folder)
    assert train(dataclasses.replace(config, reuse=True)) == paths
    assert "is trained already" in capsys.readouterr().out and files_of(paths.folder) == before


# What run.json held for settings left open before that was null.
OLD = {"budget": "", "ema": -1.0, "gpus": 0, "valid": 0.0, "group": "", "augmentation": ""}


def test_a_run_from_before_settings_were_none_goes_on(config):
    paths = earlier_run(config, "started")
    run = json.loads(paths.run_json.read_text())
    assert all(run["config"][name] is None for name in OLD)
    write_json(paths.run_json, {**run, "config": {**run["config"], **OLD}})
    assert make_plan(dataclasses.replace(config, resume=True)).config.ema is None
    with pytest.raises(ConfigError, match=r"ema: was None, is 0\.0"):
        make_plan(dataclasses.replace(config, resume=True, ema=0.0))


def test_a_run_whose_images_were_squeezed_before_settings_were_none_goes_on(config):
    squeezed = dataclasses.replace(config, size="64x96")
    paths = earlier_run(squeezed, "started")
    run = json.loads(paths.run_json.read_text())
    assert run["config"]["scale"] is None and run["config"]["size"] == run["config"]["crop"] == "64x96"
    write_json(paths.run_json, {**run, "config": {**run["config"], "scale": 0.0}})
    assert make_plan(dataclasses.replace(squeezed, resume=True)).config.scale is None


def test_a_run_whose_facts_lack_one_is_of_another_version(config):
    paths = earlier_run(config, "started")
    run = json.loads(paths.run_json.read_text())
    del run["survey"]["covered"]
    write_json(paths.run_json, run)
    with pytest.raises(ArtifactError, match="did not know covered"):
        make_plan(dataclasses.replace(config, resume=True))
    assert {item.name for item in dataclasses.fields(Survey)} == {*run["survey"], "covered"}


def test_a_run_from_before_common_objects_were_measured_goes_on(config):
    paths = earlier_run(config, "started")
    run = json.loads(paths.run_json.read_text())
    assert run["survey"].pop("common_area") and run["survey"].pop("common_width")
    write_json(paths.run_json, run)
    plan = make_plan(dataclasses.replace(config, resume=True))
    assert (plan.survey.common_area, plan.survey.common_width) == (0, 0)
    assert plan.config.scale == run["config"]["scale"]


@pytest.fixture
def repeated(config, tmp_path):
    """Settings for eight workpieces that three photographs each show."""
    shown = {f"P{number // 3}_{number % 3}.png": number // 3 for number in range(24)}
    (tmp_path / "work").mkdir()
    folder = folder_of(tmp_path / "work", shown)
    return dataclasses.replace(config, img_path=str(folder.root), json_path=str(folder.save()), img_dir_name="pieces")


def test_suspected_workpieces_are_said_when_training_starts_and_kept_in_the_run(repeated, capsys):
    plan = make_plan(repeated)
    _say(plan)
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert len(said) == 1 and said[0].endswith("scores flatter: train with --group '^([^_]+)'")
    claim_folder(plan)
    kept = Run.read(plan.paths).workpieces
    assert kept["repeated"]["group"] == "^([^_]+)" and kept["against_group"] == []


def test_with_group_nothing_is_suspected_and_the_workpieces_are_counted(repeated, capsys):
    plan = make_plan(dataclasses.replace(repeated, group="^([^_]+)"))
    _say(plan)
    out = capsys.readouterr().out
    assert "6 workpieces for training, 2 for validation" in out and "warning" not in out and plan.repeated is None


def test_a_wrong_group_is_said_or_refused_before_anything_is_written(repeated, capsys):
    with pytest.raises(ConfigError, match="finds no workpiece in any name"):
        make_plan(dataclasses.replace(repeated, group="Q[0-9]"))
    _say(make_plan(dataclasses.replace(repeated, group="P[0-9]_[0-9]")))
    assert "warning: --group 'P[0-9]_[0-9]' finds another workpiece in each name" in capsys.readouterr().out
    assert not Path(repeated.result).exists()


def test_what_comes_after_the_training_takes_longer_on_cores_without_wide_vectors(config, capsys, monkeypatch):
    assert [seconds_after(10, wide, False) for wide in (True, False)] == [40, 55]
    assert [seconds_after(10, wide, True) for wide in (True, False)] == [70, 100]
    for wide, seconds in ((True, 60), (False, 90)):  # with features of ImageNet, the default
        monkeypatch.setattr("ss_poc.training.command.wide_vectors", lambda wide=wide: wide)
        _say(make_plan(config))
        assert f"afterwards about {seconds} s for graph, rules, engine and report" in capsys.readouterr().out
