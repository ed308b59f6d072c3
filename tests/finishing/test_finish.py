"""All that follows training, in one process: it writes what the single commands write, and predicts each image once."""

from __future__ import annotations

import csv
import shutil
from collections import Counter

import pytest
from conftest import stage

from ss_poc.core.files import read_json, write_json
from ss_poc.core.run import RunPaths, read_run
from ss_poc.finishing.command import finish
from ss_poc.inference.predictor import Predictor


@pytest.fixture(scope="module")
def finished(run, labelled, tmp_path_factory) -> tuple[RunPaths, Counter[str]]:
    """The run, trained only, finished; and how often an engine looked at an image of 64 x 96."""
    here = RunPaths(tmp_path_factory.mktemp("finished"), "tiny", "v_1")
    shutil.copytree(run.folder, here.folder, ignore=shutil.ignore_patterns("export", "valid"))
    write_json(here.run_json, read_run(run))  # paths of the data are absolute now
    looked: Counter[str] = Counter()
    of = Predictor.probability

    def counted(self, image):
        looked[self.engine] += 1
        return of(self, image)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "probability", counted)
        (here.folder / ".maps").mkdir()
        (here.folder / ".maps/0.npy").write_bytes(b"of one that was killed")
        finish(here)
    return here, looked


def test_it_writes_what_the_single_commands_write(finished, run):
    here, _ = finished
    expected = {path.relative_to(run.folder) for path in run.folder.rglob("*") if path.is_file()}
    found = {path.relative_to(here.folder) for path in here.folder.rglob("*") if path.is_file()}
    assert expected <= found and (here.valid / "report.html").is_file() and not (here.folder / ".maps").exists()
    for name in ("valid_post_grid.csv", "valid_batch_pred.csv", "valid_score.csv"):
        one, other = ([*csv.reader((of.valid / name).open())] for of in (here, run))
        assert one == other


def test_an_engine_sees_a_validation_image_as_it_is_once(finished):
    here, looked = finished
    images = len(read_run(here)["split"]["valid"])
    # ONNX Runtime sees it in the 4 looks of the search, one of them as it is: export, engines and report ask no more.
    assert looked.pop("onnxruntime") == 4 * images
    assert all(times == images for times in looked.values())  # engines that were judged


def test_it_says_and_keeps_how_long_each_stage_took(finished):
    seconds = read_json(finished[0].run_json)["finish_seconds"]
    assert list(seconds) == ["export", "post_processing", "optimise", "report"]
    assert all(value > 0 for value in seconds.values())


def test_a_run_that_is_not_there_is_named(tmp_path):
    done = stage("finish", "--img_dir_name", "tiny", cwd=tmp_path, check=False)
    assert done.returncode == 1 and "there is no run" in done.stderr
