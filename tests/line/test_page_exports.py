"""What leaves the page: parts as csv and Parquet, and photographs that go to labelling."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timezone

import numpy as np
import pyarrow.parquet as pq
import pytest
from line_page import NOON, key, opened, part, regions
from lines import photograph

from ss_poc.core.images import decode_image, encode_image
from ss_poc.core.masks import polygons_to_mask
from ss_poc.line.web import export


@pytest.fixture
def page(tmp_path):
    with opened(tmp_path) as found:
        yield found


def table(answer) -> list[dict[str, str]]:
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/csv")
    assert 'filename="press.csv"' in answer.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


def test_the_parts_of_a_search_are_exported_as_csv(page):
    page.add(part(1, part="17", lot="로트"), page.defect(2, part="18", lot="a,\"b\"\nc", measurements=({"mm": 1.5},)))
    first, second = table(page.get("/line/export.csv"))
    assert (first["part"], first["lot"], first["verdict"], first["reasons"]) == ("18", "a,\"b\"\nc", "reject",
                                                                              "scratch was found")
    assert json.loads(first["found"]) == [{"label": "scratch", "objects": 1, "area": 20}]
    assert json.loads(first["measurements"]) == [{"mm": 1.5}]
    assert second["lot"] == "로트" and second["taken"] == "2023-11-14T22:00:01.000Z" and second["id"] == key(1)
    assert [row["part"] for row in table(page.get("/line/export.csv?verdict=accept"))] == ["17"]
    assert table(page.get("/line/export.csv?part=none")) == []


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_no_cell_of_a_csv_is_a_formula(page, name):
    page.add(part(1, part=name, name=name))
    row = table(page.get("/line/export.csv"))[0]
    assert row["part"] == row["name"] == f"'{name}"


def test_parquet_has_times_numbers_and_texts_as_they_came(page):
    page.add(part(1, part="=1", milliseconds=17.5), part(2))
    answer = page.get("/line/export.parquet")
    found = pq.read_table(io.BytesIO(answer.content))
    assert found.column_names == list(export.COLUMNS)
    assert found["part"].to_pylist() == [None, "=1"] and found["milliseconds"].to_pylist() == [0.0, 17.5]
    assert found["taken"].to_pylist()[1] == datetime.fromtimestamp(NOON / 1000 + 1, timezone.utc)
    assert pq.read_table(io.BytesIO(page.get("/line/export.parquet?part=none").content)).num_rows == 0


def test_an_export_is_whole_however_many_pieces_it_takes(page, monkeypatch):
    monkeypatch.setattr(export, "AT_A_TIME", 3)
    page.add(*[part(number) for number in range(10)])
    names = [f"{number}.png" for number in range(9, -1, -1)]
    assert [row["name"] for row in table(page.get("/line/export.csv"))] == names
    assert pq.read_table(io.BytesIO(page.get("/line/export.parquet").content))["name"].to_pylist() == names


def proposals(page) -> dict:
    return json.loads((page.folder / "state" / "collected" / "proposals-press.json").read_text())


def test_a_wrong_part_goes_to_labelling_with_its_regions_and_once(page):
    page.add(page.defect(1), part(2, picture=page.keep("2.png", photograph(2)), regions=regions()))
    sent = [page.client.post(f"/line/label/{key(1)}").json() for _ in range(2)]
    assert sent == [{"name": "press-0101010101010101.png"}] * 2
    assert page.client.post(f"/line/label/{key(2)}").status_code == 200
    folder, said = page.folder / "state" / "collected", proposals(page)
    assert (folder / sent[0]["name"]).read_bytes() == photograph(1, defect=True)
    assert page.get(f"/line/part/{key(1)}").json()["sent"] == sent[0]["name"]
    assert [(image["id"], image["height"], image["width"]) for image in said["images"]] == [(1, 24, 40), (2, 24, 40)]
    assert [(item["id"], item["name"], item["color"]) for item in said["categories"]] == \
        [(1, "scratch", "#ff0000"), (2, "dent", "#00ff00")]
    (region,) = said["annotations"]
    assert (region["image_id"], region["category_id"], region["area"], region["bbox"]) == (1, 1, 20, [20, 10, 5, 4])
    expected = np.zeros((24, 40), bool)
    expected[10:14, 20:25] = True
    np.testing.assert_array_equal(polygons_to_mask(region["segmentation"], (24, 40)), expected)


def test_regions_are_shrunk_with_a_small_picture(page):
    small = encode_image(np.full((12, 20, 3), 60, np.uint8), ".jpg")
    page.add(page.defect(1, picture=page.keep("1.jpg", small)))
    assert page.client.post(f"/line/label/{key(1)}").json()["name"].endswith(".jpg")
    assert (proposals(page)["images"][0]["height"], proposals(page)["annotations"][0]["bbox"][:2]) == (12, [10, 5])


def test_a_turned_photograph_goes_as_a_person_sees_it(page):
    from PIL import Image
    kept, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # a quarter turn to the right
    Image.fromarray(np.full((40, 24, 3), 60, np.uint8)).save(kept, "JPEG", exif=exif)
    page.add(page.defect(1, picture=page.keep("1.jpg", kept.getvalue())))
    name = page.client.post(f"/line/label/{key(1)}").json()["name"]
    assert name.endswith(".png")
    assert decode_image((page.folder / "state" / "collected" / name).read_bytes()).shape == (24, 40, 3)


def test_what_an_earlier_model_called_a_class_keeps_its_number(page):
    page.add(page.defect(1), page.defect(2, regions={**regions((0, 2, 0, 2)), "labels": ["burr", "scratch"]}))
    for number in (1, 2):
        page.client.post(f"/line/label/{key(number)}")
    assert [item["name"] for item in proposals(page)["categories"]] == ["scratch", "dent", "burr"]
    assert [item["category_id"] for item in proposals(page)["annotations"]] == [1, 3]


@pytest.mark.parametrize(("values", "said"), [
    ({"picture": ""}, "is not kept"), ({"picture": "gone.png"}, "is not kept")])
def test_a_part_without_a_picture_cannot_go(page, values, said):
    page.add(page.defect(1, **values))
    answer = page.client.post(f"/line/label/{key(1)}")
    assert answer.status_code == 409 and said in answer.json()["error"]
    assert not (page.folder / "state" / "collected").exists()


def test_what_is_no_image_cannot_go_and_damaged_regions_are_left_out(page):
    page.add(part(1, "error", picture=page.keep("1.png", b"no image")),
             page.defect(2, regions={**regions(), "rle": ["x", "y"]}))
    assert page.client.post(f"/line/label/{key(1)}").status_code == 409
    assert page.client.post(f"/line/label/{key(2)}").status_code == 200
    assert proposals(page)["annotations"] == []


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with opened(tmp_path, collected=tmp_path / "file" / "in") as page:
        page.add(page.defect(1))
        answer = page.client.post(f"/line/label/{key(1)}")
        assert answer.status_code == 503 and "cannot be written" in answer.json()["error"]
