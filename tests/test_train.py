"""ss_poc.train and ss_poc.fit: runs that start, stop, go on and end."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SOURCE, stage

from ss_poc import train as train_module
from ss_poc.artifacts import RunPaths, read_run
from ss_poc.config import TrainConfig
from ss_poc.errors import ArtifactError, ConfigError, ModelError
from ss_poc.train import default_size, free_memory, train

FLAGS = ("--img_path", "tiny", "--epoch", "8", "--batch_size", "8", "--patience", "20", "--size", "32x32")


class Shape:
    def __init__(self, *size_hw: int) -> None:
        self.size_hw = size_hw


def log_of(paths: RunPaths) -> list[list[str]]:
    return [line.split(";") for line in paths.log.read_text().splitlines()]


def scores_of(paths: RunPaths) -> list[list[str]]:
    """The log without its last column, the seconds."""
    return [row[:-1] for row in log_of(paths)]


def weights_of(paths: RunPaths) -> list[np.ndarray]:
    with np.load(paths.model / "resume.npz") as arrays:
        return [arrays[name] for name in sorted(arrays.files) if name != "state"]


def test_run_leaves_the_files_that_the_design_names(run):
    assert log_of(run)[0] == ["epoch", "lr", "loss", "dice", "iou", "val_loss", "val_dice", "val_iou", "seconds"]
    assert [row[0] for row in log_of(run)[1:]] == [str(number + 1) for number in range(len(log_of(run)) - 1)]
    models = [path.name for path in run.model.glob("*.keras")]
    best = min((float(row[5]), int(row[0])) for row in log_of(run)[1:])
    assert models == [f"model_{best[1]}_{best[0]:.4f}.keras"]
    assert list(run.graph.glob("events.*")) and (run.folder / "preview.jpg").is_file()
    written = read_run(run)
    assert written["status"] == "finished" and written["config"]["batch_size"] == 4
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


def test_another_seed_gives_other_numbers_and_another_split(whole, labelled):
    stage("train", *FLAGS, "--epoch", "1", "--model_name", "other", "--seed", "4", cwd=labelled.parent)
    other = RunPaths(labelled.parent / "result", "tiny", "other")
    assert scores_of(other)[1] != scores_of(whole)[1]
    assert read_run(other)["split"]["valid"] != read_run(whole)["split"]["valid"]


def start(here: Path, *flags: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen([sys.executable, "-m", "ss_poc.train", *flags], cwd=here, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_killed_run_resumes_and_ends_where_an_undisturbed_one_does(whole, labelled):
    """kill -9 at random moments, three times in one run; the same seed gives the same numbers, bit for bit."""
    here, moments = labelled.parent, random.Random(5)
    resume: list[str] = []
    for kill in range(3):
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


def test_run_killed_between_best_model_and_checkpoint_resumes(labelled):
    """The newest best model is on disk, the checkpoint that speaks of it is not."""
    here = labelled.parent
    stage("train", *FLAGS, "--epoch", "2", "--model_name", "torn", cwd=here)
    paths = RunPaths(here / "result", "tiny", "torn")
    run = {**read_run(paths), "status": "started"}
    run["config"]["epoch"] = 4  # as if it had been asked for from the start
    paths.run_json.write_text(json.dumps(run))
    shutil.copy(next(paths.model.glob("*.keras")), paths.model / "model_3_0.0000.keras")
    (paths.model / f".{2**22 + 1}.tmp.resume.npz").write_bytes(b"half a checkpoint")
    stage("train", *FLAGS, "--epoch", "4", "--model_name", "torn", "--resume", cwd=here)
    assert [row[0] for row in log_of(paths)[1:]] == ["1", "2", "3", "4"]
    assert not (paths.model / "model_3_0.0000.keras").exists() and not list(paths.model.glob(".*"))


def test_resume_of_a_changed_data_set_or_changed_settings_is_refused(labelled, tmp_path):
    shutil.copytree(labelled, tmp_path / "tiny")
    stage("train", *FLAGS, "--epoch", "1", "--model_name", "v", cwd=tmp_path)
    paths = RunPaths(tmp_path / "result", "tiny", "v")
    paths.run_json.write_text(json.dumps({**read_run(paths), "status": "started"}))
    other = stage("train", *FLAGS, "--epoch", "1", "--lr", "0.5", "--model_name", "v", "--resume", cwd=tmp_path,
                  check=False)
    assert other.returncode == 2 and "lr: was 0.002, is 0.5" in other.stderr
    shutil.copy(tmp_path / "tiny" / "01.png", tmp_path / "tiny" / "02.png")
    changed = stage("train", *FLAGS, "--epoch", "1", "--model_name", "v", "--resume", cwd=tmp_path, check=False)
    assert changed.returncode == 1 and "have changed" in changed.stderr


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
    with pytest.raises(ArtifactError, match="no COCO json"):
        train(TrainConfig(img_path=str(tmp_path)))


def test_a_missing_augmentation_file_is_refused(labelled):
    done = stage("train", *FLAGS, "--model_name", "aug", "--augmentation", "none.yaml", cwd=labelled.parent,
                 check=False)
    assert done.returncode == 2 and "none.yaml" in done.stderr


def test_a_loss_that_is_not_finite_stops_the_run_with_advice(labelled, tmp_path):
    from ss_poc.fit import Progress, compiled

    config = TrainConfig(size="32x32", lr=0.25)
    progress = Progress(config, RunPaths(tmp_path, "tiny", "hot"))
    progress.set_model(compiled(config, 1))
    with pytest.raises(ModelError, match="loss of epoch 1 is nan") as caught:
        progress.on_epoch_end(0, {"loss": float("nan"), "val_loss": 1.0})
    assert "smaller --lr than 0.25" in caught.value.fix and not (tmp_path / "tiny").exists()


@pytest.mark.parametrize(("sizes", "expected"), [
    ([(240, 320)] * 3, (192, 256)),      # 76,800 pixels shrink to 49,152
    ([(96, 64)] * 2, (96, 64)),          # small ones keep their size
    ([(5, 5000)], (64, 768)),            # never under 64, and the long side makes up for it: 49,152 / 64
    ([(100, 100), (200, 400), (200, 400)], (160, 320)),  # the median counts: 200x400 scaled by 0.784
])
def test_default_size_follows_the_median_image(sizes, expected):
    assert default_size([Shape(*size) for size in sizes]) == expected


@pytest.mark.parametrize(("free", "images", "expected"), [
    (2**40, 800, 8),                            # plenty of both: never more than 8
    (2**40, 160, 4),                            # 160 / 40: thirty steps and more an epoch
    (2**40, 24, 1),
    (4 * 16000 * 512 * 512 * 3, 800, 3),        # a quarter of the memory holds three images of unetpp
    (2**20, 800, 1),
])
def test_batch_size_follows_from_free_memory_and_number_of_images(labelled, monkeypatch, free, images, expected):
    dataset = train_module.load_coco(labelled / ".exports" / "coco-1.json", labelled)
    dataset = dataclasses.replace(dataset, samples=dataset.samples[:1] * images)
    monkeypatch.setattr(train_module, "free_memory", lambda: free)
    config = TrainConfig(img_path=str(labelled), architecture="unetpp", size="512x512")
    assert train_module._with_data(config, dataset).batch_size == expected


def test_free_memory_is_less_than_the_machine_has():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < free_memory() <= total
