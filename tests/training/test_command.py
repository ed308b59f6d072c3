"""ss_poc.training.command, ss_poc.training.loop and ss_poc.training.callback: runs that start, stop, go on and end."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SOURCE, log_of, stage

from ss_poc.core.config import ChosenConfig, TrainConfig
from ss_poc.core.errors import ArtifactError, ConfigError, ModelError
from ss_poc.core.files import write_json
from ss_poc.core.host import free_memory
from ss_poc.core.run import RunPaths, read_run
from ss_poc.data.dataset import Dataset, load_coco
from ss_poc.data.split import SPLIT_FILE
from ss_poc.training.command import train
from ss_poc.training.earlier import as_started, split_of
from ss_poc.training.folder import WRITTEN
from ss_poc.training.plan import share

FLAGS = ("--img_path", "tiny", "--epoch", "8", "--batch_size", "8", "--patience", "20", "--size", "32x32", "--features",
         "none")


def scores_of(paths: RunPaths) -> list[list[str]]:
    """The log without its last column, the seconds."""
    return [row[:-1] for row in log_of(paths)]


def weights_of(paths: RunPaths) -> list[np.ndarray]:
    with np.load(paths.model / "resume.npz") as arrays:
        return [arrays[name] for name in sorted(arrays.files) if name != "state"]


def test_run_leaves_the_files_that_the_design_names(run):
    assert log_of(run)[0] == ["epoch", "lr", "loss", "val_loss", "val_dice", "val_iou", "seconds"]
    assert [row[0] for row in log_of(run)[1:]] == [str(number + 1) for number in range(len(log_of(run)) - 1)]
    models = [path.name for path in run.model.glob("*.keras")]
    # The highest validation IoU; of equals the least loss.
    best = max(log_of(run)[1:], key=lambda row: (float(row[5]), -float(row[3])))
    assert models == [f"model_{best[0]}_{float(best[3]):.4f}.keras"]
    assert list(run.graph.glob("events.*")) and (run.folder / "preview.jpg").is_file()
    written = read_run(run)
    assert written["status"] == "finished" and written["config"]["batch_size"] == 4
    assert written["train"]["crops_a_second"] > 0  # epochs of five steps, too
    assert written["data"]["labels"] == ["scratch", "pit"] and written["data"]["category_ids"] == [2, 7]
    assert not set(written["split"]["train"]) & set(written["split"]["valid"])
    assert len(written["split"]["train"]) + len(written["split"]["valid"]) == 24
    assert not [path for path in run.folder.rglob("*.tmp.*")]


def test_network_learns_the_tiny_set(run):
    assert float(log_of(run)[-1][2]) < 0.6 * float(log_of(run)[1][2])


@pytest.fixture(scope="module")
def whole(labelled) -> RunPaths:
    """A run of eight epochs that nothing disturbed."""
    stage("train", *FLAGS, "--model_name", "whole", cwd=labelled.parent)
    return RunPaths(labelled.parent / "result", "tiny", "whole")


@pytest.fixture(scope="module")
def other(labelled) -> RunPaths:
    """A run of one epoch in the place of an earlier one, of which pictures and somebody's notes are left."""
    paths = RunPaths(labelled.parent / "result", "tiny", "other")
    paths.valid.mkdir(parents=True)
    (paths.valid / "old.jpg").write_bytes(b"old")
    (paths.folder / "notes.txt").write_text("mine")
    stage("train", *FLAGS, "--epoch", "1", "--model_name", "other", "--seed", "4", "--overwrite", cwd=labelled.parent)
    return paths


def test_another_seed_gives_other_numbers_and_another_split(whole, other):
    assert scores_of(other)[1] != scores_of(whole)[1]
    assert read_run(other)["split"]["valid"] != read_run(whole)["split"]["valid"]


def test_a_run_that_is_trained_takes_the_place_of_the_old_one_and_leaves_other_files(other):
    names = {path.name for path in other.folder.iterdir()}
    assert names == {"run.json", "log", "graph", "model", "preview.jpg", "notes.txt"}
    assert names - {*WRITTEN} == {"notes.txt"}
    assert read_run(other)["status"] == "finished" and other.best_model().is_file()
    assert not list(other.folder.parent.glob(".other*"))


@pytest.mark.parametrize(("settings", "shared"), [
    ({}, True), ({"architecture": "compact"}, True), ({"weights": "none"}, True), ({"weights": "imagenet"}, False),
    ({"architecture": "unet"}, False), ({"architecture": "compact", "weights": "imagenet"}, True)])
def test_cores_are_shared_for_the_small_networks_alone(monkeypatch, settings, shared):
    calls = []
    monkeypatch.setattr("ss_poc.training.plan.share_cores", lambda: calls.append("shared"))
    share(TrainConfig(**settings))
    assert bool(calls) == shared


LAST_DIGIT = "[0-9](?=[.])"


def split_by_last_digit(labelled: Path, before: dict) -> dict[str, list[str]]:
    """The tiny set's photographs are 00.png to 23.png; those with the same last digit show one part."""
    dataset = load_coco(labelled / ".exports" / "coco-1.json", labelled)
    return split_of(TrainConfig(img_path=str(labelled), group=LAST_DIGIT), dataset, before)


def test_photographs_of_one_part_train_or_validate_together(labelled):
    split = split_by_last_digit(labelled, {})
    train, valid = ({Path(name).stem[-1] for name in split[side]} for side in ("train", "valid"))
    assert valid and not train & valid and train | valid == set("0123456789")


@pytest.mark.parametrize("side", ["train", "valid"])
def test_new_photograph_joins_the_part_it_shows(labelled, side):
    """Of twenty that are known those ending in 0 to 3 are on one side: 20 to 23 follow them."""
    low = [f"{number:02d}.png" for number in range(20) if number % 10 < 4]
    high = [f"{number:02d}.png" for number in range(20) if number % 10 >= 4]
    new = [f"{number}.png" for number in range(20, 24)]
    other = "valid" if side == "train" else "train"
    before = {"data": {"img_path": str(labelled)}, "split": {side: low, other: high}}
    assert split_by_last_digit(labelled, before) == {side: low + new, other: high}


def test_new_photograph_of_a_part_whose_known_ones_were_deleted_joins_their_side(labelled):
    known = {"train": ["90.png", "91.png", "92.png"], "valid": [f"9{number}.png" for number in range(3, 10)]}
    split = split_by_last_digit(labelled, {"data": {"img_path": str(labelled)}, "split": known})
    assert {Path(name).stem[-1] for name in split["train"]} == set("012")
    assert len(split["train"]) + len(split["valid"]) == 24


def with_copies(labelled: Path, *names: str) -> Dataset:
    """The tiny set as if these photographs had the same bytes."""
    dataset = load_coco(labelled / ".exports" / "coco-1.json", labelled)
    return replace(dataset, samples=tuple(replace(sample, digest="same") if sample.name in names else sample
                                          for sample in dataset.samples))


@pytest.mark.parametrize("side", ["train", "valid"])
def test_new_copy_of_a_known_photograph_joins_it(labelled, side):
    known, other = ["00.png"], ["01.png"]
    dataset = with_copies(labelled, "00.png", "02.png")
    before = {"data": {"img_path": str(labelled)},
              "split": {side: known, "valid" if side == "train" else "train": other}}
    dataset = replace(dataset, samples=dataset.samples[:3])
    split = split_of(TrainConfig(img_path=str(labelled)), dataset, before)
    assert split[side] == ["00.png", "02.png"]


def test_new_copies_of_one_photograph_under_names_of_two_parts_train(labelled):
    """They cannot be split, and there is nothing to refuse: the known photographs validate."""
    dataset = with_copies(labelled, "22.png", "23.png")
    before = {"data": {"img_path": str(labelled)},
              "split": {"train": [f"{number:02d}.png" for number in range(20)], "valid": ["20.png", "21.png"]}}
    split = split_of(TrainConfig(img_path=str(labelled), group="[0-9]+(?=[.])"), dataset, before)
    assert split["valid"] == ["20.png", "21.png"] and split["train"][-2:] == ["22.png", "23.png"]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_fold_is_the_same_for_every_seed_and_all_folds_validate_every_part_once(labelled, seed):
    dataset = load_coco(labelled / ".exports" / "coco-1.json", labelled)
    validated = []
    for number in range(1, 5):
        config = TrainConfig(img_path=str(labelled), group=LAST_DIGIT, seed=seed, fold=f"{number}/4")
        split = split_of(config, dataset, {})
        assert sorted(split["train"] + split["valid"]) == sorted(sample.name for sample in dataset.samples)
        assert split == split_of(replace(config, seed=9), dataset, {})
        validated += sorted({name[1] for name in split["valid"]})
    assert sorted(validated) == list("0123456789")


def test_a_fold_and_weights_that_may_have_seen_it_are_refused(labelled):
    dataset = load_coco(labelled / ".exports" / "coco-1.json", labelled)
    before = {"data": {"img_path": str(labelled)}, "split": {"train": ["00.png"], "valid": ["01.png"]}}
    config = TrainConfig(img_path=str(labelled), fold="1/2")
    with pytest.raises(ConfigError, match="the weights know photographs of"):
        split_of(config, dataset, before)
    elsewhere = {**before, "data": {"img_path": "/elsewhere"}}
    assert split_of(config, dataset, elsewhere) == split_of(config, dataset, {})


def test_labelled_defects_beside_good_photographs_validate_in_every_fold(labelled, tmp_path):
    dataset = load_coco(labelled / ".exports" / "coco-1.json", labelled)
    write_json(tmp_path / SPLIT_FILE, {"train": ["00.png"], "valid": ["01.png"]})
    config = TrainConfig(img_path=str(tmp_path), good_only=True)
    splits = [split_of(replace(config, fold=f"{number}/2"), dataset, {}) for number in (1, 2)]
    assert all("00.png" in split["train"] and "01.png" in split["valid"] for split in splits)
    others = [{*split["valid"]} - {"01.png"} for split in splits]
    assert not others[0] & others[1] and len(others[0] | others[1]) == 22


def test_photographs_of_a_single_part_are_refused_before_training(labelled):
    done = stage("train", *FLAGS, "--group", "png", "--model_name", "one_part", cwd=labelled.parent, check=False)
    assert done.returncode == 2 and "has 1 different workpiece\n" in done.stderr and "--group" in done.stderr


def start(here: Path, *flags: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen([sys.executable, "-m", "ss_poc.train", *flags], cwd=here, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_killed_run_resumes_and_ends_where_an_undisturbed_one_does(whole, labelled):
    """kill -9 at random moments, twice in one run; the same seed gives the same numbers, bit for bit."""
    here, moments = labelled.parent, random.Random(5)
    resume: list[str] = []
    for kill in range(2):
        process = start(here, *FLAGS, "--model_name", "killed", *resume)
        for line in process.stdout:
            if line.startswith("epoch "):
                break
        time.sleep(moments.random() * 0.15)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, f"it had ended before kill {kill}"
        resume = ["--resume"]
    assert "resumed after epoch" in stage("train", *FLAGS, "--model_name", "killed", "--resume", cwd=here).stdout
    killed = RunPaths(here / "result", "tiny", "killed")
    assert scores_of(whole) == scores_of(killed)
    for left, right in zip(weights_of(whole), weights_of(killed), strict=True):
        np.testing.assert_array_equal(left, right)
    assert sorted(path.name for path in killed.model.iterdir()) == sorted(path.name for path in whole.model.iterdir())


def ask_for(paths: RunPaths, epochs: int) -> None:
    """Make a finished run one that was started for so many epochs, and ended before."""
    run = {**read_run(paths), "status": "started"}
    run["config"]["epoch"] = epochs
    paths.run_json.write_text(json.dumps(run))


def test_run_killed_between_best_model_and_checkpoint_resumes(labelled):
    """The newest best model is on disk, the checkpoint that speaks of it is not."""
    here = labelled.parent
    stage("train", *FLAGS, "--epoch", "2", "--model_name", "torn", cwd=here)
    paths = RunPaths(here / "result", "tiny", "torn")
    ask_for(paths, 4)
    shutil.copy(next(paths.model.glob("*.keras")), paths.model / "model_3_0.0000.keras")
    (paths.model / f".{2**22 + 1}.tmp.resume.npz").write_bytes(b"half a checkpoint")
    stage("train", *FLAGS, "--epoch", "4", "--model_name", "torn", "--resume", cwd=here)
    assert [row[0] for row in log_of(paths)[1:]] == ["1", "2", "3", "4"]
    assert not (paths.model / "model_3_0.0000.keras").exists() and not list(paths.model.glob(".*"))


@pytest.mark.slow
def test_a_resumed_run_keeps_its_probe_and_fits_a_lost_one_again_alike(labelled):
    from ss_poc.networks.linear_probe import PROBE_FILE, read_probe  # TensorFlow takes seconds to load

    here, flags = labelled.parent, (*FLAGS, "--features", "imagenet", "--model_name", "probed")
    stage("train", *flags, "--epoch", "1", cwd=here)
    paths = RunPaths(here / "result", "tiny", "probed")
    kept = paths.model / PROBE_FILE
    fitted = read_probe(kept, 2).kernel
    for epochs, lost in ((2, False), (3, True)):
        ask_for(paths, epochs)
        if lost:
            kept.unlink()
        before = None if lost else kept.stat().st_mtime_ns
        stage("train", *flags, "--epoch", str(epochs), "--resume", cwd=here)
        np.testing.assert_allclose(read_probe(kept, 2).kernel, fitted, atol=1e-4)
        assert lost or kept.stat().st_mtime_ns == before
    assert [row[0] for row in log_of(paths)[1:]] == ["1", "2", "3"]


@pytest.fixture
def interrupted(whole, labelled, tmp_path) -> RunPaths:
    """A copy of the whole run, as if it had been ended from outside, and of its photographs."""
    shutil.copytree(labelled, tmp_path / "tiny")
    paths = RunPaths(tmp_path / "result", "tiny", "whole")
    shutil.copytree(whole.folder, paths.folder)
    paths.run_json.write_text(json.dumps({**read_run(paths), "status": "started"}))
    return paths


def resumed(paths: RunPaths, *flags: str) -> subprocess.CompletedProcess[str]:
    return stage("train", *FLAGS, "--model_name", "whole", "--resume", *flags, cwd=paths.result.parent, check=False)


def test_resume_of_a_changed_data_set_or_changed_settings_is_refused(interrupted):
    other = resumed(interrupted, "--lr", "0.5")
    assert other.returncode == 2 and "lr: was 0.004, is 0.5" in other.stderr
    photos = interrupted.result.parent / "tiny"
    shutil.copy(photos / "01.png", photos / "02.png")
    changed = resumed(interrupted)
    assert changed.returncode == 1 and "have changed" in changed.stderr


def test_the_part_that_validates_is_that_of_the_start_unless_another_is_named(labelled):
    dataset = load_coco(labelled / ".exports" / "coco-1.json", labelled)
    run = {"data": {"fingerprint": dataset.fingerprint}, "config": asdict(TrainConfig(valid=0.3))}
    assert as_started(run, TrainConfig(), dataset).valid == 0.3
    with pytest.raises(ConfigError, match=r"valid: was 0\.3, is 0\.4"):
        as_started(run, TrainConfig(valid=0.4), dataset)


def test_resume_of_a_run_of_another_version_is_refused(interrupted):
    run = read_run(interrupted)
    del run["config"]["optimizer"]
    interrupted.run_json.write_text(json.dumps(run))
    again = resumed(interrupted)
    assert again.returncode == 1 and "did not know optimizer" in again.stderr and "--overwrite" in again.stderr


def test_a_name_in_use_is_refused_and_kept(run, labelled):
    before = run.run_json.read_bytes()
    again = stage("train", "--img_path", "tiny", "--model_name", "v_1", cwd=labelled.parent, check=False)
    assert again.returncode == 1 and "holds a run already (finished)" in again.stderr and "--overwrite" in again.stderr
    resumed = stage("train", "--img_path", "tiny", "--model_name", "v_1", "--resume", cwd=labelled.parent, check=False)
    assert resumed.returncode == 1 and "is finished" in resumed.stderr
    assert run.run_json.read_bytes() == before


def test_reuse_takes_a_finished_run_as_it_is_and_refuses_another(run, labelled):
    same = ("--img_path", "tiny", "--img_dir_name", "tiny", "--epoch", "12", "--batch_size", "4", "--lr", "0.005")
    before = run.run_json.read_bytes()
    done = stage("train", *same, "--reuse", cwd=labelled.parent)
    assert "is trained already" in done.stdout and "epoch 1/" not in done.stdout
    other = stage("train", *same[:-1], "0.006", "--reuse", cwd=labelled.parent, check=False)
    assert other.returncode == 2 and "lr: was 0.005, is 0.006" in other.stderr
    assert run.run_json.read_bytes() == before


def test_nothing_to_resume_is_said(labelled):
    with pytest.raises(ArtifactError, match="to resume"):
        train(TrainConfig(img_path=str(labelled), result=str(labelled.parent / "nowhere"), resume=True))


def test_typo_in_a_flag_ends_with_status_2(tmp_path):
    done = stage("train", "--epochs", "3", cwd=tmp_path, check=False)
    assert done.returncode == 2 and "--epochs" in done.stderr


def test_missing_folder_and_missing_json_say_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="is no folder"):
        train(TrainConfig(img_path=str(tmp_path / "none")))
    with pytest.raises(ArtifactError, match="no labels in"):
        train(TrainConfig(img_path=str(tmp_path)))


def test_a_missing_augmentation_file_is_refused(labelled):
    done = stage("train", *FLAGS, "--model_name", "aug", "--augmentation", "none.yaml", cwd=labelled.parent,
                 check=False)
    assert done.returncode == 2 and "none.yaml" in done.stderr


def test_a_loss_that_is_not_finite_stops_the_run_with_advice(labelled, tmp_path):
    from ss_poc.networks.build import build_model
    from ss_poc.training.callback import Progress
    from ss_poc.training.losses import loss_function
    from ss_poc.training.model import compiled
    from ss_poc.training.sampling import Source
    from ss_poc.training.validation import Validator
    from ss_poc.training.windows import Windows

    dataset = load_coco(labelled / ".exports" / "coco-1.json", labelled)
    config = ChosenConfig(architecture="compact", size="32x32", crop="32x32", loss="balanced", lr=0.25, batch_size=4,
                          weights="none", precision="float32")
    windows = Windows(Source(dataset.samples[:2], 2, 0.0, (32, 32)), (32, 32), 2, most=2)
    model = compiled(config, 2, 4)
    progress = Progress(config, RunPaths(tmp_path, "tiny", "hot"), 4, Validator(windows, loss_function("balanced")),
                        build_model("compact", "", 2, (32, 32)), time.monotonic())
    progress.set_model(model)
    with pytest.raises(ModelError, match="loss of epoch 1 is nan") as caught:
        progress.on_epoch_end(0, {"loss": float("nan")})
    assert "smaller --lr than 0.25" in caught.value.fix and not (tmp_path / "tiny").exists()


def test_free_memory_is_less_than_the_machine_has():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < free_memory() <= total


# --- a time budget


def test_a_budget_ends_the_run_in_time_with_its_best_model(labelled):
    began = time.monotonic()
    done = stage("train", "--img_path", "tiny", "--budget", "30s", "--model_name", "timed", cwd=labelled.parent)
    assert 24 < time.monotonic() - began < 100  # other work may use the cores; 50 epochs would take minutes
    paths = RunPaths(labelled.parent / "result", "tiny", "timed")
    assert read_run(paths)["status"] == "finished" and paths.best_model().is_file()
    rates = [float(row[1]) for row in log_of(paths)[1:]]
    assert rates[-1] < 0.2 * read_run(paths)["config"]["lr"]  # the schedule came to its end
    assert " left" in done.stdout and "each image was seen about" in done.stdout


def test_a_budget_that_cannot_be_is_refused(tmp_path):
    for budget, words in (("soon", "a time such as"), ("5s", "at least 20 s")):
        done = stage("train", "--budget", budget, cwd=tmp_path, check=False)
        assert done.returncode == 2 and words in done.stderr
