"""ss_poc.reporting.compare: runs are compared setting by setting and image by image."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import stage

from ss_poc.core.errors import ArtifactError
from ss_poc.core.files import write_csv, write_json
from ss_poc.core.masks import encode_rle
from ss_poc.core.run import RLE_COLUMNS, RunPaths
from ss_poc.reporting.compare import compare


def run_of(root, name: str, predictions: list[np.ndarray], truths: list[np.ndarray], **config) -> RunPaths:
    """A run of one class whose search marked these masks, 4x6 each."""
    paths = RunPaths(root, "hand", name)
    paths.valid.mkdir(parents=True)
    write_json(paths.run_json, {"config": {"lr": 0.001, **config}, "versions": {"python": "3"}, "engine": "openvino",
                                "data": {"labels": ["pit"], "fingerprint": "f" * 64, "images": 9}})
    for kind, masks in (("true", truths), ("pred", predictions)):
        write_csv(paths.valid / f"valid_batch_{kind}.csv", RLE_COLUMNS,
                  [(f"{number}.png", "pit", 4, 6, encode_rle(mask)["counts"]) for number, mask in enumerate(masks)])
    return paths


def plane(pixels: int) -> np.ndarray:
    return (np.arange(24) < pixels).reshape(4, 6)


def test_runs_are_compared_on_settings_and_scores(tmp_path):
    truths = [plane(12)] * 20
    worse = run_of(tmp_path, "v_1", [plane(6)] * 20, truths)
    better = run_of(tmp_path, "v_2", [plane(12)] * 20, truths, lr=0.002)
    text = compare([worse, better])
    assert "lr: hand/v_1 0.001, hand/v_2 0.002" in text and "python" not in text.split("scores on")[0].split("\n", 2)[2]
    assert "scores on the 20 images" in text
    # 6 of 12 pixels: Dice 12 / 18, IoU 6 / 12; every sample of the images says the same
    assert "hand/v_1 0.667   hand/v_2 1.000 (+0.333, +0.333 to +0.333: better)" in text
    assert "hand/v_1 0.500   hand/v_2 1.000 (+0.500, +0.500 to +0.500: better)" in text


def test_a_difference_on_one_image_is_not_sure(tmp_path):
    truths = [plane(12)] * 20
    first = run_of(tmp_path, "v_1", [plane(12)] * 20, truths)
    second = run_of(tmp_path, "v_2", [plane(11)] + [plane(12)] * 19, truths)
    assert "no sure difference" in compare([first, second]) and "worse" not in compare([first, second])


def test_only_images_that_all_validate_are_compared(tmp_path):
    first = run_of(tmp_path, "v_1", [plane(3)] * 4, [plane(3)] * 4)
    second = run_of(tmp_path, "v_2", [plane(3)] * 2, [plane(3)] * 2)
    assert "scores on the 2 images" in compare([first, second])


def test_what_cannot_be_compared_is_said(tmp_path, run):
    only = run_of(tmp_path, "v_1", [plane(3)], [plane(3)])
    with pytest.raises(ArtifactError, match="1 run named"):
        compare([only])
    with pytest.raises(ArtifactError, match="other classes"):
        compare([only, run])


def test_compare_is_a_command(run, labelled):
    folder = str(run.folder)
    done = stage("report", "compare", folder, folder, cwd=labelled.parent)
    assert "what differs\n  nothing" in done.stdout and "no sure difference" in done.stdout
    done = stage("report", "compare", str(labelled), folder, cwd=labelled.parent, check=False)
    assert done.returncode == 1 and "no folder of a run" in done.stderr
