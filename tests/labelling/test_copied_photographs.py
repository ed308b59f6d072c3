"""ss_poc.labelling.importers.moved: photographs come in beside those that are there, never over them."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from coco_folder import box, save_noise
from PIL import Image as Picture

from ss_poc.core.errors import AnnotatorError, DataError
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


def decode() -> np.ndarray:
    raise AssertionError("a browser shows it as it is")


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
    assert moved.left_out == ["1.png: the mask 1.png may be that of a/1.png, b/1.png"]
    (tmp_path / "masks" / "2.png").unlink()
    with pytest.raises(DataError, match=r"may be that of a/1\.png, b/1\.png"):
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


def test_a_photograph_that_no_browser_shows_comes_in_as_a_png_of_its_own(folder, tmp_path):
    save_noise(folder / "a.png", (4, 6))
    before = (folder / "a.png").read_bytes()
    source = tmp_path / "coco"
    write_coco(source / "labels.json", "A.tif", "b.TIFF")
    for value, name in ((9, "A.tif"), (200, "b.TIFF")):
        Picture.fromarray(np.full((4, 6), value, np.uint8)).save(source / name, "TIFF")
    first, again = (move_in(source, folder, {}) for _ in range(2))
    assert pixels(first) == pixels(again) == {"A_2.png": 1, "b.png": 2} and (first.copied, again.copied) == (2, 0)
    assert first.notes == ["A.tif: converted to PNG of 8 bits, as no browser shows TIFF (1 more)"]
    assert (folder / "a.png").read_bytes() == before
    assert np.array_equal(Picture.open(folder / "b.png"), np.full((4, 6), 200))


def test_a_tiff_of_16_bits_comes_in_with_the_bits_that_its_camera_uses(folder, tmp_path):
    source = tmp_path / "coco"
    write_coco(source / "labels.json", "a.tif", "b.tif")
    for value, name in ((1600, "a.tif"), (4095, "b.tif")):  # 12 bits: the upper 8 of 1600 are 100
        Picture.fromarray(np.full((4, 6), value, np.uint16)).save(source / name)
    move_in(source, folder, {})
    assert [np.unique(Picture.open(folder / name)).tolist() for name in ("a.png", "b.png")] == [[100], [255]]


def test_a_jpeg_comes_in_with_an_ending_that_annotators_know(folder, tmp_path):
    source = tmp_path / "coco"
    write_coco(source / "labels.json", "a.jfif", "b.JPE")
    for name in ("a.jfif", "b.JPE"):
        Picture.fromarray(np.full((4, 6), 9, np.uint8)).save(source / name, "JPEG")
    moved = move_in(source, folder, {})
    assert pixels(moved) == {"a.jpg": 1, "b.jpg": 2} and moved.notes == []
    assert (folder / "b.jpg").read_bytes() == (source / "b.JPE").read_bytes()


def test_a_tiff_that_lies_in_the_folder_already_is_converted_too_and_stays(folder, tmp_path):
    """An annotator would not know it."""
    Picture.fromarray(np.full((4, 6), 9, np.uint8)).save(folder / "a.tif")
    moved = move_in(write_coco(tmp_path / "alone" / "labels.json", "a.tif"), folder, {})
    assert pixels(moved) == {"a.png": 1} and (folder / "a.tif").is_file()


def test_an_import_that_a_tool_refuses_leaves_no_photograph_behind(folder, tmp_path):
    save_noise(tmp_path / "coco" / "a.png", (4, 6))
    write_coco(tmp_path / "coco" / "labels.json", "a.png")

    def refuse(labels: dict[str, str]) -> None:
        raise AnnotatorError(f"no room for {', '.join(labels)}")

    with pytest.raises(AnnotatorError, match="no room for pit"):
        move_in(tmp_path / "coco", folder, {}, ready=refuse)
    assert [path.name for path in folder.iterdir()] == [".exports"]


def test_a_photograph_that_cannot_be_copied_takes_the_others_away_again(folder, tmp_path, monkeypatch):
    for number in (1, 2):
        save_noise(tmp_path / "coco" / f"{number}.png", (4, 6), number)
    write_coco(tmp_path / "coco" / "labels.json", "1.png", "2.png")
    save_noise(folder / "mine.png", (4, 6), 3)
    copy = shutil.copyfile

    def full(source: Path, target: Path) -> None:
        if source.name == "2.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        move_in(tmp_path / "coco", folder, {})
    assert sorted(path.name for path in folder.iterdir()) == [".exports", "mine.png"]


def test_one_bad_photograph_among_others_is_left_out_and_named(folder, tmp_path):
    for number in range(1, 4):
        save_noise(tmp_path / "coco" / f"{number}.png", (4, 6), number)
    (tmp_path / "coco" / "2.png").write_bytes(b"damaged")
    write_coco(tmp_path / "coco" / "labels.json", "1.png", "2.png", "3.png")
    moved = move_in(tmp_path / "coco", folder, {})
    assert pixels(moved) == {"1.png": 1, "3.png": 3} and len(moved.left_out) == 1
    assert moved.left_out[0].startswith("2.png: this file is no image")


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
    assert Copier(folder).take(tmp_path / "1.png", decode) == "1_2.png" and (folder / "1.png").is_dir()


def test_a_photograph_taken_twice_is_copied_once(folder, tmp_path):
    """Files for training and for validation may name the same one."""
    save_noise(tmp_path / "1.png", (4, 6))
    copier = Copier(folder)
    assert [copier.take(tmp_path / "1.png", decode) for _ in range(2)] == ["1.png", "1.png"] and copier.copied == 1
