"""ss_poc.core.rules_file: rules come back as they were, and nonsense is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from ss_poc.core.config import Rule
from ss_poc.core.errors import ArtifactError
from ss_poc.core.files import read_json, write_json
from ss_poc.core.rules_file import read_chance, read_floors, read_rules, write_rules

RULES = [Rule("scratch", "#ff0000", (64, 96), 0.35, 2, 17, True, 0.8125),
         Rule("흠집, \"깊은\"", "#0000ff", (64, 96), 0.5, 0, 0, False, float("nan"))]


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


OPERATING = {"thresholds": {"scratch": 0.4}, "missed": 1, "false_alarms": 0, "defective": 6, "clean": 7}


def test_a_probability_of_a_defect_is_read_where_there_is_one(tmp_path):
    path = tmp_path / "operating_point.json"
    assert read_chance(path) is None and read_floors(path, ["scratch"]) == (0.0,)
    write_json(path, OPERATING)  # as earlier versions write it
    assert read_chance(path) is None and read_floors(path, ["scratch"]) == (0.4,)
    write_json(path, {**OPERATING, "probability": {"factor": 0.5, "offset": -1}})
    assert read_chance(path) == (0.5, -1.0) and read_floors(path, ["scratch"]) == (0.4,)


@pytest.mark.parametrize("value", [{}, [0.5, 1], {"factor": 0.5}, {"factor": 0, "offset": 1}, "0.5",
                                   {"factor": -1, "offset": 0}, {"factor": "x", "offset": 0},
                                   {"factor": 1e999, "offset": 0}, {"factor": 1, "offset": None}])
def test_a_probability_edited_into_nonsense_is_refused(tmp_path, value):
    path = tmp_path / "operating_point.json"
    path.write_text(json.dumps({**OPERATING, "probability": value}))
    with pytest.raises(ArtifactError, match="operating_point.json has no probability of a defect"):
        read_chance(path)


@pytest.mark.parametrize("content", ["[]", "7"])
def test_an_operating_point_of_another_shape_is_refused(tmp_path, content):
    (tmp_path / "operating_point.json").write_text(content)
    for read in (read_chance, lambda path: read_floors(path, ["scratch"])):
        with pytest.raises(ArtifactError, match="operating_point.json"):
            read(tmp_path / "operating_point.json")


@pytest.mark.parametrize(("content", "reach"), [(None, 0.0), ({"thresholds": {}}, 0.0), ({"reach": 1.5}, 1.5)])
def test_how_far_marks_reach_lies_beside_the_rules(tmp_path, content, reach):
    write_rules(tmp_path / "rules.json", [Rule("scratch", "#ff0000", (64, 96))])
    if content is not None:
        (tmp_path / "operating_point.json").write_text(json.dumps(content))
    assert [rule.reach for rule in read_rules(tmp_path / "rules.json")] == [reach]


@pytest.mark.parametrize("content", ['{"reach": -1}', '{"reach": "far"}', '{"reach": NaN}', "[]"])
def test_a_reach_that_cannot_be_is_refused(tmp_path, content):
    write_rules(tmp_path / "rules.json", [Rule("scratch", "#ff0000", (64, 96))])
    (tmp_path / "operating_point.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"operating_point.json"):
        read_rules(tmp_path / "rules.json")
