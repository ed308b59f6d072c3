"""ss_poc.formats.coco: what a json must be, and which regions can be trusted."""

from __future__ import annotations

import json
import math
import re
from array import array
from pathlib import Path

import pytest
from coco_folder import CocoFolder, box, picture_of

from ss_poc.core.errors import DataError
from ss_poc.data.dataset import inspect_coco, load_coco
from ss_poc.formats.coco import choose_colors
from ss_poc.formats.coco_rules import RULES, Finding, Problem
from ss_poc.formats.regions import read_shape


@pytest.fixture
def folder(tmp_path: Path) -> CocoFolder:
    return CocoFolder(tmp_path)


def refused(folder: CocoFolder) -> list[str]:
    dataset, findings = folder.inspect()
    assert dataset is None
    assert all(item.action == RULES[item.code][0] for item in findings)
    return [item.code for item in findings if item.action == "refuse"]


# --- the json as a whole


@pytest.mark.parametrize("content", [b"", b"{", b"not json", b"\xff\xfe", b"[" * 100_000])
def test_json_that_is_none_is_refused(folder, content):
    path = folder.save()
    path.write_bytes(content)
    assert [item.code for item in inspect_coco(path, folder.root)[1]] == ["json-unreadable"]


@pytest.mark.parametrize("name", ["missing.json", "line1"])
def test_json_that_is_missing_or_a_folder_is_refused(folder, name):
    assert inspect_coco(folder.root.parent / name, folder.root)[1][0].code == "json-unreadable"


def test_folder_that_is_missing_is_refused(folder):
    dataset, findings = inspect_coco(folder.save(), folder.root / "gone")
    assert (dataset, [item.code for item in findings]) == (None, ["folder-missing"])


@pytest.mark.parametrize("value", [[], "text", None, 3])
def test_json_that_is_no_object_is_refused(folder, value):
    folder.value = value
    assert refused(folder) == ["structure"]


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize("value", [None, {}, "text"])
def test_tables_that_are_no_lists_are_refused(folder, key, value):
    folder.value[key] = value
    assert "structure" in refused(folder)


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_entries_that_are_no_objects_are_refused_each(folder, key):
    folder.value[key] += ["text", 3]
    assert refused(folder) == ["structure", "structure"]


@pytest.mark.parametrize(("key", "field"), [("images", "id"), ("images", "file_name"), ("categories", "id"),
                                            ("categories", "name"), ("annotations", "id"), ("annotations", "image_id"),
                                            ("annotations", "category_id")])
@pytest.mark.parametrize("value", [None, "  ", [], 1.5, True])
def test_entry_without_a_good_field_is_refused(folder, key, field, value):
    folder.value[key].append({**folder.value[key][-1], "id": 77, "file_name": "x.png", "name": "x", field: value})
    found = [item for item in folder.inspect()[1] if item.action == "refuse"]
    assert [(item.code, item.where) for item in found] == [("structure", f"{key}[{len(folder.value[key]) - 1}]")]
    assert found[0].detail.startswith(f"{field} is ")


def test_empty_lists_are_refused_by_name(folder):
    folder.value = {"images": [], "categories": [], "annotations": []}
    assert refused(folder) == ["no-images", "no-categories"]


def test_json_without_annotations_is_refused(folder):
    folder.value["annotations"] = []
    assert refused(folder) == ["no-regions"]


def test_json_whose_regions_are_all_skipped_is_refused_with_the_reasons(tmp_path):
    folder = CocoFolder(tmp_path, good=0)
    folder.region(folder.image("gone.png", draw=False))
    folder.region(folder.image("a.png"), [box(0, 0, 0.1, 0.1)])
    assert refused(folder) == ["no-regions"]
    found = next(item for item in folder.inspect()[1] if item.code == "no-regions")
    assert "1 x file-missing" in found.detail and "1 x region-no-pixel" in found.detail


def test_duplicate_ids_and_names_are_refused(folder):
    folder.value["images"][1]["id"] = 1
    folder.value["categories"] += [{"id": 1, "name": "Dent"}, {"id": 2, "name": "Crack "}]
    assert refused(folder) == ["duplicate-image-id", "duplicate-category-id", "duplicate-category-name"]


def test_names_that_differ_in_case_are_two_categories(folder):
    folder.value["categories"].append({"id": 2, "name": "crack"})
    for image in (1, 2):
        folder.region(image, category_id=2)
    assert folder.load().labels == ("Crack", "crack")


def test_unused_category_of_the_same_name_is_refused_unless_it_is_roboflow_s(folder):
    folder.value["categories"].append({"id": 0, "name": "Crack", "supercategory": "none"})
    assert folder.load().labels == ("Crack",)
    folder.value["categories"][-1]["supercategory"] = ""
    assert refused(folder) == ["duplicate-category-name"]


def test_annotation_of_an_unknown_category_is_refused(folder):
    folder.region(1, category_id=5)
    assert refused(folder) == ["unknown-category"]


def test_load_names_every_refusal_at_once(folder):
    folder.value["images"][1]["id"] = 1
    folder.value["categories"].append({"id": 2})
    folder.region(1, category_id=5)
    folder.region(1, category_id=6)
    folder.region(1, category_id=6)
    with pytest.raises(DataError) as caught:
        folder.load()
    text = str(caught.value)
    for part in ("duplicate-image-id", "categories[1]: name is nothing", "category 5: used by 1 annotation(s)",
                 "category 6: used by 2 annotation(s)", "expected:", "to do:"):
        assert part in text


# --- regions


def rejected(segmentation, size_hw=(4, 6), **fields) -> str:
    with pytest.raises(Problem) as caught:
        read_shape({"segmentation": segmentation, **fields}, size_hw)
    assert caught.value.detail
    return caught.value.code


@pytest.mark.parametrize("rle", [
    {"size": [4, 6], "counts": [5, 2]}, {"size": [4, 6], "counts": [5, 20]}, {"size": [4, 6], "counts": [-1, 25]},
    {"size": [4, 6], "counts": []}, {"size": [4, 6]}, {"size": [6, 4], "counts": [5, 2, 17]},
    {"size": 24, "counts": [24]}, {"counts": [24]}, {"size": [4, 6], "counts": "b022"},
    {"size": [4, 6], "counts": "\x00"},
    {"size": [4, 6], "counts": [5.0, 2, 17]}, {"size": [4, 6], "counts": None}, {"size": [4, 6], "counts": {}},
    {"size": [10**9, 10**9], "counts": [10**18]}, {"size": [4, 6], "counts": [10**4000, 10**4000]},
    {"size": [4, 6], "counts": "ooooooooooooooo1"}])
def test_rle_of_another_size_or_sum_is_rejected(rle):
    assert rejected(rle) == "rle-invalid"


@pytest.mark.parametrize("counts", [[24], [0, 0, 24], "h0"])
def test_rle_without_a_pixel_is_rejected(counts):
    assert rejected({"size": [4, 6], "counts": counts}) == "region-no-pixel"


def test_rle_is_measured_by_its_runs():
    shape = read_shape({"segmentation": {"size": [4, 6], "counts": [5, 2, 2, 2, 2, 2, 9]}}, (4, 6))
    assert (shape.area, shape.polygons) == (6, None)


@pytest.mark.parametrize("segmentation", [
    [[1, 1, 4, 1, 4]], [[1, 1, 4, 1, 4, 3, 1]],
    [["1", "1", "4", "1", "4", "3"]], [[1, 1, 4, 1, None, 3]], [[1, 1, 4, 1, True, 3]], [[[1, 1], [4, 1], [4, 3]]],
    [1, 1, 4], "text", 5, [box(1, 1, 4, 3), 7], [{"x": 1}]])
def test_polygon_that_is_none_is_rejected(segmentation):
    assert rejected(segmentation) == "polygon-invalid"


@pytest.mark.parametrize("stray", [[5, 3], [5, 3, 5, 3], []])
@pytest.mark.parametrize("first", [True, False])
def test_stray_points_beside_a_whole_polygon_cost_themselves_alone(stray, first):
    whole = box(1, 1, 4, 3)
    shape = read_shape({"segmentation": [stray, whole] if first else [whole, stray]}, (4, 6))
    assert (shape.area, shape.polygons) == (6, (array("d", whole),))
    assert [code for code, _ in shape.notes] == ["stray-point"] * bool(stray)


@pytest.mark.parametrize("segmentation", [[[5, 3]], [[5, 3, 5, 3]], [[]]])
def test_a_region_of_stray_points_alone_was_begun_and_never_drawn(segmentation):
    assert rejected(segmentation) == "region-empty"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_coordinates_that_are_not_finite_are_rejected(value):
    assert rejected([[1, 1, 4, 1, value, 3]]) == "polygon-not-finite"


@pytest.mark.parametrize("point", [(-6.5, 1), (12.5, 1), (1, -4.5), (1, 8.5), (1e12, 1), (1, -1e300)])
def test_point_more_than_an_image_away_is_rejected(point):
    assert rejected([[1, 1, 4, 1, *point]]) == "polygon-far-outside"


def test_polygon_of_too_many_points_or_too_long_an_outline_is_rejected():
    assert rejected([[1] * 2_000_002]) == "polygon-too-large"
    assert rejected([[0, 0, 9_999, 9_999] * 500], (10_000, 10_000)) == "polygon-too-large"


@pytest.mark.parametrize("segmentation", [[], None, [[]]])
def test_box_without_outline_is_rejected(segmentation):
    assert rejected(segmentation, bbox=[1, 1, 3, 2]) == "box-only"
    assert rejected(segmentation, bbox=[0, 0, 0, 0], isbbox=True) == "box-only"


@pytest.mark.parametrize("bbox", [None, [], [0, 0, 0, 0], "text", [1, 2], [None] * 4])
def test_annotation_without_outline_and_box_is_empty(bbox):
    assert rejected([], bbox=bbox) == "region-empty"


@pytest.mark.parametrize("polygon", [box(7, 1, 11, 3), box(-5, 1, -1, 3), box(1, 5, 4, 7), box(1, -3, 4, 0)])
def test_region_wholly_outside_is_rejected(polygon):
    assert rejected([polygon]) == "region-outside"


def test_region_that_covers_no_pixel_is_rejected():
    assert rejected([box(2, 2, 2.2, 2.2)]) == "region-no-pixel"


@pytest.mark.parametrize(("code", "segmentation"), [
    ("rle-invalid", {"size": [4, 6], "counts": [1]}), ("polygon-invalid", [[1, 1, 4, 3, 2]]),
    ("polygon-not-finite", [[1, 1, 4, 1, math.nan, 3]]), ("polygon-far-outside", [[1, 1, 4, 1, 90, 3]]),
    ("polygon-too-large", [[1] * 2_000_002]), ("box-only", [])])
def test_region_that_cannot_be_trusted_takes_its_image_with_it(folder, code, segmentation):
    image = folder.image("bad.png")
    folder.region(image)
    folder.region(image, segmentation, bbox=[1, 1, 2, 2])
    folder.region(image)
    dataset, findings = folder.inspect()
    assert [(item.code, item.action) for item in findings] == [(code, "skip image")]
    assert findings[0].where == "bad.png, annotation 4"
    assert [sample.name for sample in dataset.samples] == ["good0.png", "good1.png"]


@pytest.mark.parametrize(("code", "segmentation"), [("region-empty", []), ("region-outside", [box(7, 1, 11, 3)]),
                                                    ("region-no-pixel", [box(2, 2, 2.2, 2.2)])])
def test_harmless_region_is_skipped_alone(folder, code, segmentation):
    folder.region(1, segmentation)
    dataset, findings = folder.inspect()
    assert [(item.code, item.action) for item in findings] == [(code, "skip region")]
    assert findings[0].where == "good0.png, annotation 3"
    assert [len(sample.regions) for sample in dataset.samples] == [1, 1]


def test_region_of_an_unknown_image_is_skipped(folder):
    folder.region(99)
    assert [(item.code, item.action) for item in folder.inspect()[1]] == [("unknown-image", "skip region")]


def test_every_bad_region_of_an_image_is_named(folder):
    image = folder.image("bad.png")
    folder.region(image, [[1, 1, 4, 3, 2]])
    folder.region(image, {"size": [4, 6], "counts": [1]})
    assert folder.codes() == ["rle-invalid", "polygon-invalid"]


@pytest.mark.parametrize(("polygon", "rows", "detail"), [
    (box(4, 2, 9, 9 - 1), ["......", "......", "....##", "....##"], "reaches 4.0 px out of the image; expected 0"),
    (box(-3, -2, 2, 1), ["##....", "......", "......", "......"], "reaches 3.0 px out of the image; expected 0")])
def test_region_partly_outside_is_cut_at_the_border(folder, polygon, rows, detail):
    folder.region(folder.image("a.png"), [polygon])
    dataset, findings = folder.inspect()
    assert [(item.code, item.action, item.detail) for item in findings] == [("region-clipped", "clip", detail)]
    assert picture_of(dataset.samples[0].mask(1)[..., 0]) == rows


def test_rounding_at_the_border_is_no_finding(folder):
    folder.region(folder.image("a.png"), [box(4, 2, 6.9, 4.9)])
    dataset, findings = folder.inspect()
    assert findings == ()
    assert picture_of(dataset.samples[0].mask(1)[..., 0]) == ["......", "......", "....##", "....##"]


def test_region_of_the_box_tool_is_kept_and_said(folder):
    folder.region(folder.image("a.png"), isbbox=True)
    dataset, findings = folder.inspect()
    assert [(item.code, item.action) for item in findings] == [("box-as-region", "keep")]
    assert dataset.samples[0].regions[0].area == 6


# --- rules


def test_every_rule_has_a_known_action_and_a_sentence():
    assert {action for action, _ in RULES.values()} == {"refuse", "skip image", "skip region", "clip", "keep"}
    assert all(sentence.endswith(".") for _, sentence in RULES.values())


def test_every_rule_has_a_test():
    tests = "".join(path.read_text() for path in Path(__file__).parents[1].rglob("test_*.py"))
    assert [code for code in RULES if f'"{code}"' not in tests] == []


def test_no_categories_have_no_colours():
    assert choose_colors([]) == ()


def test_json_with_nan_anywhere_else_still_loads(folder):
    folder.value["annotations"][0]["area"] = math.nan
    assert "NaN" in folder.save().read_text()
    assert load_coco(folder.save(), folder.root).labels == ("Crack",)


def test_findings_are_said_in_whole_sentences(folder):
    folder.image("gone.png", draw=False)
    found = folder.inspect()[1][0]
    assert found == Finding("file-missing", "skip image", "gone.png",
                            f"got 'gone.png'; expected a file in {folder.root.resolve()}, which has good1.png, "
                             "good0.png")
    assert json.loads(folder.save().read_text())
    assert re.search("got .*; expected", found.detail)
