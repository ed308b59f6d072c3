"""ss_poc.serving.collector: the least certain photographs of a day, within bounds, whatever the disk does."""

from __future__ import annotations

import datetime
import json
import os

import numpy as np
import pytest
from conftest import disk
from PIL import Image
from served import encoded

from ss_poc.core.model_spec import ModelSpec
from ss_poc.inference.predictor import Prediction
from ss_poc.serving.collector import Collector, ReceivedImage

SPEC = ModelSpec("demo", "v_1", ("scratch",), ("#ff0000",), (4,), (32, 32), "x", "")
PICTURE = np.zeros((6, 10, 3), np.uint8)


def received(data: bytes, orientation: int = 1) -> ReceivedImage:
    return ReceivedImage(data, PICTURE, orientation)


def prediction(marked: bool = True) -> Prediction:
    mask = np.zeros((6, 10, 1), bool)
    mask[1:3, 2:6] = marked
    return Prediction(mask, mask.astype(np.float32), ("scratch",), ("#ff0000",), (0.0,))


def collect(folder, offers, per_day=2, days=30):
    collector = Collector(folder, SPEC, per_day, days)
    for uncertainty in offers:
        collector._keep(received(encoded(Image.fromarray(PICTURE))), prediction(), uncertainty)
    collector.finish()


def kept(folder) -> list[float]:
    return sorted(float(path.name.split("_")[1]) for path in folder.glob("*.png"))


def test_the_least_certain_are_kept_and_no_more_than_asked(tmp_path):
    collect(tmp_path, [0.2, 0.5, 0.1, 0.9, 0.4])
    assert kept(tmp_path) == [0.5, 0.9]


def test_proposals_are_a_coco_data_set_of_what_is_kept(tmp_path):
    collect(tmp_path, [0.2, 0.5, 0.9])
    (path,) = tmp_path.glob("proposals-*.json")
    document = json.loads(path.read_text())
    assert {image["file_name"] for image in document["images"]} == {item.name for item in tmp_path.glob("*.png")}
    assert [(image["width"], image["height"]) for image in document["images"]] == [(10, 6)] * 2
    assert document["categories"] == [{"id": 4, "name": "scratch", "supercategory": "", "color": "#ff0000"}]
    assert {item["image_id"] for item in document["annotations"]} == {image["id"] for image in document["images"]}
    assert len({item["id"] for item in document["annotations"]}) == 2
    assert document["annotations"][0]["bbox"] == [2, 1, 4, 2]


def test_a_turned_photograph_is_kept_as_a_viewer_shows_it(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    collector = Collector(tmp_path, SPEC, 1, 1)
    collector._keep(received(encoded(Image.new("RGB", (6, 10)), "JPEG", exif=exif), 6), prediction(), 0.5)
    assert [path.suffix for path in tmp_path.glob("2*")] == [".png"]
    assert Image.open(next(tmp_path.glob("*.png"))).size == (10, 6)


def test_old_days_are_forgotten_but_for_what_was_labelled_and_what_is_not_ours(tmp_path):
    old = datetime.date.today() - datetime.timedelta(days=3)
    names = [f"{old}_0.5000_{number:08x}.png" for number in range(2)]
    others = [f"proposals-{old}.json", f"{old}_my own.png", "notes.txt"]
    (tmp_path / ".exports").mkdir()
    for name in names + others:
        (tmp_path / name).write_text("{}")
    (tmp_path / ".exports" / "coco-1.json").write_text(json.dumps({"images": [{"file_name": names[1]}]}))
    collect(tmp_path, [0.3], days=3)
    left = {path.name for path in tmp_path.iterdir()}
    assert names[0] not in left and f"proposals-{old}.json" not in left
    assert {names[1], f"{old}_my own.png", "notes.txt"} <= left


def export(folder, content: str) -> None:
    (folder / ".exports").mkdir(exist_ok=True)
    (folder / ".exports" / "labels.json").write_text(content)


def a_day_of(folder, *uncertainties: float) -> list[str]:
    """Names of photographs of today, the first the least certain."""
    collect(folder, uncertainties, per_day=len(uncertainties))
    return sorted((path.name for path in folder.glob("*.png")), reverse=True)


def test_a_photograph_of_today_that_is_labelled_is_not_given_up_for_a_less_certain_one(tmp_path):
    _, labelled = a_day_of(tmp_path, 0.5, 0.2)
    export(tmp_path, json.dumps({"images": [{"file_name": f"collected/{labelled}"}]}))
    collect(tmp_path, [0.4, 0.6, 0.9])
    assert kept(tmp_path) == [0.2, 0.9]
    (path,) = tmp_path.glob("proposals-*.json")
    assert {image["file_name"] for image in json.loads(path.read_text())["images"]} == {
        item.name for item in tmp_path.glob("*.png")}


def test_where_all_of_today_are_labelled_no_more_are_kept(tmp_path):
    export(tmp_path, json.dumps({"images": [{"file_name": name} for name in a_day_of(tmp_path, 0.5, 0.2)]}))
    collect(tmp_path, [0.9])
    assert kept(tmp_path) == [0.2, 0.5]


@pytest.mark.parametrize("content", [
    '[{"data": {"image": "/data/local-files/?d=collected%2FNAME"}}]', '{"images": [{"file_name": "NAME"', '["NAME"]'])
def test_an_export_of_any_form_keeps_the_photographs_that_it_names(tmp_path, content):
    _, labelled = a_day_of(tmp_path, 0.5, 0.2)
    export(tmp_path, content.replace("NAME", labelled))
    collect(tmp_path, [0.9])
    assert kept(tmp_path) == [0.2, 0.9]


@pytest.mark.parametrize("content", ["[]", "3", "null", "no json", '{"images": null}', ""])
def test_an_export_that_names_nothing_stops_nothing(tmp_path, content):
    export(tmp_path, content)
    (tmp_path / ".exports" / "folder.json").mkdir()
    collect(tmp_path, [0.2, 0.5, 0.9])
    assert kept(tmp_path) == [0.5, 0.9]


def test_an_export_that_is_written_again_is_read_again(tmp_path):
    _, labelled = a_day_of(tmp_path, 0.5, 0.2)
    collector = Collector(tmp_path, SPEC, 2, 30)
    export(tmp_path, "[]")
    collector._keep(received(encoded(Image.fromarray(PICTURE))), prediction(), 0.1)
    export(tmp_path, json.dumps([labelled]))
    collector._keep(received(encoded(Image.fromarray(PICTURE))), prediction(), 0.9)
    assert kept(tmp_path) == [0.2, 0.9]


def test_where_fewer_a_day_are_wanted_than_are_there_the_most_certain_go(tmp_path):
    a_day_of(tmp_path, 0.1, 0.2, 0.3, 0.4)
    collect(tmp_path, [0.9], per_day=2)
    assert kept(tmp_path) == [0.4, 0.9]


def test_a_full_disk_loses_no_photograph_that_was_kept(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3)).astype(np.uint8)
    with disk(tmp_path / "disk", 128):
        folder = tmp_path / "disk"
        collect(folder, [0.2, 0.5])
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        # One page is left: for neither the large photograph nor both the small one and its note.
        (folder / "filler").write_bytes(b"x" * (os.statvfs(folder).f_bavail - 1) * os.statvfs(folder).f_bsize)
        for data in (encoded(Image.fromarray(noise)), encoded(Image.fromarray(PICTURE))):
            with pytest.raises(OSError, match="No space left"):
                Collector(folder, SPEC, 2, 30)._keep(received(data), prediction(), 0.9)
            after = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "filler"}
            assert after == before


def test_what_nobody_foresaw_is_logged(tmp_path, caplog, monkeypatch):
    collector = Collector(tmp_path, SPEC, 2, 1)
    monkeypatch.setattr(collector, "_keep", lambda *_: {}.no_such_thing)
    with caplog.at_level("WARNING", logger="ss_poc.service"):
        collector.offer(received(b""), prediction(), 0.5)
        collector.finish()
    assert any("no_such_thing" in record.values["reason"] for record in caplog.records)


def test_two_collectors_share_a_folder(tmp_path):
    import threading

    threads = [threading.Thread(target=collect, args=(tmp_path, [start + step / 100 for step in range(8)], 3))
               for start in (0.1, 0.5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept(tmp_path) == [0.55, 0.56, 0.57]
    (path,) = tmp_path.glob("proposals-*.json")
    assert len(json.loads(path.read_text())["images"]) == 3


def test_a_folder_that_cannot_be_written_is_logged_once_and_stops_nothing(tmp_path, caplog):
    (tmp_path / "file").write_text("no folder")
    collector = Collector(tmp_path / "file", SPEC, 2, 1)
    with caplog.at_level("WARNING", logger="ss_poc.service"):
        for _ in range(3):
            collector.offer(received(encoded(Image.fromarray(PICTURE))), prediction(), 0.5)
        collector.finish()
    assert sum("could not be collected" in record.message for record in caplog.records) == 1


def test_offers_beyond_what_the_disk_can_take_are_let_go(tmp_path, monkeypatch):
    import threading

    hold, done = threading.Event(), []
    collector = Collector(tmp_path, SPEC, 2, 1)
    monkeypatch.setattr(collector, "_keep", lambda *_: (hold.wait(5), done.append(1)))
    for _ in range(50):
        collector.offer(received(b""), prediction(), 0.5)
    hold.set()
    collector.finish()
    assert 8 <= len(done) <= 9


@pytest.mark.parametrize("marked", [True, False])
def test_a_photograph_with_nothing_found_is_kept_too(tmp_path, marked):
    collector = Collector(tmp_path, SPEC, 1, 1)
    collector._keep(received(encoded(Image.fromarray(PICTURE))), prediction(marked), 0.5)
    (path,) = tmp_path.glob("proposals-*.json")
    assert len(json.loads(path.read_text())["annotations"]) == int(marked)


def test_offers_that_wait_have_so_many_pixels_and_a_larger_one_is_kept_before_the_request_ends(tmp_path, monkeypatch):
    import threading

    hold, done = threading.Event(), []
    collector = Collector(tmp_path, SPEC, 2, 1, most_pixels=150)
    monkeypatch.setattr(collector, "_keep", lambda image, *_: (hold.wait(5), done.append(image.rgb.shape)))
    for _ in range(5):
        collector.offer(received(b""), prediction(), 0.5)  # 60 pixels each: two are 120
    hold.set()
    large = ReceivedImage(b"", np.zeros((10, 16, 3), np.uint8), 1)
    collector.offer(large, prediction(), 0.5)
    assert done == [(6, 10, 3), (6, 10, 3), (10, 16, 3)]
    collector.offer(received(b""), prediction(), 0.5)
    collector.finish()
    assert len(done) == 4
