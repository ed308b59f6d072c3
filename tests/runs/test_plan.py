"""ss_poc.runs.plan: a plan is multiplied out to commands, and all that is wrong with it is said at once."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import pytest

from ss_poc.core.config import TrainConfig
from ss_poc.core.errors import ConfigError
from ss_poc.core.files import write_json
from ss_poc.core.settings import from_flags
from ss_poc.runs.command import main
from ss_poc.runs.plan import read_plan

PLAN = """\
plan: trial
data:
  - {img_path: tiles, group: '^[^_]+'}
  - {img_path: screws.zip, json_path: 'la bels.json', name: ball}
seeds: [0, 7]
folds: 3
flags:
  loss: [lovasz, focal]
  lr: [1e-3]
  budget: 15m
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    (tmp_path / "tiles").mkdir()
    (tmp_path / "screws.zip").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str) -> Path:
    path = Path("plan.yaml")
    path.write_text(text, encoding="utf-8")
    return path


def test_data_sets_recipes_seeds_and_folds_are_multiplied_out():
    runs = read_plan(written(PLAN))
    assert len(runs) == 2 * 2 * 2 * 3 == len({run.paths.folder for run in runs})
    assert [run.recipe for run in runs[::6]] == ["loss=lovasz lr=0.001", "loss=focal lr=0.001"] * 2
    assert runs[0].paths.folder == Path("result/tiles/segment/trial_loss-lovasz_lr-0.001_seed-0_fold-1of3")
    assert [run.config.fold for run in runs[:3]] == ["1/3", "2/3", "3/3"]
    assert runs[-1].name == "ball/trial_loss-focal_lr-0.001_seed-7_fold-3of3"


def test_a_run_is_the_commands_that_a_user_types(capsys):
    path = written(PLAN)
    assert main([str(path), "--dry_run"]) == 0
    head, first, *others = capsys.readouterr().out.splitlines()
    assert head == "# 24 runs, 0 done" and len(others) == 23
    name = "trial_loss-lovasz_lr-0.001_seed-0_fold-1of3"
    assert first == (
        f"python -m ss_poc.train --img_dir_name tiles --model_name {name} --img_path tiles --budget 15m --loss lovasz "
        f"--lr 0.001 --group '^[^_]+' --fold 1/3 --reuse && python -m ss_poc.export --img_dir_name tiles --model_name "
        f"{name} && python -m ss_poc.post_processing --img_dir_name tiles --model_name {name}")
    last = shlex.split(others[-1].split(" && ")[0])
    assert from_flags(TrainConfig, last[3:], "") == read_plan(path)[-1].config


def test_a_plan_of_one_line_more_than_its_photographs_is_one_run():
    run, = read_plan(written("plan: p\ndata: [{img_path: tiles}]\n"))
    assert (run.recipe, run.name) == ("p", "tiles/p_seed-0") and run.config.fold is None


def test_recipes_that_share_no_flags_are_a_list_of_blocks():
    runs = read_plan(written("plan: p\ndata: [{img_path: tiles}]\nflags:\n"
                             "  - {preset: fast, crop: [64, 96]}\n  - {size: 256x320, xla: true}\n"))
    assert [run.recipe for run in runs] == ["preset=fast crop=64", "preset=fast crop=96", "size=256x320 xla=True"]
    assert [run.config.crop for run in runs] == ["64", "96", None] and runs[2].config.xla


def test_names_that_no_folder_can_have_end_in_a_digest():
    names = [run.config.model_name for run in read_plan(written(
        "plan: p\ndata: [{img_path: tiles}]\nflags:\n  weights: [a b.keras, a-b.keras, " + "c" * 200 + ".keras]\n"))]
    assert names[1] == "p_weights-a-b.keras_seed-0"
    assert names[0].startswith("p_weights-a-b.keras_seed-0-") and len(names[0]) == len(names[1]) + 9
    assert len(names[2]) == 100 and names[2].startswith("p_weights-ccc")


def test_all_that_is_wrong_is_said_at_once_each_with_its_line():
    with pytest.raises(ConfigError) as refused:
        read_plan(written("""\
plan: my plan
data:
  - img_path: tiles
    grupp: x
seeds: [0, -1, x]
folds: 1
flags:
  loss: [lovasz, hinge]
  epoch: 0
  seed: 3
  xla: maybe
"""))
    said = str(refused.value)
    assert "plan.yaml has 9 errors" in said, said
    for line in ("line 1: plan is 'my plan'", "line 4: data[0].grupp is not known; expected group",
                 "line 5: seeds[1] is -1", "line 5: seeds[2] is 'x'; expected a whole number", "line 6: folds is 1",
                 "line 8: flags.loss[1] is 'hinge'; expected one of balanced_dice",
                 "line 9: flags.epoch is 0; expected a whole number of at least 1", "line 10: flags.seed is not known",
                 "line 11: flags.xla is 'maybe'"):
        assert line in said, said


def test_values_that_do_not_go_together_are_said_at_once_too():
    with pytest.raises(ConfigError) as refused:
        read_plan(written("""\
plan: p
data:
  - {img_path: tiles, group: '(['}
  - {img_path: nowhere}
folds: 5
seeds: []
flags:
  - {size: [33x64, 64x64], loss: [lovasz, focal]}
  - {valid: 0.3}
"""))
    said = str(refused.value)
    assert "plan.yaml has 5 errors" in said, said
    for line in ("line 3: data[0] group is '(['", "line 4: data[1].img_path is 'nowhere'; expected a folder or zip",
                 "line 6: seeds is empty", "line 8: flags[0] size is 33x64; expected multiples of 32",
                 "line 9: flags[1] fold is 1/5 and valid is 0.3"):
        assert line in said, said


@pytest.mark.parametrize("twice", ["seeds: [1, 1]", "flags: {lr: [0.1, 1e-1]}", "flags: [{}, {}]"])
def test_the_same_run_twice_is_refused(twice):
    with pytest.raises(ConfigError, match="plan has 2 runs tiles/p_"):
        read_plan(written(f"plan: p\ndata: [{{img_path: tiles}}]\n{twice}\n"))


def test_runs_that_were_started_with_other_settings_are_not_taken_for_those_of_the_plan():
    plan = "plan: p\ndata: [{img_path: tiles}]\nseeds: [0, 1]\nflags: {epoch: 9}\n"
    for run in read_plan(written(plan)):
        write_json(run.paths.run_json, {"status": "started", "config": {**dataclasses.asdict(run.config), "lr": 0.1}})
    assert len(read_plan(written(plan))) == 2, "the rate was chosen, not named"
    with pytest.raises(ConfigError) as refused:
        read_plan(written(plan.replace("epoch: 9", "epoch: 8, lr: 0.2")))
    for seed in (0, 1):
        assert f"tiles/p_seed-{seed}: epoch: was 9, is 8, lr: was 0.1, is 0.2" in str(refused.value)
