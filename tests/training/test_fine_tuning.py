"""ss_poc.training.command going on from a model, and on several devices."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from conftest import SOURCE, log_of, stage

from ss_poc.core.run import RunPaths, read_run


def with_one_more_class(folder: Path, target: Path) -> Path:
    """A copy of a set in which four more pictures hold a third class."""
    shutil.copytree(folder, target)
    coco = json.loads((target / ".exports" / "coco-1.json").read_text())
    coco["categories"].insert(0, {"id": 1, "name": "dent", "color": "#00ff00"})
    for number in range(4):
        name = f"new{number}.png"
        picture = np.full((64, 96, 3), 100 + number, np.uint8)
        picture[20:40, 30:60] = (200, 60, 60)
        cv2.imwrite(str(target / name), picture)
        coco["images"].append({"id": 100 + number, "file_name": name, "height": 64, "width": 96})
        coco["annotations"].append({"id": 200 + number, "image_id": 100 + number, "category_id": 1, "iscrowd": 0,
                                    "segmentation": [[30, 20, 60, 20, 60, 40, 30, 40]]})
    (target / ".exports" / "coco-1.json").write_text(json.dumps(coco))
    return target


def test_training_goes_on_from_a_model_with_a_new_class_and_the_split_of_before(run, labelled):
    """The folder is the same, it has grown: what trained trains on, and the new class gets channel 0."""
    here = labelled.parent
    with_one_more_class(labelled, here / "grown")
    shutil.move(labelled, here / "kept_aside")
    shutil.move(here / "grown", labelled)
    try:
        done = stage("train", "--img_path", "tiny", "--epoch", "3", "--batch_size", "4", "--model_name", "v_next",
                     "--weights", str(run.best_model()), cwd=here)
    finally:
        shutil.rmtree(labelled)
        shutil.move(here / "kept_aside", labelled)
    following = RunPaths(here / "result", "tiny", "v_next")
    assert "the head is renewed: the weights know scratch, pit; new: dent" in done.stdout
    before, after = read_run(run), read_run(following)
    assert after["data"]["labels"] == ["dent", "scratch", "pit"]
    assert after["config"]["encoder"] == before["config"]["encoder"] and after["config"]["lr"] == 0.0005
    assert after["config"]["freeze"] == 2
    for side in ("train", "valid"):
        assert set(before["split"][side]) <= set(after["split"][side])
    assert len(after["split"]["train"]) + len(after["split"]["valid"]) == 28


def test_what_was_learned_is_not_forgotten(run, labelled):
    """One epoch on from a trained model is nearer to its best than to a fresh start."""
    here = labelled.parent
    stage("train", "--img_path", "tiny", "--epoch", "1", "--batch_size", "4", "--model_name", "on",
          "--weights", str(run.best_model()), cwd=here)
    on, fresh = (float(log_of(paths)[1][3]) for paths in (RunPaths(here / "result", "tiny", "on"), run))
    best = float(run.best_model().stem.split("_")[2])
    assert on < (best + fresh) / 2


# --- several devices


TWO_DEVICES = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from ss_poc.training import devices
devices.gpu_names = lambda: [device.name for device in tf.config.list_logical_devices("CPU")]
from ss_poc.training.command import main
main(["--img_path", "tiny", "--model_name", "two", "--gpus", "2", "--precision", "float32", "--epoch", "2",
      "--batch_size", "8", "--encoder", "compact16"])
"""


def test_two_devices_share_a_batch(labelled):
    """Virtual devices on the processor: the strategy, the split batch and the checkpoint are the real ones."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", TWO_DEVICES], cwd=labelled.parent, env=environment, text=True,
                          capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    paths = RunPaths(labelled.parent / "result", "tiny", "two")
    assert len(log_of(paths)) == 3 and paths.best_model().is_file()
    assert read_run(paths)["config"]["gpus"] == 2


def test_more_gpus_than_there_are_is_refused(labelled):
    done = stage("train", "--img_path", "tiny", "--model_name", "many", "--gpus", "9", cwd=labelled.parent, check=False)
    assert done.returncode == 2 and "gpus is 9" in done.stderr and "nvidia-smi" in done.stderr
