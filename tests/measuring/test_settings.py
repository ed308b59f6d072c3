"""The yaml of part rules: all errors at once, each with its line."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from chessboard import write_chart

from ss_poc.core.errors import ConfigError
from ss_poc.core.images import save_image
from ss_poc.measuring.settings import read_rules
from ss_poc.synthetic.steel import CLASSES

ROOT = Path(__file__).resolve().parents[2]

RIGHT = """\
region:
  - [[0.1, 0.2], [0.9, 0.2], [0.5, 0.8]]
mm_per_pixel: 0.05
classes:
  scratch: {length: {warn: 3, reject: 5}, edge: {reject_below: 1}}
"""


def written(folder, text):
    path = folder / "rules.yaml"
    path.write_text(text)
    return path


def errors(folder, text):
    with pytest.raises(ConfigError) as caught:
        read_rules(written(folder, text))
    return str(caught.value)


def test_a_whole_file_is_read(tmp_path):
    found = read_rules(written(tmp_path, RIGHT))
    assert found.region == (((0.1, 0.2), (0.9, 0.2), (0.5, 0.8)),) and found.ignore == ()
    assert found.mm_per_pixel == 0.05 and found.reference is None and found.chart_hw is None
    limits = found.classes["scratch"]
    assert (limits.length.warn, limits.length.reject, limits.edge.reject_below) == (3, 5, 1)
    assert limits.area.reject is None


def test_the_example_of_the_docs_is_read_and_is_for_the_classes_of_the_demo():
    found = read_rules(ROOT / "docs" / "rules.yaml")
    assert set(found.classes) == set(CLASSES)
    assert (ROOT / "docs" / "rules.yaml").read_text().partition("\n")[2] in (ROOT / "docs" / "line.md").read_text()


def test_a_chart_tells_the_millimetres(tmp_path):
    write_chart(tmp_path / "chart.png")
    found = read_rules(written(tmp_path, "calibration: {photograph: chart.png, corners: 9x6, square_mm: 5}"))
    assert found.mm_per_pixel == pytest.approx(0.25, rel=0.002) and found.chart_hw == (180, 220)


def test_all_errors_are_said_at_once_each_with_its_line(tmp_path):
    said = errors(tmp_path, """\
region:
  - [[0.1, 0.2], [0.9, 0.2]]
  - [[0.1, 0.2], [1.9, 0.2], [0.5, 0.8]]
ignore: everything
mm_per_pixel: 0
classes:
  scratch: {length: {warn: many}, edge: {reject: 2}, lenght: {}}
  scratch: {}
align: {reference: nowhere.png, inliers: 3}
""")
    for expected in ("has 10 errors", "line 2: region[0] is no polygon; expected at least three corners",
                     "line 3: region[1][1][0] is 1.9; expected a number from 0 to 1",
                     "line 4: ignore holds one value; expected a list", "line 5: mm_per_pixel is 0",
                     "line 7: classes.scratch.length.warn is 'many'", "line 8: classes.scratch is there twice",
                     "line 7: classes.scratch.edge.reject is not known; expected reject_below",
                     "line 7: classes.scratch.lenght is not known; expected length",
                     "line 9: align.reference is", "line 9: align.inliers is 3"):
        assert expected in said, said


def test_settings_that_do_not_fit_each_other_are_said_too(tmp_path):
    save_image(tmp_path / "blank.png", np.full((60, 80, 3), 90, np.uint8))
    said = errors(tmp_path, """\
mm_per_pixel: 0.1
calibration: {photograph: blank.png, corners: 9x6, square_mm: 5}
align: {reference: blank.png}
classes:
  scratch:
    length: {warn: 5, reject: 3}
    edge: {warn_below: 1, reject_below: 2}
""")
    for expected in ("line 1: mm_per_pixel is given, and calibration too",
                     "line 2: calibration cannot be used: no chessboard with 9x6 inner corners is on blank.png",
                     "line 3: align is given, and no region", "line 3: align cannot be used: blank.png has 0 features",
                     "line 6: classes.scratch.length warns above 5 and rejects above 3; expected to warn first",
                     "line 7: classes.scratch.edge warns below 1 and rejects below 2; expected to warn first"):
        assert expected in said, said


@pytest.mark.parametrize(("text", "expected"), [
    ("", "is empty"), ("- a", "holds a list; expected names with values"),
    ("region: [[[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]]]", "region[0] encloses nothing"),
    ("region: [[[0.1, 0.1, 0.1], [0.5, 0.5], [0.9, 0.2]]]", "region[0] is no polygon")])
def test_a_file_that_holds_no_rules_is_refused(tmp_path, text, expected):
    assert expected in errors(tmp_path, text)


def test_rules_travel_to_other_processes_with_their_reference(tmp_path):
    image = np.zeros((80, 120, 3), np.uint8)
    image[:] = np.random.default_rng(0).integers(0, 255, (8, 12, 3)).repeat(10, axis=0).repeat(10, axis=1)
    save_image(tmp_path / "part.png", image)
    rules = read_rules(written(tmp_path, RIGHT + "align: {reference: part.png, inliers: 8}"))
    there = pickle.loads(pickle.dumps(rules))
    assert there.digest == rules.digest != read_rules(written(tmp_path, RIGHT)).digest
    assert there.reference.find(image) == pytest.approx(np.eye(3), abs=1e-3)


def test_the_digest_changes_with_what_is_judged_by(tmp_path):
    digests = {read_rules(written(tmp_path, text)).digest for text in (
        RIGHT, RIGHT.replace("0.05", "0.06"), RIGHT.replace("warn: 3", "warn: 2"), RIGHT.replace("0.8]", "0.7]"))}
    assert len(digests) == 4 and read_rules(written(tmp_path, RIGHT)).digest in digests
