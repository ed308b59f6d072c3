"""What to expect of the next workpiece: scores under rules found on others, by workpiece, derived by hand."""

from __future__ import annotations

import csv

import pytest

from ss_poc.core.errors import ArtifactError
from ss_poc.reporting.expectation import expectation

COLUMNS = ("image", "label", "true", "predicted", "both")


def write(folder, *rows):
    with (folder / "valid_held_out.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])


def test_iou_is_that_of_all_pixels_and_workpieces_stand_worst_first(tmp_path):
    write(tmp_path,
          ("p1_a.png", "pit", 10, 10, 10), ("p1_a.png", "crack", 0, 0, 0),
          ("p1_b.png", "pit", 0, 5, 0), ("p1_b.png", "crack", 0, 0, 0),
          ("p2_a.png", "pit", 10, 0, 0), ("p2_a.png", "crack", 20, 20, 10),
          ("p3_a.png", "pit", 0, 0, 0), ("p3_a.png", "crack", 0, 0, 0))
    found = expectation(tmp_path, "^[^_]+")
    # pit: 10 of 10 + 5 + 10 pixels; crack: 10 of 30.
    assert found.iou == pytest.approx((10 / 25 + 10 / 30) / 2) and found.count == 3
    assert found.iou_range[0] <= found.iou <= found.iou_range[1]
    by_name = {piece.name: piece for piece in found.pieces}
    assert list(by_name) == ["p2", "p1", "p3"]
    assert by_name["p2"].iou == pytest.approx((0 + 1 / 3) / 2)  # nothing of its pit, a third of its crack
    assert (by_name["p2"].missed, by_name["p2"].flagged) == (0, 0)  # something was found on its only image
    assert by_name["p1"].iou == pytest.approx(10 / 15)
    assert (by_name["p1"].images, by_name["p1"].missed, by_name["p1"].flagged) == (2, 0, 1)
    assert by_name["p3"].iou is None
    # Of 1/6 and 2/3.
    assert found.quartiles == (pytest.approx(1 / 6 + 0.125), pytest.approx(2 / 3 - 0.125))


def test_a_defective_image_with_nothing_found_is_missed(tmp_path):
    write(tmp_path, ("p1.png", "pit", 3, 0, 0), ("p2.png", "pit", 3, 7, 0))
    pieces = expectation(tmp_path, "p.").pieces
    assert [(piece.iou, piece.missed, piece.flagged) for piece in pieces] == [(0.0, 1, 0), (0.0, 1, 0)]


def test_without_workpieces_images_are_drawn_and_none_is_listed(tmp_path):
    write(tmp_path, ("a.png", "pit", 4, 4, 4), ("b.png", "pit", 4, 0, 0))
    found = expectation(tmp_path, None)
    assert (found.iou, found.iou_range, found.pieces, found.count) == (0.5, (0.0, 1.0), (), 2)


def test_no_defect_at_all_is_no_number(tmp_path):
    write(tmp_path, ("a.png", "pit", 0, 0, 0))
    found = expectation(tmp_path, "a")
    assert found.iou != found.iou and found.quartiles[0] != found.quartiles[0] and found.pieces[0].iou is None


def test_a_run_of_an_earlier_version_tells_nothing_and_a_damaged_file_is_an_error(tmp_path):
    assert expectation(tmp_path, None) is None
    (tmp_path / "valid_held_out.csv").write_text("image,label\n")
    with pytest.raises(ArtifactError, match="valid_held_out"):
        expectation(tmp_path, None)
