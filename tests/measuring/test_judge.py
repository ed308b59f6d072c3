"""Accept, warn, reject or error: by limits on what is measured in the region, with values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from chessboard import write_chart

from ss_poc.core.masks import encode_rle
from ss_poc.measuring import judge as judging
from ss_poc.measuring import objects
from ss_poc.measuring.judge import Found, judge
from ss_poc.measuring.settings import read_rules

LEFT_HALF = "[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]"


def scratches(*boxes: tuple[int, int, int, int], size_hw: tuple[int, int] = (40, 100)) -> np.ndarray:
    """A mask with boxes x, y, width, height."""
    mask = np.zeros(size_hw, bool)
    for x, y, width, height in boxes:
        mask[y:y + height, x:x + width] = True
    return mask


@pytest.fixture
def judged(tmp_path):
    """Judge a mask of scratches, and one of holes, by rules written as yaml."""
    def act(text, scratch, hole=None, defects=("scratch", "hole")):
        (tmp_path / "rules.yaml").write_text(text)
        hole = np.zeros_like(scratch) if hole is None else hole
        found = Found(("scratch", "hole"), [encode_rle(scratch), encode_rle(hole)], defects)
        return judge(found, read_rules(tmp_path / "rules.yaml"), lambda: pytest.fail("no photograph is needed"))

    return act


def test_an_object_is_measured_in_pixels(judged):
    found = judged("classes: {scratch: {length: {reject: 30}}}", scratches((20, 10, 21, 3)))
    assert found.verdict == "accept" and found.reasons == ()
    # 21 x 3; to the upper edge 10 pixels, to the left 20, to the lower 27.
    assert found.measurements == ({"label": "scratch", "objects": 1, "area": 63, "length": 21, "unit": "px", "each": [
        {"area": 63, "length": 21, "width": 3, "edge": 10, "bbox": [20, 10, 21, 3]}]},)
    assert found.found == {"scratch": (1, 63)}


def test_an_object_is_measured_in_millimetres_where_the_scale_is_known(judged):
    found = judged("mm_per_pixel: 0.2\nclasses: {scratch: {length: {reject: 4.1}, area: {reject: 3}}}",
                   scratches((20, 10, 21, 3)))
    assert found.verdict == "reject"
    assert found.reasons == ("scratch: length 4.2 mm is above 4.1 mm (reject)",)
    told = found.measurements[0]["each"][0]  # 63 pixels of 0.04 mm²
    assert (told["area"], told["length"], told["width"], told["edge"]) == (2.52, 4.2, 0.6, 2.0)
    assert found.found == {"scratch": (1, 63)}, "what is counted stays in pixels"


@pytest.mark.parametrize(("limits", "verdict", "reason"), [
    ("count: {warn: 1, reject: 2}", "warn", "scratch: count 2 is above 1 (warn)"),
    ("count: {reject: 1}", "reject", "scratch: count 2 is above 1 (reject)"),
    ("count: {reject_below: 3}", "reject", "scratch: count 2 is below 3 (reject)"),
    ("count: {warn: 2, reject_below: 2}", "accept", None),
    ("total_area: {reject: 77}", "reject", "scratch: total area 78 px is above 77 px (reject)"),
    ("total_length: {warn: 35}", "warn", "scratch: total length 36 px is above 35 px (warn)"),
    ("area: {warn: 50, reject: 63}", "warn", "scratch: area 63 px is above 50 px (warn)"),
    ("area: {reject_below: 16}", "reject", "scratch: area 15 px is below 16 px (reject)"),
    ("length: {reject: 20.9}", "reject", "scratch: length 21 px is above 20.9 px (reject)"),
    ("width: {reject: 2.5}", "reject", "scratch: width 3 px is above 2.5 px (reject)"),
    ("edge: {warn_below: 6}", "warn", "scratch: edge 5 px is below 6 px (warn)"),
    ("edge: {reject_below: 5}", "accept", None)])
def test_each_limit_decides_by_the_worst_object(judged, limits, verdict, reason):
    # 21 x 3, and 1 x 15 which is 5 pixels from the right edge.
    found = judged(f"classes: {{scratch: {{{limits}}}}}", scratches((20, 10, 21, 3), (94, 12, 1, 15)))
    assert found.verdict == verdict and found.reasons == ((reason,) if reason else ())


def test_the_worst_verdict_counts_and_all_reasons_are_given(judged):
    found = judged("classes: {scratch: {count: {warn: 0}, length: {reject: 9}}, hole: {count: {reject_below: 1}}}",
                   scratches((20, 10, 10, 1)))
    labels = [reason.split(":")[0] for reason in found.reasons]
    assert found.verdict == "reject" and labels == ["scratch", "scratch", "hole"]


def test_a_class_without_limits_is_rejected_where_it_is_found_and_one_that_is_named_without_is_not(judged):
    both = scratches((5, 5, 3, 3)), scratches((50, 5, 3, 3))
    found = judged("classes: {scratch: {}}", *both)
    assert (found.verdict, found.reasons) == ("reject", ("hole was found",))
    assert judged("classes: {scratch: {}, hole: {}}", *both).verdict == "accept"


def test_nothing_found_is_accepted(judged):
    found = judged("mm_per_pixel: 1", scratches())
    assert (found.verdict, found.reasons, found.measurements, found.found) == ("accept", (), (), {})


def test_a_class_that_the_models_own_verdict_does_not_name_does_not_count(judged):
    assert judged("ignore: []", scratches((5, 5, 3, 3)), defects=()).verdict == "accept"


def test_objects_outside_of_the_region_do_not_count_and_those_cut_by_it_count_with_what_is_inside(judged):
    # The region ends at x = 50: 5 of the 12 columns of the second one are inside.
    found = judged(f"region: [{LEFT_HALF}]\nclasses: {{scratch: {{length: {{reject: 9}}}}}}",
                   scratches((60, 5, 30, 3), (45, 20, 12, 1)))
    assert found.verdict == "accept" and found.found == {"scratch": (1, 5)}
    told = found.measurements[0]["each"][0]
    assert (told["length"], told["edge"], told["bbox"]) == (5, 0, [45, 20, 5, 1])


def test_an_object_that_the_region_cuts_in_two_counts_twice(judged):
    found = judged("region: [[[0, 0], [0.4, 0], [0.4, 1], [0, 1]], [[0.6, 0], [1, 0], [1, 1], [0.6, 1]]]",
                   scratches((30, 20, 40, 1)))
    assert found.found == {"scratch": (2, 20)}


def test_what_is_ignored_does_not_count_and_is_no_edge(judged):
    text = f"region: [{LEFT_HALF}]\nignore: [[[0.1, 0], [0.2, 0], [0.2, 1], [0.1, 1]]]\nclasses: {{scratch: {{}}}}"
    found = judged(text, scratches((12, 5, 5, 3), (22, 15, 3, 3)))
    # The second one: to the ignored stripe 2 pixels, to the upper edge 15, to the left 22, to the right 25.
    assert found.found == {"scratch": (1, 9)} and found.measurements[0]["each"][0]["edge"] == 15


def test_rules_for_a_class_that_the_model_does_not_know_are_an_error_never_an_accept(judged):
    found = judged("classes: {dent: {count: {reject: 0}}}", scratches())
    assert found.verdict == "error" and found.reasons == (
        "the rules are for dent, which the model does not know: it knows scratch, hole",)


def test_many_objects_are_all_counted_and_the_largest_are_told(judged, monkeypatch):
    monkeypatch.setattr(judging, "MOST_TOLD", 2)
    monkeypatch.setattr(objects, "MOST_MEASURED", 3)
    found = judged("classes: {scratch: {}}", scratches((5, 5, 1, 1), (10, 5, 2, 1), (20, 5, 3, 1), (30, 5, 4, 1)))
    assert found.found == {"scratch": (4, 10)}
    assert [item["area"] for item in found.measurements[0]["each"]] == [4, 3]


def test_a_photograph_of_another_size_than_the_charts_is_an_error(judged, tmp_path):
    write_chart(tmp_path / "chart.png")  # 220 x 180
    text = "calibration: {photograph: chart.png, corners: 9x6, square_mm: 5}"
    found = judged(text, scratches())
    assert found.verdict == "error" and "100x40" in found.reasons[0] and "220x180" in found.reasons[0]
    assert judged(text, scratches(size_hw=(180, 220))).verdict == "accept"
