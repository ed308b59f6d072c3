"""Shards and whole runs over photographs: the same rows, whatever happens in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import bright_model
import numpy as np
import pytest
from conftest import SOURCE, disk, stage

from ss_poc.core.errors import ArtifactError, ConfigError
from ss_poc.core.files import write_json
from ss_poc.core.images import save_image

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install -r requirements.lock")

from ss_poc.bulk import predict  # noqa: E402
from ss_poc.bulk.command import main  # noqa: E402
from ss_poc.bulk.store import Store  # noqa: E402

COUNT = 40
FILES = ("coco.json", "rle.csv")


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """A folder with a run (`result`), photographs (`photos`) and what one run over all of them writes (`whole`)."""
    folder = tmp_path_factory.mktemp("bulk")
    bright_model.make_run(folder / "result")
    bright_model.make_photographs(folder / "photos", COUNT)
    assert main(flags(folder, "whole")) == 1
    return folder


def flags(work: Path, output: str | Path, *more: str) -> list[str]:
    return [str(work / "photos"), "--img_dir_name", "tiny", "--result", str(work / "result"), "--output",
            str(work / output), *more]


def read(work: Path, output: str | Path) -> tuple[list[bytes], list[dict]]:
    """The bytes of coco.json and rle.csv, and the rows of predictions.parquet."""
    return [(work / output / name).read_bytes() for name in FILES], \
        parquet.read_table(work / output / "predictions.parquet").to_pylist()


def begun_here(words: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Photographs that this process begins."""
    begun, real = [], predict.predicted_rows
    monkeypatch.setattr(predict, "predicted_rows", lambda *given: begun.append(given[1]) or real(*given))
    main(words)
    return begun


def begun_by(words: list[str], log: Path, killed_at: int, how: int = signal.SIGKILL) -> list[str]:
    """Photographs that a process begins, which is killed as it begins the one of this number.

    It writes a piece after every fifth photograph.
    """
    script = f"""
import os
from ss_poc.bulk import growing, predict
growing.PIECE_PHOTOGRAPHS = 5
real, begun = predict.predicted_rows, []
def spied(predictor, name, *rest):
    begun.append(name)
    open({str(log)!r}, "a").write(name + "\\n")
    if len(begun) == {killed_at}:
        os.kill(os.getpid(), {int(how)})
    return real(predictor, name, *rest)
predict.predicted_rows = spied
from ss_poc.bulk.command import main
main({words!r})
"""
    log.write_text("")
    done = subprocess.run([sys.executable, "-c", script], text=True, capture_output=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(SOURCE)})
    assert done.returncode in (-how, 128 + how), done.stderr
    return log.read_text().splitlines()


# --- rows


def test_rows_say_what_was_found_on_a_photograph(work):
    rows = {(row["image"], row["label"]): row for row in read(work, "whole")[1]}
    two = rows["line-0/사진 002.png", "dark"]
    # Two boxes of 4x6 pixels that begin at (1, 8) and (9, 8): red is 0 there, so the probability of "dark" is 1.
    assert json.loads(two["objects"]) == [{"score": 1.0, "area": 24, "bbox": [1, 8, 6, 4]},
                                          {"score": 1.0, "area": 24, "bbox": [9, 8, 6, 4]}]
    assert (two["score"], two["verdict"], two["height"], two["width"], two["error"]) == (1.0, True, 32, 64, None)
    assert json.loads(two["annotation"])["area"] == 48 and json.loads(two["annotation"])["category_id"] == 8
    none = rows["line-0/사진 000.png", "dark"]
    assert (none["objects"], none["verdict"], none["annotation"], none["score"]) == ("[]", False, None, 0.0)


def test_rows_and_coco_json_have_the_probability_of_a_defect_where_the_model_can_tell(work, tmp_path):
    assert {row["probability"] for row in read(work, "whole")[1]} == {None}
    assert not any("probability" in image for image in json.loads(read(work, "whole")[0][0])["images"])
    paths = bright_model.make_run(tmp_path / "result")
    write_json(paths.operating_point, {"thresholds": {"bright": 0, "dark": 0},
                                       "probability": {"factor": 0.1, "offset": 0}})
    (tmp_path / "photos").symlink_to(work / "photos")
    assert main(flags(tmp_path, "out")) == 1
    files, rows = read(tmp_path, "out")
    # Every photograph has a pixel with a probability of 1, a million to one: to the power of a tenth 3.981 : 1.
    assert {row["probability"] for row in rows if row["error"] is None} == {0.7992}
    assert {row["probability"] for row in rows if row["error"]} == {None}
    assert {image["probability"] for image in json.loads(files[0])["images"]} == {0.7992}


def test_a_photograph_that_cannot_be_read_is_one_row_with_the_reason(work):
    files, rows = read(work, "whole")
    broken = [row for row in rows if row["error"] is not None]
    assert [row["image"] for row in broken] == [f"line-{n % 2}/사진 {n:03d}.png" for n in (6, 20, 34, 13, 27)]
    assert all(row["error"] == "this file is no image" and row["label"] is None for row in broken)
    assert len(rows) == 2 * (COUNT - 5) + 5 and b"006.png" not in files[0] + files[1]


def test_photographs_are_in_the_order_of_paths(work, tmp_path):
    # As texts "a-b/1.png" would come before "a/1.png": a hyphen is before a slash.
    for name in ("a-b/1.png", "a/1.png", "a/0.png", "B.png"):
        save_image(tmp_path / "photos" / name, bright_model.photograph(1))
    (tmp_path / "result").symlink_to(work / "result")
    assert main(flags(tmp_path, "out")) == 0
    images = json.loads((tmp_path / "out/coco.json").read_text())["images"]
    assert [(image["id"], image["file_name"]) for image in images] == [
        (1, "B.png"), (2, "a/0.png"), (3, "a/1.png"), (4, "a-b/1.png")]


# --- shards


def test_the_union_of_7_shards_is_the_unsharded_result(work, capsys):
    for number in (5, 1, 7, 2, 3, 6, 4):
        assert main(flags(work, "seven", "--shard", f"{number}/7")) == 0
    assert main(["collect", str(work / "seven")]) == 1
    told = capsys.readouterr()
    assert "35 images, 35 with a defect, 5 not read" in told.out
    assert told.err.count("not read: line-") == 5
    assert read(work, "seven") == read(work, "whole")


def test_a_finished_shard_is_skipped(work, capsys):
    words = flags(work, "twice", "--shard", "2/3")
    assert main(words) == 0
    part = work / "twice/parts/part-00002-of-00003.parquet"
    before = part.stat()
    assert main(words) == 0
    assert "shard 2/3: was done already" in capsys.readouterr().out
    assert (part.stat().st_ino, part.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("variable", ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID"])
def test_a_scheduler_says_which_shard_it_is(work, tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    assert main(flags(work, tmp_path, "--shards", "4")) == 0
    assert [path.name for path in (tmp_path / "parts").iterdir()] == ["part-00002-of-00004.parquet"]


def test_one_shard_of_one_is_a_part_to_collect_too(work, tmp_path, monkeypatch):
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    assert main(flags(work, tmp_path, "--shards", "1")) == 0 and not (tmp_path / "coco.json").exists()
    assert main(["collect", str(tmp_path)]) == 1
    assert read(work, tmp_path) == read(work, "whole")


def test_a_shard_without_a_photograph_is_a_part_without_rows(tmp_path, work):
    save_image(tmp_path / "photos/a.png", bright_model.photograph(1))
    (tmp_path / "result").symlink_to(work / "result")
    for number in range(1, 5):
        assert main(flags(tmp_path, "out", "--shard", f"{number}/4")) == 0
    assert main(["collect", str(tmp_path / "out")]) == 0
    assert [row["label"] for row in read(tmp_path, "out")[1]] == ["bright", "dark"]


def test_shard_17_of_16_is_one_sentence(work):
    done = stage("predict", *flags(work, "none", "--shard", "17/16"), cwd=work, check=False)
    assert done.returncode == 2 and done.stderr.startswith("error: shard is '17/16'\n") and not (work / "none").exists()


# --- kills


@pytest.mark.parametrize(("shard", "count"), [([], COUNT), (["--shard", "1/1"], COUNT)])
def test_a_run_that_is_killed_again_and_again_repeats_nothing_that_is_done(work, tmp_path, monkeypatch, shard, count):
    words, log = flags(work, tmp_path / "out", *shard), tmp_path / "log"
    first, second = begun_by(words, log, killed_at=8), begun_by(words, log, killed_at=8)
    # Of the seven that were done five were in a piece.
    assert len(first) == 8 and second[0] == first[5]
    last = begun_here(words, monkeypatch)
    assert last[0] == second[5] and len(last) == count - 10
    assert not shard or main(["collect", str(tmp_path / "out")]) == 1
    assert read(work, tmp_path / "out") == read(work, "whole")
    left = [path.name for path in (tmp_path / "out").rglob("*")]
    assert not [name for name in left if ".tmp.part" in name or name.endswith(".lock")]
    assert ".parts" not in left and ("parts" in left) == bool(shard)


def test_a_shard_that_is_told_to_end_keeps_all_it_has_done(work, tmp_path, monkeypatch):
    words, log = flags(work, tmp_path / "out", "--shard", "1/2"), tmp_path / "log"
    first = begun_by(words, log, killed_at=8, how=signal.SIGTERM)
    assert begun_here(words, monkeypatch)[0] == first[7]


def test_a_whole_run_begins_anew_where_one_of_another_model_was_interrupted(work, tmp_path):
    bright_model.make_run(tmp_path / "result", gain=510.0)
    (tmp_path / "photos").symlink_to(work / "photos")
    begun_by(flags(tmp_path, work / "begun"), tmp_path / "log", killed_at=8)
    assert list((work / "begun/.parts").glob("*.parquet"))
    assert main(flags(work, "begun")) == 1
    assert read(work, "begun") == read(work, "whole")


# --- two at once, other makers, other photographs


def test_two_processes_that_make_the_same_part_are_told_apart(work, tmp_path):
    store = Store(str(tmp_path))
    with store.claim("parts/part-00001-of-00002.parquet.lock", "shard 1/2"):
        with pytest.raises(ArtifactError, match="shard 1/2 is being made by another process already"):
            main(flags(work, tmp_path, "--shard", "1/2"))
        assert main(flags(work, tmp_path, "--shard", "2/2")) == 0
    assert main(flags(work, tmp_path, "--shard", "1/2")) == 0
    assert main(["collect", str(tmp_path)]) == 1
    assert read(work, tmp_path) == read(work, "whole")


@pytest.mark.parametrize(("more", "told"), [(["--threshold", "0.3"], "threshold None and 0.3"),
                                            (["--engine", "openvino"], "engine onnxruntime and openvino"),
                                            (["--model_name", "v_2"], "model tiny v_1 and tiny v_2, graph ")])
def test_parts_of_another_model_engine_or_threshold_are_refused(work, tmp_path, more, told):
    if not (work / "result/tiny/segment/v_2").exists():
        bright_model.make_run(work / "result", "v_2", gain=300.0)
    assert main(flags(work, tmp_path, "--shard", "1/2")) == 0
    with pytest.raises(ArtifactError, match="was made otherwise"):
        main(flags(work, tmp_path, "--shard", "1/2", *more))
    assert main(flags(work, tmp_path, "--shard", "2/2", *more)) == 0
    with pytest.raises(ArtifactError) as caught:
        main(["collect", str(tmp_path)])
    assert told in str(caught.value) and "--shard 2/2" in str(caught.value)


def test_photographs_that_came_later_are_predicted_by_the_same_command(tmp_path, work, capsys):
    (tmp_path / "result").symlink_to(work / "result")
    for number in range(8):
        save_image(tmp_path / f"photos/{number}.png", bright_model.photograph(number % 4))
    assert main(flags(tmp_path, "out", "--shard", "1/2")) == 0
    save_image(tmp_path / "photos/8.png", bright_model.photograph(1))
    (tmp_path / "photos/0.png").unlink()
    assert main(flags(tmp_path, "out", "--shard", "2/2")) == 0
    with pytest.raises(ArtifactError, match="the shards did not see the same photographs"):
        main(["collect", str(tmp_path / "out")])
    for number in (1, 2):
        assert main(flags(tmp_path, "out", "--shard", f"{number}/2")) == 0
    assert main(["collect", str(tmp_path / "out")]) == 0 and main(flags(tmp_path, "whole")) == 0
    assert read(tmp_path, "out") == read(tmp_path, "whole")


# --- photographs of another camera


def photographs_of(folder: Path, *sizes_hw: tuple[int, int]) -> None:
    for number, size_hw in enumerate(sizes_hw):
        save_image(folder / f"photos/{number}.png", np.full((*size_hw, 3), 255, np.uint8))


def test_photographs_with_far_more_pixels_than_any_that_trained_are_told(tmp_path, capsys):
    bright_model.make_run(tmp_path / "result", scale=1.0)
    # 32x64 trained: 2048 pixels. 48x64 are 3072, not more than 1.5 times as many; 49x64 and 40x100 are more.
    photographs_of(tmp_path, (32, 64), (48, 64), (49, 64), (40, 100))
    assert main(flags(tmp_path, "out")) == 0
    told = capsys.readouterr().err
    assert "2 of 4 photographs have more than 1.5 times the pixels" in told
    assert "up to 100x40, in training 64x32" in told and "shrink them" in told


@pytest.mark.parametrize(("scale", "survey", "size_hw"), [
    (1.0, {"largest_hw": [32, 64]}, (48, 64)), (0.0, {"largest_hw": [32, 64]}, (64, 128)), (1.0, {}, (64, 128))],
    ids=["alike", "squeezed to one size", "trained by an early version"])
def test_photographs_are_not_called_larger_where_it_says_nothing(tmp_path, capsys, scale, survey, size_hw):
    paths = bright_model.make_run(tmp_path / "result", scale=scale)
    write_json(paths.run_json, {"status": "finished", "survey": survey})
    photographs_of(tmp_path, size_hw)
    assert main(flags(tmp_path, "out")) == 0
    assert "times the pixels" not in capsys.readouterr().err


# --- disk, settings


def test_a_full_disk_is_one_sentence_and_loses_nothing_that_is_done(work, tmp_path):
    small = tmp_path / "small"
    with disk(small, 64):
        (small / "filler").write_bytes(bytes(60 * 1024))
        words = flags(work, small, "--shard", "1/1", "--no_overlays")
        done = stage("predict", *words, cwd=work, check=False)
        assert done.returncode == 1 and "error: the disk is full" in done.stderr and "Traceback" not in done.stderr
        (small / "filler").unlink()
        assert main(words) == 0
        assert main(["collect", str(small)]) == 1
        assert read(work, small) == read(work, "whole")


def test_no_overlays_writes_none(work, tmp_path):
    assert main(flags(work, tmp_path, "--no_overlays")) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coco.json", "predictions.parquet", "rle.csv"]
    assert len(list((work / "whole/overlay").iterdir())) == COUNT - 5


@pytest.mark.parametrize("more", [["--cluster", "ray", "--shard", "1/2"], ["--cluster", "ray", "--rank"],
                                  ["--address", "auto"], ["--actors", "2"], ["--cluster", "ray", "--actors", "0"]])
def test_settings_that_contradict_each_other_are_refused(work, tmp_path, more):
    with pytest.raises(ConfigError):
        main(flags(work, tmp_path, *more))
