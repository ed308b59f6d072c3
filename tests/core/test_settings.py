"""ss_poc.core.settings: settings from flags, from the environment and from run.json files; what is not set is None."""

from __future__ import annotations

import dataclasses
import shlex

import pytest
from conftest import stage

from ss_poc.core.config import (
    DeployConfig,
    ExportConfig,
    OptimiseConfig,
    PredictConfig,
    SearchConfig,
    ServeConfig,
    TrainConfig,
)
from ss_poc.core.errors import ConfigError
from ss_poc.core.settings import flags_of, from_environment, from_flags, stored_settings

STAGES = (TrainConfig, ExportConfig, SearchConfig, DeployConfig, PredictConfig)


def flags(*argv: str, cls=TrainConfig, positional=()):
    return from_flags(cls, argv, "A test.", positional)


# --- flags


@pytest.mark.parametrize("cls", STAGES)
def test_no_flags_are_the_defaults(cls):
    assert flags(cls=cls) == cls()


def test_flags_set_values_of_the_right_type():
    config = flags("--epoch", "9", "--lr", "0.5", "--loss", "focal", "--overwrite", "--size=64x96", "--model_name", "b")
    assert config == TrainConfig(epoch=9, lr=0.5, loss="focal", overwrite=True, size="64x96", model_name="b")


def test_a_positional_setting_needs_no_flag():
    config = flags("photos/*.png", "--threshold", "0.25", cls=PredictConfig, positional=("images",))
    assert (config.images, config.threshold) == ("photos/*.png", 0.25)


@pytest.mark.parametrize("argv", [
    ("--epochs", "9"), ("--epo", "9"), ("--over",), ("--epoch", "many"), ("--epoch", "1.5"), ("--epoch",),
    ("--architecture", "vit"), ("stray",), ("--resume", "yes"), ("-e", "9")], ids=" ".join)
def test_a_wrong_call_ends_with_2_and_says_which_part(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        flags(*argv)
    said = capsys.readouterr()
    assert ended.value.code == 2 and argv[-1].lstrip("-") in said.err and said.out == ""


def test_a_flag_out_of_bounds_is_a_config_error():
    with pytest.raises(ConfigError, match="epoch is 0"):
        flags("--epoch", "0")
    with pytest.raises(ConfigError, match="seed is -1"):
        flags("--seed", "-1")


@pytest.mark.parametrize("cls", STAGES)
def test_help_names_every_setting(cls, capsys):
    with pytest.raises(SystemExit) as ended:
        flags("--help", cls=cls)
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"--{item.name}" in shown for item in dataclasses.fields(cls))


# --- environment


def test_the_environment_sets_the_limits_of_the_service():
    config = from_environment(ServeConfig, {"SS_POC_MAX_BYTES": "2048", "SS_POC_CORS": "*", "MAX_PIXELS": "1",
                                            "SS_POC_OTHER": "x"})
    assert config == ServeConfig(max_bytes=2048, cors="*")


def test_an_empty_variable_counts_as_not_set():
    assert from_environment(ServeConfig, {"SS_POC_TIMEOUT": ""}) == ServeConfig()


def test_the_process_environment_is_read_unless_another_is_given(monkeypatch):
    monkeypatch.setenv("SS_POC_TIMEOUT", "7")
    assert from_environment(ServeConfig).timeout == 7


@pytest.mark.parametrize("text", ["lots", "1.5", "1e3", "0x10"])
def test_a_variable_of_the_wrong_type_is_refused_by_its_name(text):
    with pytest.raises(ConfigError, match=f"SS_POC_MAX_BYTES is '{text}'") as refused:
        from_environment(ServeConfig, {"SS_POC_MAX_BYTES": text})
    assert "int" in refused.value.expected and "SS_POC_MAX_BYTES" in refused.value.fix


def test_a_variable_out_of_bounds_is_refused():
    with pytest.raises(ConfigError, match="at least 1024"):
        from_environment(ServeConfig, {"SS_POC_MAX_BYTES": "12"})


# --- what is not set is None


# Numbers that meant "to be chosen" before None did.
OLD = {"batch_size": 0, "freeze": -1, "scale": 0.0, "sampling": -1.0, "mosaic": -1.0, "lr": 0.0, "ema": -1.0,
       "valid": 0.0, "strength": -1.0, "gpus": 0, "cache_mb": 0}


@pytest.mark.parametrize("name", OLD)
def test_a_flag_with_the_number_that_meant_to_be_chosen_still_means_it(name):
    assert flags(f"--{name}={OLD[name]}") == TrainConfig()
    assert flags(f"--{name}={OLD[name]:g}") == TrainConfig()


@pytest.mark.parametrize("name", ["json_path", "img_dir_name", "budget", "architecture", "encoder", "weights", "size",
                                  "crop", "loss", "optimizer", "group", "augmentation", "views", "precision"])
def test_an_empty_flag_is_not_set(name):
    assert flags(f"--{name}=") == TrainConfig()


def test_the_same_holds_for_every_stage_and_the_service():
    assert flags("--workers", "0", "--miss_cost", "0", "--max_false_alarm", "", cls=SearchConfig) == SearchConfig()
    assert flags("--engine", "", cls=OptimiseConfig) == OptimiseConfig()
    assert flags("--threshold", "0", "--output", "", cls=PredictConfig) == PredictConfig()
    assert from_environment(ServeConfig, {"SS_POC_THREADS": "0"}) == ServeConfig()


@pytest.mark.parametrize(("name", "text", "value"), [
    ("ema", "0", 0.0), ("freeze", "0", 0), ("sampling", "0", 0.0), ("mosaic", "0", 0.0), ("strength", "0", 0.0),
    ("scale", "0.25", 0.25), ("batch_size", "1", 1)])
def test_a_nought_with_a_meaning_is_kept(name, text, value):
    assert getattr(flags(f"--{name}", text), name) == value


@pytest.mark.parametrize("name", OLD)
def test_code_says_none_where_it_means_not_set(name):
    with pytest.raises(ConfigError, match=f"{name} is {OLD[name]}"):
        TrainConfig(**{name: OLD[name]})


def test_a_run_json_from_before_reads_as_one_of_now():
    before = {"json_path": "a.json", "architecture": "compact", "encoder": "", "budget": "", "epoch": 3, "seed": 0,
              "lr": 0.004, "freeze": 0, "size": "64x96", "patience": 12, "xla": False, "something": 0, **OLD}
    now = stored_settings(TrainConfig, before)
    assert now == {**before, **dict.fromkeys(OLD), "encoder": None, "budget": None}
    assert stored_settings(TrainConfig, now) == now


# --- examples


@pytest.mark.parametrize("command", ["bento_deploy", "config", "demo", "export", "optimise", "post_processing",
                                     "predict", "pretrain", "report", "train"])
def test_help_of_every_command_ends_with_examples(command, tmp_path):
    shown = stage(command, "--help", cwd=tmp_path).stdout
    examples = shown.split("\nexamples:\n")[1].splitlines()
    assert examples and examples[0].startswith(f"    python -m ss_poc.{command}")


def test_help_says_what_is_taken_where_nothing_is_set(capsys):
    with pytest.raises(SystemExit):
        flags("--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert "crops in a step (default: chosen from images and memory)" in shown
    assert "None" not in shown and "-1" not in shown and "0: chosen" not in shown


def test_an_example_and_a_meaning_may_hold_a_percent_sign(capsys):
    with pytest.raises(SystemExit):
        from_flags(SearchConfig, ["--help"], "A test.", examples="A test.\n\n    search --max_false_alarm 1%\n")
    shown = capsys.readouterr().out
    assert shown.endswith("examples:\n    search --max_false_alarm 1%\n") and "such as 1% (default" in shown


@pytest.mark.parametrize("settings", [
    {}, {"xla": True, "lr": 1e-05, "freeze": 0, "sampling": 0.0, "seed": 7},
    {"group": "-(\\d+)' \"$x", "img_path": "a b"}])
def test_settings_become_the_flags_that_give_them(settings):
    config = TrainConfig(**settings)
    words = flags_of(TrainConfig, dataclasses.asdict(config))
    assert from_flags(TrainConfig, shlex.split(shlex.join(words)), "") == config
    assert len([word for word in words if word.startswith("--")]) == len(settings)
