"""ss_poc.labelling.importers.moved: photographs come in beside those that are there, never over them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from coco_folder import box, save_noise
from PIL import Image as Picture

from ss_poc.core.errors import DataError
from ss_poc.core.masks import decode_rle, polygons_to_mask
from ss_poc.labelling.folder import new_folder
from ss_poc.labelling.importers import Moved, move_in
from ss_poc.labelling.importers.moved import Copier

PIT = {"pit": "#00ff00"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return new_folder(tmp_path / "datasets", "photos")


def save_mask(path: Path, pixels: int) -> None:
    """A mask of 4 x 6 whose first pixels of the first row are labelled."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((4, 6), np.uint8)
    mask[0, :pixels] = 255
    Picture.fromarray(mask).save(path)


def write_coco(path: Path, *names: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({
        "images": [{"id": number, "file_name": name, "height": 4, "width": 6} for number, name in enumerate(names, 1)],
        "categories": [{"id": 1, "name": "pit", "color": "#00ff00"}],
        "annotations": [{"id": number, "image_id": number, "category_id": 1,
                         "segmentation": [box(0, 0, number, 1)]} for number in range(1, len(names) + 1)]}))
    return path


def pixels(moved: Moved) -> dict[str, int]:
    """How many pixels are labelled, by image."""
    read = {dict: decode_rle, list: polygons_to_mask}
    return {image.name: sum(int(read[type(region.segmentation)](region.segmentation, image.size_hw).sum())
                            for region in image.regions) for image in moved.images}


def test_a_photograph_from_elsewhere_whose_name_is_taken_gets_a_number(folder, tmp_path):
    save_noise(folder / "1.png", (4, 6), 0)
    save_noise(tmp_path / "other" / "1.png", (4, 6), 1)
    save_mask(tmp_path / "masks" / "1.png", 3)
    before = (folder / "1.png").read_bytes()
    moved = move_in(tmp_path / "masks", folder, PIT, tmp_path / "other")
    assert pixels(moved) == {"1_2.png": 3} and moved.copied == 1
    assert (folder / "1.png").read_bytes() == before
    assert (folder / "1_2.png").read_bytes() == (tmp_path / "other" / "1.png").read_bytes()


@pytest.mark.parametrize("labels", [PIT, {"scratch": "#ff0000", **PIT}], ids=["one folder", "a folder for each label"])
def test_masks_of_photographs_of_one_name_in_two_folders_come_in_for_both(folder, tmp_path, labels):
    masks = tmp_path / "masks" / ("pit" if len(labels) > 1 else "")
    for number, place in enumerate("ab", 1):
        save_noise(tmp_path / "other" / place / "1.png", (4, 6), number)
        save_mask(masks / place / "1.png", number)
    moved = move_in(tmp_path / "masks", folder, labels, tmp_path / "other")
    assert pixels(moved) == {"1.png": 1, "1_2.png": 2} and moved.copied == 2 and moved.left_out == []
    for place, name in (("a", "1.png"), ("b", "1_2.png")):
        assert (folder / name).read_bytes() == (tmp_path / "other" / place / "1.png").read_bytes()


def test_a_mask_that_may_belong_to_two_photographs_is_left_out(folder, tmp_path):
    for place in ("a/1.png", "b/1.png", "2.png"):
        save_noise(folder / place, (4, 6))
    save_mask(tmp_path / "masks" / "1.png", 1)
    save_mask(tmp_path / "masks" / "2.png", 2)
    moved = move_in(tmp_path / "masks", folder, PIT)
    assert pixels(moved) == {"2.png": 2} and moved.copied == 0
    assert moved.left_out == ["1.png: 2 photographs have that name, a/1.png, b/1.png"]
    (tmp_path / "masks" / "2.png").unlink()
    with pytest.raises(DataError, match="2 photographs have that name"):
        move_in(tmp_path / "masks", folder, PIT)


def test_a_mask_is_known_by_name_alone_where_one_photograph_is_left_of_that_name(folder, tmp_path):
    for place in ("a/1.png", "b/1.png"):
        save_noise(folder / place, (4, 6))
    save_mask(tmp_path / "masks" / "1.png", 1)
    save_mask(tmp_path / "masks" / "b" / "1.png", 2)
    assert pixels(move_in(tmp_path / "masks", folder, PIT)) == {"a/1.png": 1, "b/1.png": 2}


def test_masks_in_the_folder_of_another_label_are_left_out_and_said(folder, tmp_path):
    """They are no photographs without a defect."""
    for number in (1, 2):
        save_noise(folder / f"{number}.png", (4, 6), number)
    save_mask(tmp_path / "masks" / "pit" / "1.png", 1)
    save_mask(tmp_path / "masks" / "dent" / "2.png", 1)
    moved = move_in(tmp_path / "masks", folder, PIT)
    assert pixels(moved) == {"1.png": 1} and moved.left_out == ["the masks in dent/: no label is called so"]


def test_a_photograph_that_no_browser_shows_is_not_written_over_either(folder, tmp_path):
    Picture.fromarray(np.zeros((4, 6), np.uint8)).save(folder / "a.tif")
    before = (folder / "a.tif").read_bytes()
    source = tmp_path / "coco"
    write_coco(source / "labels.json", "A.tif")
    Picture.fromarray(np.full((4, 6), 9, np.uint8)).save(source / "A.tif")
    moved = move_in(source, folder, {})
    assert [image.name for image in moved.images] == ["A_2.tif"] and (folder / "a.tif").read_bytes() == before


def test_photographs_of_one_name_and_content_stay_two_and_an_import_again_copies_nothing(folder, tmp_path):
    source = tmp_path / "coco"
    for place in "ab":
        save_noise(source / "images" / place / "1.png", (4, 6), 7)
    write_coco(source / "annotations" / "instances_default.json", "a/1.png", "b/1.png")
    first, again = (move_in(source, folder, {}) for _ in range(2))
    assert pixels(first) == pixels(again) == {"1.png": 1, "1_2.png": 2}
    assert (first.copied, again.copied) == (2, 0)


def test_a_folder_that_has_the_name_of_a_photograph_stays(folder, tmp_path):
    (folder / "1.png").mkdir()
    save_noise(tmp_path / "1.png", (4, 6))
    assert Copier(folder).take(tmp_path / "1.png") == "1_2.png" and (folder / "1.png").is_dir()


def test_a_photograph_taken_twice_is_copied_once(folder, tmp_path):
    """Files for training and for validation may name the same one."""
    save_noise(tmp_path / "1.png", (4, 6))
    copier = Copier(folder)
    assert [copier.take(tmp_path / "1.png") for _ in range(2)] == ["1.png", "1.png"] and copier.copied == 1
