"""ss_poc.expect: folds and fewer labels tell what a recipe brings; figures derived by hand, and one run for real."""

from __future__ import annotations

import csv
import shutil

import numpy as np
import pytest
from conftest import stage

from ss_poc.core.errors import ConfigError
from ss_poc.core.files import write_json
from ss_poc.core.run import RunPaths, read_run
from ss_poc.runs.expect import ExpectConfig, _gain, expect, learning_curve


def made(folder, name: str, images: int, hits: dict[str, int]) -> RunPaths:
    """A run that trained on so many images, and found so many of 10 labelled pixels on each that validates."""
    paths = RunPaths(folder, "set", name)
    write_json(paths.run_json, {"split": {"train": [f"t{number}" for number in range(images)], "valid": [*hits]},
                                "config": {}})
    paths.valid.mkdir()
    with (paths.valid / "valid_held_out.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label", "true", "predicted", "both"),
                                    *((image, "pit", 10, found, found) for image, found in hits.items())])
    return paths


def test_error_falls_as_a_power_of_the_labels():
    """1 - IoU of 5 / sqrt(n): 1 at 25 images, 0.5 at 100, and 5 / sqrt(120) = 0.4564 at 120."""
    assert _gain([25, 100], np.array([[0.0], [0.5]]))[0] == pytest.approx(0.5 - 5 / 120**0.5, abs=1e-6)
    assert _gain([25, 50, 100], np.array([[0.3]] * 3))[0] == pytest.approx(0)  # more labels never helped


def test_a_learning_curve_has_a_row_for_each_run_and_what_twenty_more_bring(tmp_path):
    runs = [made(tmp_path, "quarter", 25, {"a.png": 0, "b.png": 0}),
            made(tmp_path, "all", 100, {"a.png": 5, "b.png": 5})]
    found = learning_curve(runs, None)
    assert [(row["images"], row["iou"], row["low"], row["high"]) for row in found["rows"]] == [
        (25, 0.0, 0.0, 0.0), (100, 0.5, 0.5, 0.5)]  # both images alike: no spread
    assert found["more"] == 20
    assert [found[name] for name in ("gain", "low", "high")] == [pytest.approx(0.5 - 5 / 120**0.5, abs=1e-6)] * 3


@pytest.mark.parametrize("counts", [{"folds": 1}, {"folds": 0, "curve": 0}])
def test_what_cannot_be_is_refused(counts):
    with pytest.raises(ConfigError, match="folds is"):
        ExpectConfig(**counts)


def test_a_run_that_goes_on_from_a_model_is_refused(tmp_path):
    paths = made(tmp_path, "v_1", 3, {"a.png": 1})
    write_json(paths.run_json, {**read_run(paths), "config": {"weights": "result/x/segment/v_1/model/m.keras"}})
    with pytest.raises(ConfigError, match="may know what is to validate"):
        expect(paths, ExpectConfig())


@pytest.mark.slow
def test_folds_and_fewer_labels_are_trained_and_stand_in_the_report(run, labelled, tmp_path):
    paths = RunPaths(tmp_path / "result", "tiny", "v_1")
    shutil.copytree(run.folder, paths.folder)
    written = read_run(run)
    write_json(paths.run_json, {**written, "config": {**written["config"], "epoch": 2}})
    command = ("expect", "--img_dir_name", "tiny", "--folds", "2", "--curve", "1", "--result", str(paths.result))
    done = stage(*command, cwd=tmp_path)
    names = {path.name for path in paths.folder.parent.iterdir() if not path.name.startswith(".")}
    assert names == {"v_1", "v_1_fold-1of2", "v_1_fold-2of2", "v_1_labels-1of2"}
    expected = read_run(paths)["expected"]
    images = len(written["split"]["train"]) + len(written["split"]["valid"])
    assert sum(row["images"] for row in expected["folds"]["rows"]) == images == expected["folds"]["workpieces"]
    half, whole = (row["images"] for row in expected["curve"]["rows"])
    assert whole == len(written["split"]["train"]) and abs(half - whole / 2) <= 1
    fewer = read_run(RunPaths(paths.result, "tiny", "v_1_labels-1of2"))["split"]
    assert fewer["valid"] == written["split"]["valid"] and set(fewer["train"]) < set(written["split"]["train"])
    assert "20 more labels like these are likely to bring" in done.stdout
    page = (paths.valid / "report.html").read_text(encoding="utf-8")
    assert "Each image judged once" in page and "What more labels bring" in page
    again = stage(*command, cwd=tmp_path)
    assert "train" not in again.stdout.replace("images that train", "")  # all of it was there
