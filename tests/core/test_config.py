"""ss_poc.core.config: settings, their bounds, and the command that checks them."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ss_poc.core.check_flags import main
from ss_poc.core.config import (
    ARCHITECTURES,
    LOSSES,
    PRECISIONS,
    PRESETS,
    DeployConfig,
    ExportConfig,
    PredictConfig,
    SearchConfig,
    ServeConfig,
    TrainConfig,
    format_size,
    parse_duration,
    parse_fraction,
    parse_size,
)
from ss_poc.core.errors import ConfigError
from ss_poc.core.files import write_json

STAGES = (TrainConfig, ExportConfig, SearchConfig, DeployConfig, PredictConfig)
SOURCE = Path(__file__).resolve().parents[2] / "src"


# --- defaults


def test_defaults_are_those_the_documentation_names():
    config = TrainConfig()
    assert (config.epoch, config.batch_size, config.model_name, config.img_path) == (
        50, None, "v_1", "coco-annotator/datasets/demo")
    assert (config.json_path, config.img_dir_name, config.weights, config.result) == (None, None, None, "result")


def test_what_the_recipe_chooses_is_left_open():
    config = TrainConfig()
    assert (config.budget, config.seconds, config.preset) == (None, None, "balanced")
    assert [name for name, value in vars(config).items() if value is None] == [
        "img_dir_name", "json_path", "budget", "batch_size", "architecture", "encoder", "weights", "freeze", "size",
        "scale", "crop", "sampling", "mosaic", "loss", "optimizer", "lr", "ema", "valid", "group", "fold",
        "augmentation", "strength", "views", "features", "precision", "gpus", "cache_mb"]


@pytest.mark.parametrize("cls", [*STAGES, ServeConfig])
def test_every_setting_has_a_meaning_and_a_default_within_its_bounds(cls):
    cls()
    assert all(item.metadata["meaning"] for item in dataclasses.fields(cls))


@pytest.mark.parametrize("cls", [*STAGES, ServeConfig])
def test_settings_cannot_be_changed_afterwards(cls):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(cls(), dataclasses.fields(cls)[0].name, "x")


# --- bounds


@pytest.mark.parametrize(("name", "value"), [
    ("epoch", 0), ("epoch", -3), ("batch_size", -1), ("lr", -0.1), ("lr", 10.5), ("lr", float("nan")),
    ("lr", float("inf")), ("seed", -1), ("valid", -0.1), ("valid", 0.91), ("valid", float("nan")), ("patience", 0),
    ("cache_mb", -1), ("gpus", -1), ("freeze", -2), ("scale", -0.5), ("scale", 4.1), ("scale", float("nan")),
    ("sampling", -1.5), ("sampling", 1.1), ("mosaic", -1.5), ("mosaic", 1.1), ("ema", -2.0), ("ema", 1.0),
    ("ema", float("nan")), ("strength", -2.0), ("strength", 2.1)])
def test_a_number_out_of_bounds_is_refused_by_name(name, value):
    with pytest.raises(ConfigError, match=f"{name} is {value}") as refused:
        TrainConfig(**{name: value})
    assert refused.value.expected.startswith(("at least", "at most"))


@pytest.mark.parametrize(("name", "value"), [
    ("epoch", 1), ("batch_size", 1), ("lr", 1e-8), ("lr", 10.0), ("seed", 0), ("valid", 0.01),
    ("valid", 0.9), ("patience", 1), ("freeze", 0), ("scale", 4.0), ("sampling", 0.0), ("sampling", 1.0),
    ("mosaic", 0.0), ("mosaic", 1.0), ("ema", 0.0), ("ema", 0.9999), ("strength", 0.0), ("strength", 2.0)])
def test_a_number_on_the_bound_is_taken(name, value):
    assert getattr(TrainConfig(**{name: value}), name) == value


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_threshold_is_a_probability(value):
    with pytest.raises(ConfigError, match="threshold"):
        PredictConfig(threshold=value)
    assert PredictConfig(threshold=1.0).threshold == 1.0


@pytest.mark.parametrize(("name", "value"), [("max_bytes", 1023), ("max_pixels", 0), ("timeout", 0), ("workers", 0),
                                             ("concurrency", 0), ("threads", -1)])
def test_limits_of_the_service_are_bounded(name, value):
    with pytest.raises(ConfigError, match=name):
        ServeConfig(**{name: value})


@pytest.mark.parametrize(("name", "known"), [("architecture", ARCHITECTURES), ("loss", LOSSES), ("preset", PRESETS),
                                             ("precision", PRECISIONS)])
def test_an_unknown_choice_is_refused_with_those_that_are(name, known):
    with pytest.raises(ConfigError, match=f"{name} is 'nope'") as refused:
        TrainConfig(**{name: "nope"})
    assert all(choice in refused.value.expected for choice in known)
    assert all(getattr(TrainConfig(**{name: choice}), name) == choice for choice in known)


@pytest.mark.parametrize("pattern", ["(", "*", "[0-"])
def test_group_is_a_regular_expression(pattern):
    with pytest.raises(ConfigError, match="group is") as refused:
        TrainConfig(group=pattern)
    assert "regular expression" in refused.value.expected
    assert TrainConfig(group="^[^_]+").group == "^[^_]+"


@pytest.mark.parametrize("weights", ["imagenet21k", "drawn", "model.h5", "model.keras.txt"])
def test_weights_are_none_synthetic_imagenet_or_a_keras_file(weights):
    with pytest.raises(ConfigError, match="weights"):
        TrainConfig(weights=weights)
    assert TrainConfig(weights="a/model.keras").weights == "a/model.keras"


@pytest.mark.parametrize("pair", [("resume", "overwrite"), ("resume", "reuse"), ("reuse", "overwrite")])
def test_at_most_one_of_resume_reuse_and_overwrite(pair):
    with pytest.raises(ConfigError, match="more than one of"):
        TrainConfig(**dict.fromkeys(pair, True))
    assert getattr(TrainConfig(**{pair[0]: True}), pair[0]) is True


# --- names become folders


@pytest.mark.parametrize("setting", ["img_dir_name", "model_name"])
@pytest.mark.parametrize("name", ["a/b", "../up", "..", ".hidden", "/abs", "a b", "부품", "x" * 101, "-x", "v\n",
                                  "a\\b", "nul\0"])
def test_a_name_that_is_no_plain_folder_name_is_refused(setting, name):
    with pytest.raises(ConfigError, match=f"{setting} is") as refused:
        TrainConfig(**{setting: name})
    assert "letters, digits" in refused.value.expected


@pytest.mark.parametrize("name", ["v_1", "A.b-c_9", "x" * 100, "7"])
def test_a_plain_name_is_taken(name):
    assert (TrainConfig(model_name=name).model_name, SearchConfig(img_dir_name=name).img_dir_name) == (name, name)


def test_the_version_may_not_be_empty_or_its_folder_would_be_that_of_all_versions():
    with pytest.raises(ConfigError, match="model_name is ''"):
        TrainConfig(model_name="")


def test_the_data_set_is_named_after_its_folder_unless_said(tmp_path, monkeypatch):
    assert TrainConfig(img_path="a/parts/").data_set == "parts"
    assert TrainConfig(img_path="a/parts", img_dir_name="mine").data_set == "mine"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert TrainConfig(img_path=".").data_set == "here"


def test_folds_and_a_fraction_that_validates_are_one_too_many():
    assert TrainConfig(fold="2/5").fold == "2/5"
    with pytest.raises(ConfigError, match="fold is 2/5 and valid is 0.3"):
        TrainConfig(fold="2/5", valid=0.3)
    with pytest.raises(ConfigError, match="fold is '6/5'"):
        TrainConfig(fold="6/5")


# --- size


@pytest.mark.parametrize(("text", "size"), [("256x320", (256, 320)), ("64", (64, 64)), (" 32X96 ", (32, 96))])
def test_size_is_height_by_width(text, size):
    assert parse_size(text) == size
    assert TrainConfig(size=text).size == text


@pytest.mark.parametrize("text", ["", "x", "256x", "x256", "-32", "32.0", "32x32x32", "32,64", "a", "1000000"])
def test_a_size_that_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match="256x320"):
        parse_size(text)


@pytest.mark.parametrize(("text", "advice"), [("250x320", "256x320"), ("100", "96x96"), ("1x1", "32x32"),
                                              ("0x64", "32x64"), ("64x0", "64x32"), ("79x65", "64x64"),
                                              ("64x79", "64x64")])
def test_a_size_off_the_stride_is_refused_with_the_nearest(text, advice):
    with pytest.raises(ConfigError, match="multiples of 32") as refused:
        parse_size(text)
    assert refused.value.fix == f"try --size {advice}"


def test_a_size_is_written_as_it_is_read():
    assert format_size((96, 32)) == "96x32" and parse_size(format_size((96, 32))) == (96, 32)


@pytest.mark.parametrize("name", ["size", "crop"])
def test_train_settings_check_the_size(name):
    with pytest.raises(ConfigError, match="multiples of 32"):
        TrainConfig(**{name: "33x64"})
    assert getattr(TrainConfig(**{name: "32x64"}), name) == "32x64"


# --- budget


@pytest.mark.parametrize(("text", "seconds"), [
    ("15m", 900), ("90s", 90), ("90", 90), ("2h", 7200), ("1h30m", 5400), ("1h30m10s", 5410),
    ("1h5s", 3605), ("1.5h", 5400), ("0.5m", 30), ("2.5", 2.5), (" 15M ", 900), ("90m", 5400), ("0", 0), ("0h", 0)])
def test_a_duration_is_hours_minutes_and_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", " ", "m", "h30m", "15 m", "1h 30m", "-15m", "+15m", "15min", "1d", "30m1h",
                                  "15mm", "1h30", "1h30m10", "1:30", ".5h", "5.h", "1e3", "nan", "inf", "forever",
                                  "15m\n15m"])
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match="budget is") as refused:
        parse_duration(text)
    assert "15m" in refused.value.expected


def test_a_budget_is_known_in_seconds():
    assert TrainConfig(budget="15m").seconds == 900
    assert TrainConfig(budget="20").seconds == 20  # the least


@pytest.mark.parametrize("budget", ["19s", "15", "0", "0m", "19.99"])
def test_a_budget_too_short_for_a_step_is_refused(budget):
    with pytest.raises(ConfigError, match=f"budget is '{budget}'") as refused:
        TrainConfig(budget=budget)
    assert refused.value.expected.startswith("at least 20 s")


def test_a_budget_that_is_no_time_is_refused_at_once():
    with pytest.raises(ConfigError, match="budget is 'soon'"):
        TrainConfig(budget="soon")


# --- as a command


def test_the_command_prints_the_names_of_a_run(capsys):
    main(["--img_path", "a/부품 사진", "--result", "out", "--epoch", "2"])
    assert capsys.readouterr().out.splitlines() == [
        "result=out", "data_set=부품 사진", "version=v_1", "img_path=a/부품 사진", "export=yes",
        "reads=a/부품 사진"]


@pytest.mark.parametrize(("flags", "files"), [
    (["--json_path", "/b/x.json"], ["a", "/b/x.json"]),
    (["--augmentation", "c.yaml", "--weights", "imagenet"], ["a", "c.yaml"]),
    # Weights in their run's folder are read with what says which classes they are for.
    (["--weights", "/runs/v_1/model/model_3_0.1.keras"], ["a", "/runs/v_1"]),
    (["--weights", "model_3_0.1.keras"], ["a", "model_3_0.1.keras"])])
def test_the_command_prints_what_training_will_read(capsys, flags, files):
    main(["--img_path", "a", *flags])
    assert capsys.readouterr().out.splitlines()[5:] == [f"reads={file}" for file in files]


@pytest.mark.parametrize(("flags", "export"), [
    ((), "yes"), (("--json_path", "x.json"), "no"), (("--resume",), "no"), (("--reuse",), "no"),
    (("--overwrite",), "yes"), (("--reuse", "--model_name", "v_2"), "yes"),
    (("--resume", "--model_name", "v_3"), "no")])
def test_labels_are_not_to_be_exported_for_a_run_that_has_its_json(tmp_path, monkeypatch, capsys, flags, export):
    """v_1 is a run, v_3 one that was to be replaced; both read the json outside of the photographs' folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("v_1", ".v_3.new"):
        write_json(Path("result/a/segment") / name / "run.json", {"data": {"json_path": "labels.json"}})
    Path("labels.json").write_text("{}")
    main(["--img_path", "a", *flags])
    lines = capsys.readouterr().out.splitlines()
    assert f"export={export}" in lines
    assert ("reads=labels.json" in lines) == (export == "no" and "--json_path" not in flags)


@pytest.mark.parametrize("place", ["a/.exports/coco-1.json", "a", "missing.json"])
def test_labels_of_an_earlier_run_that_are_missing_or_with_the_images_are_not_read_twice(tmp_path, monkeypatch, capsys,
                                                                                          place):
    monkeypatch.chdir(tmp_path)
    write_json(Path("a/.exports/coco-1.json"), {})
    write_json(Path("result/a/segment/v_1/run.json"), {"data": {"json_path": place}})
    main(["--img_path", "a", "--resume"])
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("reads")] == ["reads=a"]


def test_the_command_refuses_a_path_with_a_line_break():
    with pytest.raises(ConfigError, match="img_path is"):
        main(["--img_path", "a\nreads=/etc"])


def config_command(*argv: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run([sys.executable, "-S", "-m", "ss_poc.config", *argv], env=environment, text=True,
                          capture_output=True, timeout=30)


def test_the_command_needs_no_package():
    done = config_command("--model_name", "v_2")
    assert (done.returncode, done.stdout) == (
        0, "result=result\ndata_set=demo\nversion=v_2\nimg_path=coco-annotator/datasets/demo\n"
           "export=yes\nreads=coco-annotator/datasets/demo\n")


def test_the_command_refuses_wrong_settings_with_2_and_a_sentence():
    for argv, said in ((("--epoch", "0"), "epoch is 0"), (("--model_name", "a/b"), "'a/b'"), (("--nope",), "--nope")):
        done = config_command(*argv)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr and not done.stdout


@pytest.mark.parametrize(("text", "fraction"), [("1%", 0.01), ("0.01", 0.01), ("100%", 1.0), ("0", 0.0),
                                            (" 2.5 % ", 0.025)])
def test_a_fraction_is_a_percentage_or_a_number(text, fraction):
    assert parse_fraction(text) == pytest.approx(fraction)


@pytest.mark.parametrize("text", ["1.5", "101%", "-1%", "one", "%", "", "1%%", "nan"])
def test_a_fraction_that_cannot_be_is_refused(text):
    with pytest.raises(ConfigError):
        parse_fraction(text)
