"""ss_poc.core.files: writing that leaves whole files only, and text, json and csv."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import disk

from ss_poc.core import files
from ss_poc.core.config import Rule
from ss_poc.core.errors import ArtifactError
from ss_poc.core.files import (
    atomic_path,
    flat_names,
    read_json,
    remove_leftovers,
    remove_leftovers_of,
    write_csv,
    write_json,
    write_long_json,
    write_text,
)

SOURCE = Path(__file__).resolve().parents[2] / "src"
RULE = Rule("scratch", "#ff0000", (64, 96), 0.35, 2, 17, True, 0.8125)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def free_pid() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


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
    monkeypatch.setattr(files, "_swap", lambda *_: False)  # as on a disk that cannot
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
    remove_leftovers(tmp_path)
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
    dead, parent = free_pid(), os.getppid()
    folder = tmp_path / "model"
    (folder / f".{dead}.tmp.export" / "deep").mkdir(parents=True)
    (folder / f".{dead}.tmp.export" / "deep" / "x").write_text("x")
    kept = [f".{parent}.tmp.a", ".mine.tmp.a", "a.tmp.b", ".hidden"]
    for name in (f".{dead}.tmp.a", f".{dead}-17-0123abcd.tmp.a", *kept):
        (folder / name).write_text("x")
    with atomic_path(folder / "written now") as temporary:
        temporary.write_text("x")
        remove_leftovers(tmp_path)
        assert names(folder) == sorted([temporary.name, *kept])


def test_a_process_that_has_the_number_of_a_dead_one_is_told_from_it(tmp_path):
    # In containers numbers start anew; "-1-": as if it had started with the host.
    (tmp_path / f".{os.getpid()}-1-0123abcd.tmp.a.txt").write_text("half")
    with atomic_path(tmp_path / "a.txt") as temporary:
        temporary.write_text("x")
        remove_leftovers_of(tmp_path / "a.txt")
    assert names(tmp_path) == ["a.txt"]


def test_leftovers_of_one_file_are_removed_and_those_of_others_stay(tmp_path):
    dead = free_pid()
    for name in ("set [1]", "set 1"):
        (tmp_path / f".{dead}-17-0123abcd.tmp.{name}").write_text("half")
    remove_leftovers_of(tmp_path / "set [1]")
    assert names(tmp_path) == [f".{dead}-17-0123abcd.tmp.set 1"]


@pytest.mark.parametrize("there", [False, True])
def test_an_old_folder_whose_new_one_never_came_is_moved_back(tmp_path, there):
    aside, path = tmp_path / f".{free_pid()}-17-0123abcd.old.v_1", tmp_path / "v_1"
    (aside / "models").mkdir(parents=True)
    (aside / "models" / "graph").write_text("old")
    if there:
        path.mkdir()
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["v_1"] and names(path) == ([] if there else ["models"])


# --- several at once


def test_many_threads_write_one_file_and_one_of_them_is_whole_in_the_end(tmp_path):
    path = tmp_path / "a.txt"

    def write(number: int) -> None:
        for _ in range(50):
            write_text(path, str(number) * 5000)

    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(write, range(8))] == [None] * 8
    assert path.read_text() in {str(number) * 5000 for number in range(8)} and names(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("can_swap", [True, False])
def test_a_reader_finds_a_whole_folder_while_threads_replace_it(tmp_path, monkeypatch, can_swap):
    path, done = tmp_path / "v_1", []
    if not can_swap:
        monkeypatch.setattr(files, "_swap", lambda *_: False)

    def write(number: int) -> None:
        for _ in range(20):
            with atomic_path(path) as temporary:
                temporary.mkdir()
                for name in ("a", "b"):
                    (temporary / name).write_text(str(number))
            done.append(number)

    write(0)
    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, number) for number in range(4 if can_swap else 1)]
        while not all(writer.done() for writer in writers):
            assert not can_swap or path.is_dir()
        for writer in writers:
            writer.result()
    assert (path / "a").read_text() == (path / "b").read_text() and names(tmp_path) == ["v_1"]


# --- pictures of many folders side by side


@pytest.mark.parametrize(("given", "expected"), [
    (["sub/photo.png", "b.jpg"], ["sub__photo", "b"]),
    (["a.jpg", "a.png"], ["a.jpg", "a.png"]),
    (["s/b.png", "s__b.png"], ["s__b.png", "s__b.png_2"]),
    (["a.jpg", "A.JPG"], ["a.jpg_2", "A.JPG"]),
    (["a.jpg", "a.png", "a.jpg.png"], ["a.jpg_2", "a.png", "a.jpg"]),
    (["사진/흠집 1.png"], ["사진__흠집 1"]),
    (["x" * 300 + ".png", "y" * 300 + ".png"], ["x" * 180, "y" * 180]),
    (["x/" + "z" * 300 + ".png", "y/" + "z" * 300 + ".png"], ["z" * 176 + ".png", "z" * 176 + ".png_2"]),
    (["흠" * 100 + ".png"], ["흠" * 60]),
])
def test_no_two_images_get_one_file_name(given, expected):
    assert [flat_names(given)[name] for name in given] == expected


def test_file_names_keep_their_suffix_where_that_is_asked_for():
    assert flat_names(["s/b.png", "s__b.png", "b.jpg"], suffixes=True) == {
        "s/b.png": "s__b.png", "s__b.png": "s__b.png_2", "b.jpg": "b.jpg"}


def test_a_name_as_long_as_a_disk_takes_can_be_written(tmp_path):
    write_text(tmp_path / ("흠" * 85), "x")
    assert names(tmp_path) == ["흠" * 85]


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


@pytest.mark.parametrize("lists", [
    {}, {"images": []}, {"images": [], "annotations": [{"a": {"b": [1, 2.5]}, "c": []}]},
    {"흠": [1, "two\nlines", None, {"nan": float("nan")}, [], {}], "x": [[[1.0], []]]}])
def test_a_long_json_is_written_as_a_short_one(tmp_path, lists):
    write_json(tmp_path / "short.json", lists)
    write_long_json(tmp_path / "long.json", {name: iter(items) for name, items in lists.items()})
    assert (tmp_path / "long.json").read_bytes() == (tmp_path / "short.json").read_bytes()


def test_json_writes_a_settings_object_as_its_fields(tmp_path):
    write_json(tmp_path / "a.json", {"rules": [RULE]})
    assert read_json(tmp_path / "a.json")["rules"][0] == {
        "label": "scratch", "color": "#ff0000", "size_hw": [64, 96], "proba": 0.35, "pad": 2, "reduce_size": 17,
        "convex": True, "dice": 0.8125, "reach": 0.0}


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
