"""ss_poc.reporting.repeat: what the report prints runs as it is printed, and repeats the run."""

from __future__ import annotations

import dataclasses
import html
import re
import shlex
import shutil
from pathlib import Path

import pytest
from conftest import log_of, stage

from ss_poc.core.config import ExportConfig, OptimiseConfig, ReportConfig, SearchConfig, TrainConfig
from ss_poc.core.run import Run, RunPaths, update_run
from ss_poc.core.settings import from_flags
from ss_poc.reporting.repeat import repeat_commands
from ss_poc.training.plan import make_plan

STAGES = {"train": TrainConfig, "export": ExportConfig, "post_processing": SearchConfig, "optimise": OptimiseConfig,
          "report": ReportConfig}
SEARCH = ("--miss_cost", "3", "--max_false_alarm", "50%", "--workers", "1")


@pytest.fixture(scope="module")
def searched(run, labelled, tmp_path_factory) -> RunPaths:
    """A copy of the tiny run and its data, searched with settings of the user's, with its report."""
    here = tmp_path_factory.mktemp("work")
    shutil.copytree(labelled, here / "tiny")
    paths = RunPaths(here / "result", "tiny", "v_1")
    shutil.copytree(run.folder, paths.folder)
    stage("post_processing", "--img_dir_name", "tiny", *SEARCH, cwd=here)
    update_run(paths, engine_settings={"engine": "openvino", "rounds": 3})  # as `optimise` writes them
    stage("report", "--img_dir_name", "tiny", cwd=here)
    return paths


@pytest.fixture(scope="module")
def commands(searched) -> dict[str, list[str]]:
    """Flags of each stage, from the text of the page."""
    text = html.unescape((searched.valid / "report.html").read_text(encoding="utf-8"))
    shown = [shlex.split(line) for line in re.findall(r"(?m)^(?:<pre>)?(python -m ss_poc\..*)$", text)]
    assert all(words[:2] == ["python", "-m"] for words in shown)
    return {words[2].removeprefix("ss_poc."): words[3:] for words in shown}


def test_every_stage_is_named_in_its_order_and_takes_its_flags(commands):
    assert list(commands) == list(STAGES)
    read = {name: from_flags(STAGES[name], words, "") for name, words in commands.items()}
    assert {config.data_set for config in read.values()} == {"tiny"}
    assert {config.model_name for config in read.values()} == {"v_1_again"}
    search, engine = read["post_processing"], read["optimise"]
    assert (search.miss_cost, search.max_false_alarm, search.workers) == (3.0, "50%", 1)
    assert (engine.engine, engine.rounds) == ("openvino", 3)


def test_the_training_that_is_printed_has_the_settings_and_the_split_of_the_run(searched, commands, monkeypatch):
    monkeypatch.chdir(searched.result.parent)
    plan, run = make_plan(from_flags(TrainConfig, commands["train"], "")), Run.read(searched)
    assert plan.config == dataclasses.replace(run.config, model_name="v_1_again", json_path="tiny/.exports/coco-1.json")
    assert {side: list(names) for side, names in plan.split.items()} == dataclasses.asdict(run.split)
    assert plan.dataset.fingerprint == run.data.fingerprint


def test_the_search_and_the_report_that_are_printed_run_and_give_the_same(searched, commands):
    again = dataclasses.replace(searched, model_name="v_1_again")
    shutil.copytree(searched.folder, again.folder, ignore=shutil.ignore_patterns("valid"))  # trained and exported
    for name in ("post_processing", "report"):
        stage(name, *commands[name], cwd=searched.result.parent)
    names = sorted(path.name for path in searched.valid.iterdir())
    assert "report.html" in names and names == sorted(path.name for path in again.valid.iterdir())
    for path in searched.valid.glob("*.[cj]s*"):
        assert (again.valid / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_all_that_is_printed_runs_in_its_order_and_the_training_ends_with_the_same_scores(searched, commands):
    again = dataclasses.replace(searched, model_name="v_1_again")
    shutil.rmtree(again.folder, ignore_errors=True)
    for name, flags in commands.items():
        stage(name, *flags, cwd=searched.result.parent)
    assert [row[:-1] for row in log_of(again)] == [row[:-1] for row in log_of(searched)]
    assert Run.read(again).engine_settings["engine"] == "openvino" and (again.valid / "report.html").is_file()


def test_a_run_of_an_earlier_version_is_searched_for_the_same_verdict(searched):
    run = dataclasses.replace(Run.read(searched), search_settings={}, engine_settings={})
    found = {shlex.split(line)[2]: shlex.split(line)[3:] for line in repeat_commands(run, searched)}
    search = from_flags(SearchConfig, found["ss_poc.post_processing"], "")
    assert (search.miss_cost, search.max_false_alarm) == (3.0, "50%")
    assert from_flags(OptimiseConfig, found["ss_poc.optimise"], "").engine is None


def test_results_elsewhere_and_long_names_are_named_as_they_must_be(searched):
    elsewhere = RunPaths(Path("/data/my results"), "tiny", "v" * 100)
    for line in repeat_commands(Run.read(searched), elsewhere):
        words = shlex.split(line)
        assert words[words.index("--result") + 1] == "my results"
        assert words[words.index("--model_name") + 1] == "v" * 94 + "_again"
