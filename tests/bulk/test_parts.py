"""Parts as files, and how they are joined: in order, in little memory, and with a word where something is wrong."""

from __future__ import annotations

import dataclasses
import resource
import tracemalloc
from pathlib import Path

import bright_model
import pytest

from ss_poc.core.errors import ArtifactError
from ss_poc.core.files import write_json
from ss_poc.inference.predictor import Predictor

pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed: pip install -r requirements.lock")

from ss_poc.bulk.collect import PARTS, collect  # noqa: E402
from ss_poc.bulk.growing import GrowingPart  # noqa: E402
from ss_poc.bulk.parts import PartInfo, PartMaker, merged, part_name, read_info, write_part  # noqa: E402
from ss_poc.bulk.rows import SCHEMA, Row  # noqa: E402
from ss_poc.bulk.shards import Shard  # noqa: E402
from ss_poc.bulk.store import Store  # noqa: E402

MAKER = PartMaker("demo v_1", "aa", "bb", "onnxruntime", None, ("pit",), ("#ff0000",), (1,))


def row(name: str, counts: str = "0") -> Row:
    return {**dict.fromkeys(SCHEMA.names), "image": name, "label": "pit", "height": 4, "width": 8, "counts": counts}


def write(folder: Path, shard: Shard, names: list[str], **changes: object) -> Path:
    path = folder / PARTS / part_name(shard)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_part(path, ([row(name)] for name in names), dataclasses.replace(PartInfo(MAKER, shard, 9, "d"), **changes))
    return path


def test_a_part_says_what_made_it(tmp_path):
    path = write(tmp_path, Shard(2, 3), ["a.png", "b.png"])
    assert read_info(Store(str(tmp_path)), f"{PARTS}/{path.name}") == PartInfo(MAKER, Shard(2, 3), 9, "d", "a.png")


@pytest.mark.parametrize("content", [b"", b"PAR1 no, not really PAR1"])
def test_a_part_that_is_damaged_is_named(tmp_path, content):
    path = write(tmp_path, Shard(1, 1), ["a.png"])
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"part-00001-of-00001\.parquet is damaged"):
        collect(Store(str(tmp_path)))


def test_a_cut_off_part_is_named(tmp_path):
    path = write(tmp_path, Shard(1, 1), ["a.png"])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match="is damaged"):
        collect(Store(str(tmp_path)))


def test_a_parquet_file_of_others_is_no_part(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / PARTS).mkdir()
    pq.write_table(pa.table({"image": ["a"]}), tmp_path / PARTS / part_name(Shard()))
    with pytest.raises(ArtifactError, match="no part of a prediction"):
        collect(Store(str(tmp_path)))


def test_missing_shards_are_named_and_those_that_were_begun(tmp_path):
    for number in (1, 4):
        write(tmp_path, Shard(number, 5), [])
    path = tmp_path / PARTS / part_name(Shard(3, 5), 1)
    write_part(path, [[row("c.png")]], PartInfo(MAKER, Shard(3, 5), 9, "d"))
    with pytest.raises(ArtifactError) as caught:
        collect(Store(str(tmp_path)))
    assert caught.value.what == "3 shards of 5 missing: 2, 3 (begun), 5" and "--shard 2/5" in caught.value.fix
    assert not (tmp_path / "coco.json").exists()


def test_of_many_missing_shards_the_first_ten_are_named(tmp_path):
    write(tmp_path, Shard(1, 400), [])
    with pytest.raises(ArtifactError) as caught:
        collect(Store(str(tmp_path)))
    assert caught.value.what == "399 shards of 400 missing: 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …"


@pytest.mark.parametrize("folder", ["", PARTS])
def test_a_folder_without_parts_is_said(tmp_path, folder):
    (tmp_path / folder).mkdir(exist_ok=True)
    with pytest.raises(ArtifactError, match="there is no part"):
        collect(Store(str(tmp_path)))


def test_a_photograph_in_two_parts_is_named(tmp_path):
    write(tmp_path, Shard(1, 2), ["a.png", "b.png"])
    write(tmp_path, Shard(2, 2), ["b.png", "c.png"])
    with pytest.raises(ArtifactError, match=r"1 photograph in two parts: b\.png"):
        collect(Store(str(tmp_path)))
    assert not (tmp_path / "coco.json").exists()


def test_parts_of_two_numbers_of_shards_are_refused(tmp_path):
    write(tmp_path, Shard(1, 2), ["a.png"])
    write(tmp_path, Shard(2, 3), ["b.png"])
    with pytest.raises(ArtifactError, match="has parts of 2 and of 3 shards"):
        collect(Store(str(tmp_path)))


def test_more_parts_are_joined_than_files_may_be_open(tmp_path):
    count = 300
    for number in range(1, count + 1):
        write(tmp_path, Shard(number, count), [f"{number:03d}.png", f"{number + count:03d}.png"])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        assert collect(Store(str(tmp_path))).images == 2 * count
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    lines = (tmp_path / "rle.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [f"{number:03d}.png" for number in range(1, 2 * count + 1)]


def test_joining_holds_a_few_photographs_of_each_part_in_memory(tmp_path):
    # 20 MB of rows in a part; 64 photographs of 10 kB are read at once, and Python's objects of them lie in memory.
    path = tmp_path / PARTS / part_name(Shard())
    path.parent.mkdir()
    write_part(path, ([row(f"{number:05d}.png", f"{number:05d}" * 2000)] for number in range(2000)),
               PartInfo(MAKER, Shard(), 2000, "d"))
    tracemalloc.start()
    count = sum(1 for _ in merged(Store(str(tmp_path)), {f"{PARTS}/{path.name}": PartInfo(
        MAKER, Shard(), 2000, "d", "00000.png")}, ["image", "counts"]))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 2000 and most < 4_000_000


def test_rows_that_come_twice_or_were_not_asked_for_are_passed_over(tmp_path):
    store, info = Store(str(tmp_path)), PartInfo(MAKER, Shard(), 2, "d")
    with GrowingPart(store, PARTS, info, ["a.png", "b.png"]) as part:
        for name in ("b.png", "a.png", "b.png", "z.png"):
            part.add([row(name)])
        name = part.finish()
    assert [rows[0]["image"] for rows in merged(store, {name: read_info(store, name)}, ["image"])] == ["a.png", "b.png"]
    assert [path.name for path in (tmp_path / PARTS).iterdir()] == [part_name(Shard())]


def test_a_part_that_fails_in_the_middle_keeps_what_was_added(tmp_path):
    store, info = Store(str(tmp_path)), PartInfo(MAKER, Shard(), 3, "d")
    with pytest.raises(KeyboardInterrupt), GrowingPart(store, PARTS, info, ["a.png", "b.png", "c.png"]) as part:
        part.add([row("b.png")])
        raise KeyboardInterrupt
    again = GrowingPart(store, PARTS, info, ["a.png", "b.png", "c.png"])
    assert again.left == ["a.png", "c.png"] and not again.finished


def test_a_claim_ends_where_it_is_given_back_and_leaves_no_file(tmp_path):
    store = Store(str(tmp_path))
    for _ in range(2):
        with store.claim("parts/a.lock", "shard 1/2"), pytest.raises(ArtifactError, match="one process at a time"), \
                store.claim("parts/a.lock", "shard 1/2"):
            pass
    assert not list((tmp_path / "parts").iterdir())


def test_parts_of_another_probability_of_a_defect_or_reach_are_not_joined_and_those_of_none_are_as_before(tmp_path):
    paths = bright_model.make_run(tmp_path / "result")
    makers = []
    for values in ({}, {"probability": {"factor": 1, "offset": 0}}, {"probability": {"factor": 2, "offset": 0}},
                   {"reach": 1.5}):
        write_json(paths.operating_point, {"thresholds": {"bright": 0, "dark": 0}, **values})
        makers.append(PartMaker.of(Predictor.load(paths.export, paths.rules, engine="onnxruntime"), None))
    assert len({maker.rules for maker in makers}) == 4
    assert "rules" in makers[1].difference(makers[2])
    # Digest of the same rules and thresholds by the version before there was a probability.
    assert makers[0].rules == "7929d6d471d74381"
