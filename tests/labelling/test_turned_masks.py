"""ss_poc.labelling.importers: labels and masks of photographs that EXIF turns, where size cannot tell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from coco_folder import box, picture_of
from PIL import Image as Picture

from ss_poc.core.masks import decode_rle, polygons_to_mask
from ss_poc.labelling.folder import new_folder
from ss_poc.labelling.importers import Moved, move_in

# A mark on the two upper left pixels as stored, and where EXIF's table of tag 0x0112 shows it.
STORED = {(3, 4): ["##..", "....", "...."], (3, 3): ["##.", "...", "..."]}
SHOWN = {
    (2, (3, 4)): ["..##", "....", "...."], (2, (3, 3)): [".##", "...", "..."],
    (3, (3, 4)): ["....", "....", "..##"], (3, (3, 3)): ["...", "...", ".##"],
    (4, (3, 4)): ["....", "....", "##.."], (4, (3, 3)): ["...", "...", "##."],
    (6, (3, 3)): ["..#", "..#", "..."]}
TURNED_6 = ["..#", "..#", "...", "..."]  # (3, 4) as stored is (4, 3) as shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return new_folder(tmp_path / "datasets", "photos")


def photograph(path: Path, orientation: int, size_hw: tuple[int, int]) -> None:
    exif = Picture.Exif()
    exif[0x0112] = orientation
    Picture.fromarray(np.zeros((*size_hw, 3), np.uint8)).save(path, exif=exif)


def from_masks(folder: Path, orientation: int, size_hw: tuple[int, int], exif_labels: str, by_label: bool) -> Moved:
    photograph(folder / "a.jpg", orientation, size_hw)
    values = np.zeros(size_hw, np.uint8)
    values[0, :2] = 1
    place = folder.parents[1] / "masks" / ("pit" if by_label else "")
    place.mkdir(parents=True)
    Picture.fromarray(values).save(place / "a.png")
    return move_in(folder.parents[1] / "masks", folder, {"pit": ""}, None, exif_labels)


def from_coco(folder: Path, orientation: int, size_hw: tuple[int, int], exif_labels: str) -> Moved:
    photograph(folder / "a.jpg", orientation, size_hw)
    path = folder.parents[1] / "labels.json"
    path.write_text(json.dumps({
        "images": [{"id": 1, "file_name": "a.jpg", "height": size_hw[0], "width": size_hw[1]}],
        "categories": [{"id": 1, "name": "pit"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [box(0, 0, 2, 1)]}]}))
    return move_in(path, folder, {}, folder, exif_labels)


def marked(moved: Moved) -> list[str]:
    """The one region of the one image."""
    (image,) = moved.images
    (region,) = image.regions
    given = region.segmentation
    mask = decode_rle(given, image.size_hw) if isinstance(given, dict) else polygons_to_mask(given, image.size_hw)
    return picture_of(mask)


@pytest.mark.parametrize("by_label", [False, True])
@pytest.mark.parametrize(("orientation", "size_hw"), sorted(SHOWN))
def test_masks_as_stored_are_turned_with_their_photograph(folder, orientation, size_hw, by_label):
    moved = from_masks(folder, orientation, size_hw, "stored", by_label)
    assert (marked(moved), moved.notes) == (SHOWN[orientation, size_hw], [])


@pytest.mark.parametrize(("decided", "notes"), [("shown", []), ("auto", [
    "masks: 1 photograph(s), such as a.jpg: labels are taken as drawn on them as shown. "
    "--exif_labels shown or stored decides"])])
@pytest.mark.parametrize(("orientation", "size_hw"), sorted(SHOWN))
def test_masks_as_shown_stay_and_what_is_assumed_is_said(folder, orientation, size_hw, decided, notes):
    moved = from_masks(folder, orientation, size_hw, decided, False)
    assert (marked(moved), moved.notes) == (STORED[size_hw], notes)


@pytest.mark.parametrize("decided", ["auto", "shown", "stored"])
def test_the_size_of_a_mask_tells_where_the_photograph_is_not_square(folder, decided):
    moved = from_masks(folder, 6, (3, 4), decided, False)
    assert (marked(moved), moved.notes) == (TURNED_6, [])


def test_masks_of_photographs_that_nothing_turns_are_not_spoken_of(folder):
    assert from_masks(folder, 1, (3, 4), "auto", False).notes == []


def test_labels_of_a_coco_file_are_decided_on_alike(folder):
    assert marked(from_coco(folder, 3, (3, 4), "stored")) == SHOWN[3, (3, 4)]
    moved = from_coco(folder, 3, (3, 4), "auto")
    assert marked(moved) == STORED[3, 4]
    assert [note.split(": ")[0] for note in moved.notes] == ["labels.json"] and "1 photograph(s)" in moved.notes[0]
