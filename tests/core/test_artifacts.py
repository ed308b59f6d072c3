"""ss_poc.core.files, run, model_spec, rules_file, deployed: paths, files between the stages, writing whole files."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import disk

from ss_poc.core.config import Rule
from ss_poc.core.deployed import deploy_folder
from ss_poc.core.errors import ArtifactError
from ss_poc.core.files import atomic_path, read_json, remove_leftovers, sha256_file, write_csv, write_json, write_text
from ss_poc.core.model_spec import ModelSpec, read_spec
from ss_poc.core.rules_file import read_rules, write_rules
from ss_poc.core.run import RunPaths, data_path, find_json, read_run, update_run

SOURCE = Path(__file__).resolve().parents[2] / "src"
RULES = [Rule("scratch", "#ff0000", (64, 96), 0.35, 2, 17, True, 0.8125),
         Rule("흠집, \"깊은\"", "#0000ff", (64, 96), 0.5, 0, 0, False, float("nan"))]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def free_pid() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@pytest.fixture
def paths(tmp_path) -> RunPaths:
    return RunPaths(tmp_path / "result", "tiles", "v_1")


# --- paths


def test_a_run_lies_where_the_documentation_says():
    paths = RunPaths(Path("result"), "tiles", "v_1")
    folder = "result/tiles/segment/v_1"
    found = (paths.folder, paths.run_json, paths.log, paths.graph, paths.model, paths.export, paths.valid, paths.rules,
             paths.prediction)
    assert [path.as_posix() for path in found] == [folder] + [f"{folder}/{name}" for name in (
        "run.json", "log/log.out", "graph", "model", "export", "valid", "valid/valid_post_grid.csv", "prediction")]
    assert deploy_folder(Path("deploy"), "v_1").as_posix() == "deploy/KerasSegmentationService/segment/v_1"


def test_a_run_that_is_there_is_given_back(paths):
    write_json(paths.run_json, {})
    assert paths.require() is paths


def test_a_run_that_is_not_there_is_refused_with_those_that_are(paths):
    for name in ("v_2", "v_3"):
        write_json(replace(paths, model_name=name).run_json, {})
    (paths.folder / "model").mkdir(parents=True)  # begun, but without a run.json it is none
    with pytest.raises(ArtifactError, match="there is no run") as refused:
        paths.require()
    assert refused.value.fix.endswith("tiles/segment/v_2, tiles/segment/v_3")


def test_no_run_at_all_is_said(paths):
    with pytest.raises(ArtifactError, match="none yet"):
        paths.require()
    with pytest.raises(ArtifactError, match="none yet"):
        read_run(paths)


def test_the_best_model_is_the_one_that_training_named(paths):
    write_json(paths.model / "state.json", {"best_model": "model_3_0.5.keras"})
    with pytest.raises(ArtifactError, match="model_3_0.5.keras is missing"):
        paths.best_model()
    (paths.model / "model_3_0.5.keras").write_bytes(b"x")
    assert paths.best_model() == paths.model / "model_3_0.5.keras"


@pytest.mark.parametrize("state", [{}, [], {"best_model": 3}, None])
def test_a_state_that_names_no_model_is_refused(paths, state):
    write_json(paths.model / "state.json", state)
    with pytest.raises(ArtifactError, match="state.json"):
        paths.best_model()


# --- the newest json


def test_the_newest_json_is_found_by_its_time(tmp_path):
    for name, seconds in (("b.json", 300), ("c.json", 100), ("a.json", 200)):
        write_text(tmp_path / ".exports" / name, "{}")
        os.utime(tmp_path / ".exports" / name, (seconds, seconds))
    write_text(tmp_path / ".exports" / "z.txt", "newer, but no json")
    write_text(tmp_path / "other.json", "newer, but not exported")
    assert find_json(tmp_path) == tmp_path / ".exports" / "b.json"


def test_among_jsons_of_one_time_the_last_name_is_taken(tmp_path):
    for name in ("coco-1.json", "coco-2.json"):
        write_text(tmp_path / ".exports" / name, "{}")
        os.utime(tmp_path / ".exports" / name, (5, 5))
    assert find_json(tmp_path).name == "coco-2.json"


def test_the_json_of_a_roboflow_folder_counts(tmp_path):
    write_text(tmp_path / "_annotations.coco.json", "{}")
    assert find_json(tmp_path).name == "_annotations.coco.json"


def test_a_folder_without_a_json_is_refused(tmp_path):
    (tmp_path / ".exports").mkdir()
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ArtifactError, match="no COCO json"):
            find_json(folder)


# --- whole files only


def test_a_file_appears_when_the_block_ends_and_not_before(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists() and temporary.parent == path.parent
    assert path.read_text() == "new" and names(path.parent) == ["a.txt"]


def test_a_block_that_raises_leaves_the_old_file_whole_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="stop"), atomic_path(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("stop")
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "export"
    path.mkdir()
    (path / "old").write_text("1")
    with atomic_path(path) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("2")
        assert names(path) == ["old"]
    assert names(path) == ["new"] and names(tmp_path) == ["export"]


def test_a_block_that_raises_leaves_the_old_folder_whole(tmp_path):
    path = tmp_path / "export"
    path.mkdir()
    (path / "old").write_text("1")
    with pytest.raises(KeyboardInterrupt), atomic_path(path) as temporary:
        (temporary / "deep").mkdir(parents=True)
        (temporary / "deep" / "new").write_text("2")
        raise KeyboardInterrupt
    assert (path / "old").read_text() == "1" and names(tmp_path) == ["export"]


def test_a_block_that_wrote_nothing_leaves_the_old_folder_whole(tmp_path):
    path = tmp_path / "export"
    path.mkdir()
    (path / "old").write_text("1")
    with pytest.raises(FileNotFoundError), atomic_path(path):
        pass
    assert names(path) == ["old"] and names(tmp_path) == ["export"]


def test_a_file_does_not_take_the_place_of_a_folder(tmp_path):
    path = tmp_path / "run.json"
    path.mkdir()
    (path / "old").write_text("1")
    with pytest.raises(OSError), atomic_path(path) as temporary:
        temporary.write_text("new")
    assert (path / "old").read_text() == "1" and names(tmp_path) == ["run.json"]


def test_a_folder_does_not_take_the_place_of_a_file(tmp_path):
    path = tmp_path / "export"
    path.write_text("old")
    with pytest.raises(OSError), atomic_path(path) as temporary:
        temporary.mkdir()
    assert path.read_text() == "old" and names(tmp_path) == ["export"]


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one_there(tmp_path, monkeypatch):
    path, real = tmp_path / "export", os.replace
    path.mkdir()
    (path / "old").write_text("1")

    def fail_for_the_new(source, target):
        if Path(target) == path and (Path(source) / "new").exists():
            raise OSError(errno.EIO, "no")
        real(source, target)

    monkeypatch.setattr(os, "replace", fail_for_the_new)
    with pytest.raises(OSError), atomic_path(path) as temporary:
        temporary.mkdir()
        (temporary / "new").write_text("2")
    assert names(path) == ["old"] and names(tmp_path) == ["export"]


def test_what_a_killed_process_of_the_same_number_left_is_no_obstacle(tmp_path):
    leftover = tmp_path / f".{os.getpid()}.tmp.export"  # in containers numbers start anew
    leftover.mkdir()
    (leftover / "half").write_text("x")
    with atomic_path(tmp_path / "export") as temporary:
        temporary.mkdir()
    assert names(tmp_path) == ["export"] and names(tmp_path / "export") == []


def test_a_killed_writer_leaves_the_old_file_whole_and_its_leftover_is_removed(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    script = ("import sys, time\nfrom pathlib import Path\nfrom ss_poc.core.files import atomic_path\n"
              "with atomic_path(Path(sys.argv[1])) as temporary:\n"
              "    temporary.write_text('half')\n    print('writing', flush=True)\n    time.sleep(60)\n")
    with subprocess.Popen([sys.executable, "-c", script, str(path)], env={**os.environ, "PYTHONPATH": str(SOURCE)},
                          stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "writing\n"
        remove_leftovers(tmp_path)
        assert len(names(tmp_path)) == 2  # it is still being written
        process.send_signal(signal.SIGKILL)
    assert path.read_text() == "old" and len(names(tmp_path)) == 2
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["a.txt"]


def test_only_leftovers_of_the_dead_are_removed_at_any_depth(tmp_path):
    dead, here = free_pid(), os.getpid()
    folder = tmp_path / "model"
    (folder / f".{dead}.tmp.export" / "deep").mkdir(parents=True)
    (folder / f".{dead}.tmp.export" / "deep" / "x").write_text("x")
    for name in (f".{dead}.tmp.a", f".{here}.tmp.a", ".mine.tmp.a", "a.tmp.b", ".hidden"):
        (folder / name).write_text("x")
    remove_leftovers(tmp_path)
    assert names(folder) == sorted([f".{here}.tmp.a", ".mine.tmp.a", "a.tmp.b", ".hidden"])


# --- a full disk


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 64 KiB."""
    with disk(tmp_path / "disk", 64):
        yield tmp_path / "disk"


def test_a_full_disk_keeps_the_old_file_whole_and_leaves_nothing(small_disk):
    path = small_disk / "a.json"
    write_json(path, [1])
    with pytest.raises(OSError) as full:
        write_json(path, ["x" * 100_000])
    assert full.value.errno == errno.ENOSPC
    assert read_json(path) == [1] and names(small_disk) == ["a.json"]
    write_json(path, [2])
    assert read_json(path) == [2]


def test_a_full_disk_keeps_the_old_folder_whole_and_leaves_nothing(small_disk):
    path = small_disk / "export"
    with atomic_path(path) as temporary:
        temporary.mkdir()
        (temporary / "graph").write_bytes(b"o" * 5_000)
    with pytest.raises(OSError) as full, atomic_path(path) as temporary:
        temporary.mkdir()
        (temporary / "graph").write_bytes(b"n" * 100_000)
    assert full.value.errno == errno.ENOSPC
    assert (path / "graph").read_bytes() == b"o" * 5_000 and names(small_disk) == ["export"]


def test_a_disk_that_fills_up_while_it_is_flushed_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        write_text(path, "new")
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


# --- text, json, csv


def test_text_is_utf8_whatever_the_locale(tmp_path):
    write_text(tmp_path / "a", "흠집 é\n")
    assert (tmp_path / "a").read_bytes() == "흠집 é\n".encode()


def test_json_writes_nan_as_null_and_letters_as_they_are(tmp_path):
    write_json(tmp_path / "a.json", {"a": float("nan"), 7: [(1.5, float("nan"))], "흠집": None, "b": True})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"a": None, "7": [[1.5, None]], "흠집": None, "b": True}
    assert "흠집" in text and "NaN" not in text


def test_json_writes_a_settings_object_as_its_fields(tmp_path):
    write_json(tmp_path / "a.json", {"rules": [RULES[0]]})
    assert read_json(tmp_path / "a.json")["rules"][0] == {
        "label": "scratch", "color": "#ff0000", "size_hw": [64, 96], "proba": 0.35, "pad": 2, "reduce_size": 17,
        "convex": True, "dice": 0.8125}


@pytest.mark.parametrize("value", [float("inf"), {1, 2}, object()])
def test_what_is_no_json_keeps_the_old_file(tmp_path, value):
    write_json(tmp_path / "a.json", 1)
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == 1 and names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe{}", b"[" * 100_000, b"not json"])
def test_a_damaged_json_is_refused(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ArtifactError, match="a.json is no json") as refused:
        read_json(tmp_path / "a.json")
    assert refused.value.fix


def test_a_missing_json_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(ArtifactError, match="a.json is missing") as refused:
        read_json(tmp_path / "a.json")
    assert "first" in refused.value.fix


def test_csv_has_its_header_first_and_floats_of_six_decimals(tmp_path):
    write_csv(tmp_path / "a.csv", ("epoch", "loss", "name"), [(1, 0.5, "a,b"), (2, 1 / 3, 'say "흠"')])
    assert (tmp_path / "a.csv").read_bytes().decode() == (
        'epoch,loss,name\n1,0.500000,"a,b"\n2,0.333333,"say ""흠"""\n')


def test_csv_of_no_rows_is_its_header_and_the_delimiter_may_differ(tmp_path):
    write_csv(tmp_path / "a.csv", ("epoch", "loss"), [], delimiter=";")
    assert (tmp_path / "a.csv").read_text() == "epoch;loss\n"


# --- rules


def test_rules_csv_is_the_documented_one(tmp_path):
    write_rules(tmp_path / "valid_post_grid.csv", RULES)
    assert (tmp_path / "valid_post_grid.csv").read_text(encoding="utf-8") == (
        "label,color,size,proba,pad,reduce_size,convex,dice\n"
        "scratch,#ff0000,64x96,0.350000,2,17,1,0.812500\n"
        '"흠집, ""깊은""",#0000ff,64x96,0.500000,0,0,0,nan\n')


@pytest.mark.parametrize("name", ["valid_post_grid.csv", "rules.json"])
def test_rules_come_back_as_they_were(tmp_path, name):
    write_rules(tmp_path / name, RULES)
    found = read_rules(tmp_path / name)
    assert found[0] == RULES[0] and replace(found[1], dice=0.0) == replace(RULES[1], dice=0.0)
    assert math.isnan(found[1].dice)
    assert [type(value) for value in (found[0].pad, found[0].convex, found[0].proba)] == [int, bool, float]


def test_rules_json_holds_null_for_a_score_nobody_knows(tmp_path):
    write_rules(tmp_path / "rules.json", RULES)
    assert read_json(tmp_path / "rules.json")[1] == {
        "label": "흠집, \"깊은\"", "color": "#0000ff", "size": "64x96", "proba": 0.5, "pad": 0, "reduce_size": 0,
        "convex": 0, "dice": None}


def test_rules_edited_by_a_user_are_read(tmp_path):
    path = tmp_path / "valid_post_grid.csv"
    write_rules(path, RULES)
    text = path.read_text(encoding="utf-8").replace("0.350000,2,17,1", "0.9,5,1000,0").replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())  # as a spreadsheet saves it
    assert read_rules(path)[0] == Rule("scratch", "#ff0000", (64, 96), 0.9, 5, 1000, False, 0.8125)


@pytest.mark.parametrize(("old", "new"), [
    ("64x96", "64x95"), ("64x96", "big"), ("64x96", ""), ("0.350000", "x"), ("0.350000", "nan"), ("0.350000", "0"),
    ("0.350000", "-0.5"), ("0.350000", "35"), ("0.350000", ""), (",2,17", ",-2,17"), (",2,17", ",2.5,17"),
    (",2,17", ",2,-1"), (",2,17", ",9999999,17"), (",17,1,", ",17,yes,"), (",17,1,", ",17,7,"), ("#ff0000", "red"),
    ("#ff0000", "#ff00"), ("scratch,", ","), ("0.812500", "good"),
    ("scratch,#ff0000,64x96,0.350000,2,17,1,0.812500", "scratch"), ("label,color", "color,label"),
    ("label,", ""), ("label,color,size,proba,pad,reduce_size,convex,dice\n", ""), (",", ";")])
def test_rules_edited_into_nonsense_are_refused_by_file(tmp_path, old, new):
    path = tmp_path / "valid_post_grid.csv"
    write_rules(path, RULES)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ArtifactError, match="valid_post_grid.csv"):
        read_rules(path)


@pytest.mark.parametrize("content", [b"", b"\xc8\xeb\xc1\xfd,\xff\n", b"label,color\0,size\n"])
def test_a_csv_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(ArtifactError, match="a.csv"):
        read_rules(tmp_path / "a.csv")


@pytest.mark.parametrize("value", [{}, [[]], ["scratch"], 7, None, [{"label": "a"}], [{"proba": "x"}]])
def test_a_rules_json_of_another_shape_is_refused(tmp_path, value):
    write_json(tmp_path / "rules.json", value)
    with pytest.raises(ArtifactError, match="rules.json"):
        read_rules(tmp_path / "rules.json")


@pytest.mark.parametrize(("name", "value"), [("label", 3), ("color", None), ("size", [64, 96]), ("pad", None),
                                             ("convex", 2), ("proba", [0.5]), ("reduce_size", 1e999)])
def test_a_rules_json_with_a_value_of_another_kind_is_refused(tmp_path, name, value):
    write_rules(tmp_path / "rules.json", RULES)
    rows = read_json(tmp_path / "rules.json")
    rows[0][name] = value
    (tmp_path / "rules.json").write_text(json.dumps(rows))
    with pytest.raises(ArtifactError, match="rules.json"):
        read_rules(tmp_path / "rules.json")


@pytest.mark.parametrize("name", ["valid_post_grid.csv", "rules.json"])
def test_missing_rules_are_refused(tmp_path, name):
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        read_rules(tmp_path / name)


# --- run.json


def test_updating_a_run_replaces_sections_and_keeps_the_others(paths):
    update_run(paths, config={"epoch": 3}, scores={"dice": 0.1})
    update_run(paths, scores={"iou": 0.2}, export=None)
    assert read_run(paths) == {"config": {"epoch": 3}, "scores": {"iou": 0.2}, "export": None}


def test_a_damaged_run_json_is_refused_and_not_written_over(paths):
    write_text(paths.run_json, '{"config": {"ep')
    with pytest.raises(ArtifactError, match="run.json is no json"):
        update_run(paths, scores={})
    assert paths.run_json.read_text() == '{"config": {"ep'


# --- the spec of a graph


GRAPH = b"graph of a network"
SPEC = ModelSpec("tiles", "v_1", ("scratch", "흠집"), ("#ff0000", "#0000ff"), (2, 7), (64, 96), "compact/compact16",
                 hashlib.sha256(GRAPH).hexdigest())


@pytest.fixture
def exported(tmp_path) -> Path:
    (tmp_path / "model.onnx").write_bytes(GRAPH)
    write_json(tmp_path / "model.json", SPEC)
    return tmp_path


def test_a_spec_comes_back_as_it_was(exported):
    assert read_spec(exported) == SPEC


def test_checksum_is_sha256(exported):
    (exported / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256_file(exported / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    large = b"x" * (2**20 + 1)
    (exported / "abc").write_bytes(large)
    assert sha256_file(exported / "abc") == hashlib.sha256(large).hexdigest()


@pytest.mark.parametrize("content", [b"", GRAPH[:-1], GRAPH + b"\0", b"another graph"])
def test_a_graph_of_another_checksum_is_refused(exported, content):
    (exported / "model.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match="model.onnx has the checksum") as refused:
        read_spec(exported)
    assert SPEC.sha256[:12] in refused.value.expected and "damaged or foreign" in refused.value.fix


@pytest.mark.parametrize("name", ["model.onnx", "model.json"])
def test_a_missing_part_is_named(exported, name):
    (exported / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        read_spec(exported)


def test_a_damaged_spec_is_refused(exported):
    text = (exported / "model.json").read_text(encoding="utf-8")
    (exported / "model.json").write_text(text[:-9], encoding="utf-8")
    with pytest.raises(ArtifactError, match="model.json is no json"):
        read_spec(exported)


@pytest.mark.parametrize("change", [
    {"labels": None}, {"labels": 3}, {"labels": ["scratch"]}, {"colors": []}, {"category_ids": [2]}, {"size_hw": 64},
    {"size_hw": [64]}, {"extra": 1}])
def test_a_foreign_spec_is_refused(exported, change):
    write_json(exported / "model.json", {**read_json(exported / "model.json"), **change})
    with pytest.raises(ArtifactError, match="model.json is not a spec of ours"):
        read_spec(exported)


@pytest.mark.parametrize("values", [{}, [], "text", 7, None])
def test_a_json_that_is_no_spec_at_all_is_refused(exported, values):
    write_json(exported / "model.json", values)
    with pytest.raises(ArtifactError, match="model.json"):
        read_spec(exported)


@pytest.mark.parametrize("name", ["name", "version", "labels", "size_hw", "sha256"])
def test_a_spec_without_one_of_its_values_is_refused(exported, name):
    values = read_json(exported / "model.json")
    del values[name]
    write_json(exported / "model.json", values)
    with pytest.raises(ArtifactError, match="not a spec of ours"):
        read_spec(exported)


@pytest.mark.parametrize("digest", [7, None, "", "0" * 64])
def test_a_spec_with_a_checksum_of_nothing_is_refused(exported, digest):
    write_json(exported / "model.json", {**read_json(exported / "model.json"), "sha256": digest})
    with pytest.raises(ArtifactError, match="has the checksum"):
        read_spec(exported)


# --- where a run's data lie


@pytest.mark.parametrize(("given", "kept"), [
    ("coco-annotator/datasets/demo", "coco-annotator/datasets/demo"), ("../photos", "../photos"),
    ("./부품 사진/", "부품 사진"), ("{project}/photos", "photos"), ("/elsewhere/photos", "/elsewhere/photos")])
def test_data_are_kept_so_that_a_run_means_the_same_where_the_project_has_another_place(tmp_path, monkeypatch, given,
                                                                                     kept):
    project, other = tmp_path / "project", tmp_path / "app"
    for folder in (project, other):
        folder.mkdir()
    monkeypatch.chdir(project)
    paths = RunPaths(Path("result"), "x", "v_1")
    stored = data_path(paths, given.replace("{project}", str(project)))
    assert stored == kept
    update_run(paths, data={"img_path": stored, "json_path": stored})
    shutil.copytree(project / "result", other / "result")
    monkeypatch.chdir(tmp_path)
    found = read_run(RunPaths(other / "result", "x", "v_1"))["data"]
    assert found["img_path"] == found["json_path"] == os.path.normpath(other / kept)
