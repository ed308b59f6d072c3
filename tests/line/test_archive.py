"""The archive: parts are kept once, found again, handed over, and forgotten; in SQLite and in PostgreSQL."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import time

import pytest
from conftest import disk
from postgresql import postgresql

from ss_poc.core.errors import ArtifactError
from ss_poc.line.archive import Archive, ArchiveError
from ss_poc.line.history import Query, counts_by_class, counts_by_verdict, one_part, search, trend
from ss_poc.line.parts import Part, identify, part_and_lot, when
from ss_poc.line.tables import TABLES, open_tables

HOUR = 3_600_000
NOON = 1_700_000_000_000 // HOUR * HOUR


@pytest.fixture(scope="module")
def server():
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def archive(request, tmp_path):
    url = request.getfixturevalue("server") if request.param == "postgresql" else f"sqlite:///{tmp_path}/a.sqlite"
    found = Archive(url, "press")
    yield found
    if request.param == "postgresql":
        TABLES.drop_all(found.engine)
    found.close()


def part(number: int, verdict: str = "accept", **values) -> Part:
    return Part(**{"key": f"{number:064d}", "line": "press", "source": "camera", "name": f"{number}.png",
                   "taken_ms": NOON + number * 1000, "verdict": verdict, **values})


def test_a_part_comes_back_as_it_was_written(archive):
    whole = part(1, "reject", reasons=("Riß",), measurements=({"label": "pit", "count": 2},), found={"pit": (2, 81)},
                 regions={"size": [64, 96], "labels": ["pit"], "rle": ["x"]}, part="17", lot="A_%", model="bolts",
                 version="v_1", milliseconds=17.5, picture="2023/1.png", picture_bytes=9, stamp="9-1")
    assert archive.add([whole, part(2)]) == [whole, part(2)]
    assert one_part(archive.engine, whole.key) == whole
    assert one_part(archive.engine, "0" * 64) is None
    assert search(archive.engine, Query()) == [(2, part(2)), (1, whole)]


def test_a_photograph_is_kept_once(archive):
    assert archive.add([part(1)]) == [part(1)]
    assert archive.add([part(1, "reject", found={"pit": (1, 1)}), part(2)]) == [part(2)]
    assert [found for _, found in search(archive.engine, Query())] == [part(2), part(1)]
    assert archive.knows(part(1).key) and not archive.knows(part(3).key)


def test_files_are_known_by_name_size_and_time(archive):
    archive.add([part(1, stamp="10-5"), part(2, stamp="20-5"), part(3, stamp="30-5", source="other")])
    files = {"1.png": "10-5", "2.png": "20-6", "3.png": "30-5", "4.png": "1-1"}
    assert archive.known_files("camera", files) == {"1.png"}


def test_what_no_sink_has_waits_in_order_until_it_is_handed_over(archive):
    archive.add([part(3), part(1, found={"pit": (1, 4)}), part(2), part(4, line="other")])
    assert list(archive.waiting()) == [[part(3), part(1, found={"pit": (1, 4)}), part(2)]]
    archive.add([], [part(3).key, part(2).key])
    assert list(archive.waiting()) == [[part(1, found={"pit": (1, 4)})]]


def test_a_search_is_by_part_lot_class_verdict_and_time(archive):
    archive.add([part(1, part="100", lot="A_1"), part(2, "reject", part="101", lot="AX1", found={"pit": (1, 1)}),
                 part(3, "reject", part="200", lot="A_1", found={"pit": (1, 1), "scratch": (2, 9)}),
                 part(4, line="two")])

    def names(**query):
        return [found.name for _, found in search(archive.engine, Query(**query))]

    assert names(part="10") == ["2.png", "1.png"]
    assert names(lot="A_") == ["3.png", "1.png"]  # _ is itself, not any letter
    assert names(label="pit") == ["3.png", "2.png"] and names(label="scratch", verdict="reject") == ["3.png"]
    assert names(since_ms=NOON + 2000, until_ms=NOON + 4000) == ["3.png", "2.png"]
    assert names(line="two") == ["4.png"] and names(source="none") == []
    assert names(after_id=3) == ["4.png"] and names(before_id=3) == ["2.png", "1.png"]
    assert len(search(archive.engine, Query(), count=2)) == 2


def test_counts_and_the_trend_by_hour_are_as_counted_by_hand(archive):
    archive.add([part(0), part(1, "reject", found={"pit": (3, 1)}),
                 part(2, "warn", found={"pit": (1, 1), "dent": (1, 1)}), part(3600, "error")])
    assert counts_by_verdict(archive.engine) == {"accept": 1, "warn": 1, "reject": 1, "error": 1}
    assert counts_by_verdict(archive.engine, Query(since_ms=NOON + HOUR))["accept"] == 0
    assert counts_by_class(archive.engine) == {"pit": 2, "dent": 1}
    assert counts_by_class(archive.engine, Query(until_ms=NOON + 2000)) == {"pit": 1}
    assert trend(archive.engine) == [
        {"from_ms": NOON, "parts": 3, "accept": 1, "warn": 1, "reject": 1, "error": 0},
        {"from_ms": NOON + HOUR, "parts": 1, "accept": 0, "warn": 0, "reject": 0, "error": 1}]


def test_old_parts_are_forgotten_with_their_pictures_but_none_that_waits(archive, tmp_path):
    now = int(time.time() * 1000)
    for name in ("old.png", "new.png", "waits.png"):
        (tmp_path / name).write_bytes(b"x")
    archive.add([part(1, taken_ms=now - 3 * 86_400_000, picture="old.png", found={"pit": (1, 1)}),
                 part(2, taken_ms=now - 3 * 86_400_000, picture="waits.png"), part(3, taken_ms=now, picture="new.png"),
                 part(4, line="other", taken_ms=0)])
    archive.add([], [part(1).key, part(3).key, part(4).key])
    assert archive.tidy(tmp_path, days=2) == (1, 0)
    assert [found.name for _, found in search(archive.engine, Query())] == ["4.png", "3.png", "2.png"]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["new.png", "waits.png"]


def test_the_oldest_pictures_go_above_the_limit_and_their_parts_stay(archive, tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(b"x")
    archive.add([part(number, picture=f"{number}.png", picture_bytes=400_000_000) for number in range(4)])
    assert archive.tidy(tmp_path, gigabytes=1) == (0, 2)
    kept = [(found.name, found.picture) for _, found in search(archive.engine, Query())]
    assert kept == [("3.png", "3.png"), ("2.png", "2.png"), ("1.png", ""), ("0.png", "")]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["2.png", "3.png"]
    assert archive.tidy(tmp_path, gigabytes=1) == (0, 0)


def test_an_archive_of_a_newer_program_is_refused(tmp_path):
    url = f"sqlite:///{tmp_path}/a.sqlite"
    open_tables(url).dispose()
    with sqlite3.connect(tmp_path / "a.sqlite") as database:
        assert database.execute("SELECT version FROM line_schema").fetchall() == [(1,)]
        assert database.execute("PRAGMA journal_mode").fetchall() == [("wal",)]
        database.execute("UPDATE line_schema SET version = 2")
    with pytest.raises(ArtifactError, match="the archive has layout 2"):
        open_tables(url)


@pytest.mark.parametrize("url", ["sqlite:////proc/none/a.sqlite", "postgresql+psycopg://nobody@127.0.0.1:1/none"])
def test_an_archive_that_cannot_be_opened_is_an_error(url):
    if url.startswith("postgresql"):
        pytest.importorskip("psycopg", reason="psycopg is not installed")
    with pytest.raises(ArtifactError, match="the archive cannot be opened"):
        open_tables(url)


def test_a_full_disk_is_said_and_nothing_half_is_kept(tmp_path):
    with disk(tmp_path / "small", 400):
        archive = Archive(f"sqlite:///{tmp_path}/small/a.sqlite", "press")
        with pytest.raises(ArchiveError, match="full"):
            for number in range(0, 4000, 10):
                archive.add([part(number + step, regions={"rle": "x" * 500}) for step in range(10)])
        assert len(search(archive.engine, Query(), count=5000)) == number
        archive.close()


def test_a_program_killed_while_it_writes_leaves_whole_rows(tmp_path):
    script = ("import sys; from ss_poc.line.archive import Archive; from ss_poc.line.parts import Part\n"
              "archive = Archive(sys.argv[1], 'press')\n"
              "for number in range(10**6):\n"
              "    key = f'{number:064d}'\n"
              "    archive.add([Part(key, 'press', 'c', str(number), number, 'reject', found={'a': (1, 1)})])\n"
              "    print(number, flush=True)")
    url = f"sqlite:///{tmp_path}/a.sqlite"
    with subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE, text=True) as process:
        said = [process.stdout.readline() for _ in range(20)]
        process.kill()
        said += process.stdout.readlines()
    rows = search(open_tables(url), Query(), count=10**6)
    assert len(rows) in (int(said[-1]) + 1, int(said[-1]) + 2)
    assert all(found.found == {"a": (1, 1)} for _, found in rows)


def test_keys_differ_by_content_name_and_source():
    keys = {identify(*given) for given in (("a", "1.png", b"x"), ("a", "1.png", b"y"), ("a", "2.png", b"x"),
                                           ("b", "1.png", b"x"))}
    assert len(keys) == 4 and identify("a", "1.png", b"x") in keys and all(len(key) == 64 for key in keys)


def test_part_and_lot_come_from_the_name():
    both = re.compile(r"(?P<lot>[A-Z]+)_(?P<part>\d+)")
    assert part_and_lot(both, "sub/AB_0017.png") == ("0017", "AB")
    assert part_and_lot(both, "other.png") == (None, None) and part_and_lot(None, "AB_1.png") == (None, None)
    assert part_and_lot(re.compile(r"(?P<part>\d+)?x"), "x") == (None, None)


def test_times_are_written_in_utc_with_milliseconds():
    assert when(1_700_000_000_007) == "2023-11-14T22:13:20.007Z"
