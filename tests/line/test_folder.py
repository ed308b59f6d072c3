"""A watched folder: each photograph is taken once, as soon as it is whole."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time

import pytest
from lines import until_so

from ss_poc.line.archive import Archive, ArchiveError
from ss_poc.line.parts import Part, identify
from ss_poc.line.settings import FolderSource
from ss_poc.line.sources import folder
from ss_poc.line.sources.folder import WatchedFolder


class Taken:
    """A folder that is watched; what was taken of it is archived at once, unless told otherwise."""

    def __init__(self, folder, **settings):
        self.folder = folder / "in"
        self.folder.mkdir(exist_ok=True)
        self.archive = Archive(f"sqlite:///{folder}/a.sqlite", "press")
        self.settings = FolderSource(**{"name": "camera", "path": self.folder, "settle": 0.15, "every": 0.05,
                                        **settings})
        self.found, self.finishes, self.lock = [], True, threading.Lock()

    def put(self, photograph):
        with self.lock:
            self.found.append(photograph)
        if self.finishes:
            key = identify(photograph.source, photograph.name, photograph.data)
            self.archive.add([Part(key, "press", photograph.source, photograph.name, photograph.taken_ms, "accept",
                                   stamp=photograph.stamp)])
            photograph.finish()
        return True

    def __enter__(self):
        self.source = WatchedFolder(self.settings, self.archive, days=1)
        self.source.start(self.put)
        return self

    def __exit__(self, *_):
        self.source.stop()
        self.archive.close()

    def names(self):
        return [photograph.name for photograph in self.found]

    def wait(self, *names):
        until_so(lambda: sorted(self.names()) == sorted(names), 10)
        time.sleep(0.3)
        assert sorted(self.names()) == sorted(names)


@pytest.fixture(params=["inotify", "polling"])
def watch(request):
    return request.param


def test_files_before_and_after_the_start_are_taken_once_and_moved(tmp_path, watch):
    taken = Taken(tmp_path, watch=watch)
    (taken.folder / "before.png").write_bytes(b"1")
    (taken.folder / "notes.txt").write_bytes(b"no photograph")
    (taken.folder / ".hidden.png").write_bytes(b"not yet")
    with taken:
        taken.wait("before.png")
        (taken.folder / "after.PNG").write_bytes(b"22")
        taken.wait("before.png", "after.PNG")
    assert [photograph.data for photograph in taken.found] == [b"1", b"22"]
    assert sorted(path.name for path in taken.folder.iterdir()) == [".hidden.png", "notes.txt"]
    assert sorted(path.name for path in (tmp_path / "in-done").iterdir()) == ["after.PNG", "before.png"]


def test_with_inotify_a_file_is_taken_when_it_is_closed_and_not_before(tmp_path):
    with Taken(tmp_path, watch="inotify", settle=60) as taken:
        until_so(lambda: taken.source._observer)
        with (taken.folder / "slow.png").open("wb") as file:
            file.write(b"half")
            file.flush()
            time.sleep(0.3)
            assert taken.names() == []
            file.write(b" whole")
        taken.wait("slow.png")
    assert taken.found[0].data == b"half whole"


@pytest.mark.parametrize("elsewhere", ["in/.part", "other/part.png"])
def test_with_inotify_a_file_is_taken_when_it_is_renamed_or_moved_in(tmp_path, elsewhere):
    with Taken(tmp_path, watch="inotify", settle=60) as taken:
        until_so(lambda: taken.source._observer)
        (tmp_path / elsewhere).parent.mkdir(exist_ok=True)
        (tmp_path / elsewhere).write_bytes(b"x")
        (tmp_path / elsewhere).rename(taken.folder / "whole.png")
        taken.wait("whole.png")


def test_with_polling_a_file_is_taken_when_it_grows_no_more(tmp_path):
    with Taken(tmp_path, watch="polling", settle=0.4) as taken, (taken.folder / "slow.png").open("wb") as file:
        for _ in range(8):
            file.write(b"x")
            file.flush()
            time.sleep(0.1)
            assert taken.names() == []
        taken.wait("slow.png")
        assert taken.found[0].data == b"x" * 8


def test_an_empty_file_is_none_yet(tmp_path, watch):
    with Taken(tmp_path, watch=watch) as taken:
        (taken.folder / "a.png").touch()
        time.sleep(0.5)
        assert taken.names() == []
        (taken.folder / "a.png").write_bytes(b"x")
        taken.wait("a.png")


def test_a_restart_repeats_nothing_that_is_kept_and_takes_what_is_new(tmp_path, watch):
    with Taken(tmp_path, watch=watch, after="keep") as taken:
        for name in ("a.png", "b.png"):
            (taken.folder / name).write_bytes(name.encode())
        taken.wait("a.png", "b.png")
    with Taken(tmp_path, watch=watch, after="keep") as again:
        (again.folder / "c.png").write_bytes(b"new")
        (again.folder / "b.png").write_bytes(b"other")
        again.wait("b.png", "c.png")
    assert sorted(path.name for path in again.folder.iterdir()) == ["a.png", "b.png", "c.png"]


def test_a_restart_puts_away_what_was_archived_but_not_yet_moved(tmp_path, watch):
    with Taken(tmp_path, watch=watch, after="keep") as taken:
        (taken.folder / "a.png").write_bytes(b"x")
        taken.wait("a.png")
    with Taken(tmp_path, watch=watch, after="delete") as again:
        until_so(lambda: not list(again.folder.iterdir()))
    assert again.names() == []


def test_what_was_not_archived_is_taken_again_after_a_restart(tmp_path, watch):
    taken = Taken(tmp_path, watch=watch)
    taken.finishes = False
    with taken:
        (taken.folder / "a.png").write_bytes(b"x")
        taken.wait("a.png")
    with Taken(tmp_path, watch=watch) as again:
        again.wait("a.png")


def test_subfolders_are_watched_where_told_and_keep_their_names(tmp_path, watch):
    with Taken(tmp_path, watch=watch, subfolders=True) as taken:
        (taken.folder / "lot").mkdir()
        (taken.folder / ".cache").mkdir()
        (taken.folder / ".cache" / "no.png").write_bytes(b"x")
        time.sleep(0.2)
        (taken.folder / "lot" / "a.png").write_bytes(b"x")
        taken.wait("lot/a.png")
    assert (tmp_path / "in-done" / "lot" / "a.png").is_file()


def test_moving_never_overwrites(tmp_path, watch):
    with Taken(tmp_path, watch=watch) as taken:
        (taken.folder / "a.png").write_bytes(b"first")
        taken.wait("a.png")
        (taken.folder / "a.png").write_bytes(b"second")
        taken.wait("a.png", "a.png")
    assert (tmp_path / "in-done" / "a.png").read_bytes() == b"first"
    assert (tmp_path / "in-done" / "a_2.png").read_bytes() == b"second"


def test_a_disk_without_links_is_moved_to_without_overwriting(tmp_path, monkeypatch):
    def link(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    with Taken(tmp_path) as taken:
        (taken.folder / "a.png").write_bytes(b"first")
        taken.wait("a.png")
        (taken.folder / "a.png").write_bytes(b"second")
        taken.wait("a.png", "a.png")
    assert [(tmp_path / "in-done" / name).read_bytes() for name in ("a.png", "a_2.png")] == [b"first", b"second"]


def test_a_move_that_was_cut_off_after_its_link_is_ended_and_leaves_one_file(tmp_path):
    (tmp_path / "in-done").mkdir()
    with Taken(tmp_path, after="keep") as taken:
        (taken.folder / "a.png").write_bytes(b"x")
        taken.wait("a.png")
    os.link(taken.folder / "a.png", tmp_path / "in-done" / "a.png")
    with Taken(tmp_path) as again:
        until_so(lambda: not list(again.folder.iterdir()))
    assert [path.name for path in (tmp_path / "in-done").iterdir()] == ["a.png"]


def test_a_file_that_cannot_be_put_away_is_taken_once_all_the_same(tmp_path, watch):
    (tmp_path / "in-done").write_bytes(b"a file where the folder should be")
    with Taken(tmp_path, watch=watch) as taken:
        (taken.folder / "a.png").write_bytes(b"x")
        taken.wait("a.png")
    assert (taken.folder / "a.png").is_file()


def test_a_share_that_goes_away_is_said_and_watched_again_when_it_is_back(tmp_path, watch, monkeypatch):
    monkeypatch.setattr(folder, "RESCAN", 0.1)
    with Taken(tmp_path, watch=watch) as taken:
        (taken.folder / "a.png").write_bytes(b"x")
        taken.wait("a.png")
        shutil.rmtree(taken.folder)
        until_so(lambda: "No such file" in taken.source.trouble)
        taken.folder.mkdir()
        (taken.folder / "b.png").write_bytes(b"x")
        taken.wait("a.png", "b.png")
        assert taken.source.trouble == ""


def test_a_file_that_changed_after_it_was_read_is_read_once_more(tmp_path, watch):
    taken = Taken(tmp_path, watch=watch)
    taken.finishes = False
    with taken:
        (taken.folder / "a.png").write_bytes(b"half")
        taken.wait("a.png")
        assert not taken.found[0].changed()
        os.truncate(taken.folder / "a.png", 2)
        assert taken.found[0].changed()
        taken.found[0].again()
        taken.wait("a.png", "a.png")
    assert taken.found[1].data == b"ha"


def test_kept_files_that_the_archive_has_forgotten_are_left_alone(tmp_path, watch):
    taken = Taken(tmp_path, watch=watch, after="keep")
    (taken.folder / "old.png").write_bytes(b"x")
    os.utime(taken.folder / "old.png", (time.time() - 2 * 86_400,) * 2)
    (taken.folder / "new.png").write_bytes(b"x")
    with taken:
        taken.wait("new.png")


def test_part_and_lot_are_read_from_the_name(tmp_path):
    with Taken(tmp_path, part=re.compile(r"(?P<lot>\w+)-(?P<part>\d+)")) as taken:
        (taken.folder / "L7-0012.png").write_bytes(b"x")
        taken.wait("L7-0012.png")
    assert (taken.found[0].lot, taken.found[0].part) == ("L7", "0012")


def test_names_that_are_no_utf_8_are_archived(tmp_path):
    with Taken(tmp_path, after="keep") as taken:
        with open(os.fsencode(taken.folder) + b"/\xff.png", "wb") as file:
            file.write(b"x")
        taken.wait("\ufffd.png")
    with Taken(tmp_path, after="keep") as again:
        time.sleep(0.5)
        assert again.names() == []


def test_the_error_of_an_archive_that_does_not_answer_is_said_and_no_file_is_taken_twice(tmp_path):
    with Taken(tmp_path, watch="polling") as taken:
        def away(*_):
            raise ArchiveError("it is away")

        real = taken.archive.known_files
        taken.archive.known_files = away
        (taken.folder / "a.png").write_bytes(b"x")
        until_so(lambda: "away" in taken.source.trouble)
        taken.archive.known_files = real
        taken.wait("a.png")
