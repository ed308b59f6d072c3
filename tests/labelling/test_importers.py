"""ss_poc.labelling.importers: labels of other tools come in with every pixel, photographs with them."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from coco_folder import CORNER, DATA, LOWER_RIGHT, MIDDLE, box, noise, picture_of, save_noise
from PIL import Image as Picture

from ss_poc.core.errors import DataError
from ss_poc.core.masks import decode_rle, polygons_to_mask
from ss_poc.formats.write_labels import WRITERS, write_labels
from ss_poc.labelling.folder import new_folder
from ss_poc.labelling.importers import Moved, move_in
from ss_poc.labelling.model import Image, Region


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return new_folder(tmp_path / "datasets", "photos")


def masks(image: Image) -> dict[str, list[str]]:
    """Regions of an image by label, as pictures."""
    found: dict[str, np.ndarray] = {}
    for region in image.regions:
        given = region.segmentation
        mask = decode_rle(given, image.size_hw) if isinstance(given, dict) else polygons_to_mask(given, image.size_hw)
        found[region.label] = found.get(region.label, False) | mask
    return {label: picture_of(mask) for label, mask in found.items()}


def in_zip(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*"):
            archive.write(file, file.relative_to(folder))
    return path


@pytest.mark.parametrize("zipped", [False, True])
def test_cvat_s_zip_with_photographs_of_one_name_in_two_folders(folder, tmp_path, zipped):
    source = tmp_path / "cvat"
    (source / "annotations").mkdir(parents=True)
    shutil.copy(DATA / "cvat.json", source / "annotations" / "instances_default.json")
    for number, name in enumerate(("shift_1", "shift_2")):
        save_noise(source / "images" / name / "tile.png", (4, 6), number)
    moved = move_in(in_zip(source) if zipped else source, folder, {})
    assert [image.name for image in moved.images] == ["tile.png", "tile_2.png"] and moved.copied == 2
    assert set(moved.labels) <= {"Scratch", "Dent"} and moved.left_out == []
    np.testing.assert_array_equal(Picture.open(folder / "tile_2.png"), noise((4, 6), 1))
    # Runs of the json: 5 off, 2 on, 2 off, 2 on, 2 off, 2 on, 9 off, column by column of 4.
    assert masks(moved.images[0])["Scratch"] == MIDDLE


def test_roboflow_s_folders_of_all_parts_without_its_category_that_only_groups(folder, tmp_path):
    for part, place in enumerate(("train", "valid")):
        source = tmp_path / "robo" / place
        source.mkdir(parents=True)
        value = json.loads((DATA / "roboflow.json").read_text())
        for number, image in enumerate(value["images"]):
            image["file_name"] = f"{place}_{number}.png"
            save_noise(source / image["file_name"], (4, 6), 10 * part + number)
        (source / "_annotations.coco.json").write_text(json.dumps(value))
    moved = move_in(tmp_path / "robo", folder, {})
    assert set(moved.labels) == {"Dent", "Scratch"} and moved.copied == 4
    assert [image.name for image in moved.images] == ["train_0.png", "train_1.png", "valid_0.png", "valid_1.png"]
    first, second = {"Scratch": MIDDLE}, {"Dent": LOWER_RIGHT, "Scratch": CORNER}
    assert [masks(image) for image in moved.images] == [first, second, first, second]


def test_labelme_s_own_converter_s_folder(folder, tmp_path):
    source = tmp_path / "labelme"
    save_noise(source / "JPEGImages" / "a.png", (4, 6))
    (source / "annotations.json").write_text(json.dumps({
        "info": {"description": None}, "licenses": [{"url": None, "id": 0, "name": None}], "type": "instances",
        "images": [{"license": 0, "url": None, "file_name": "JPEGImages/a.png", "height": 4, "width": 6, "id": 0}],
        "categories": [{"supercategory": None, "id": 0, "name": "_background_"},
                       {"supercategory": None, "id": 1, "name": "scratch"}],
        "annotations": [{"id": 0, "image_id": 0, "category_id": 1, "segmentation": [box(0, 0, 2, 1)], "area": 2.0,
                         "bbox": [0.0, 0.0, 2.0, 1.0], "iscrowd": 0}]}))
    moved = move_in(source, folder, {})
    assert list(moved.labels) == ["scratch"] and masks(moved.images[0]) == {"scratch": CORNER}


def test_labels_of_photographs_that_are_in_the_folder_already_copy_nothing(folder, tmp_path):
    save_noise(folder / "a.png", (4, 6))
    path = tmp_path / "alone" / "labels.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"images": [{"id": 1, "file_name": "a.png", "height": 4, "width": 6}],
                                "categories": [{"id": 5, "name": "pit", "color": "#123456"}],
                                "annotations": [{"id": 1, "image_id": 1, "category_id": 5,
                                                 "segmentation": [box(1, 1, 4, 3)]}]}))
    moved = move_in(path, folder, {})
    assert moved == Moved({"pit": "#123456"}, moved.images, 0, [])
    assert masks(moved.images[0]) == {"pit": MIDDLE}


def test_a_photograph_turned_by_exif_has_its_regions_turned_as_well(folder, tmp_path):
    source = tmp_path / "turned"
    source.mkdir()
    exif = Picture.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise: stored 4 high and 6 wide, seen 6 high and 4 wide
    Picture.fromarray(noise((4, 6), 0)).save(source / "a.jpg", exif=exif)
    (source / "labels.json").write_text(json.dumps({
        "images": [{"id": 1, "file_name": "a.jpg", "height": 4, "width": 6}], "categories": [{"id": 1, "name": "pit"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [box(0, 0, 2, 1)]}]}))
    (image,) = move_in(source, folder, {}).images
    assert image.size_hw == (6, 4)
    assert masks(image) == {"pit": ["...#", "...#", "....", "....", "....", "...."]}


# --- masks


def save_mask(path: Path, values: list[list[int]], mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Picture.fromarray(np.array(values, np.uint8), "L")
    if mode == "P":
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        indexed = Picture.new("P", picture.size)
        indexed.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
        indexed.putdata([value for row in values for value in row])
        picture = indexed
    picture.save(path)


VALUES = [[1, 1, 0, 0, 0, 0], [0, 2, 2, 2, 0, 0], [0, 2, 2, 2, 0, 0], [0] * 6]
LABELS = {"scratch": "#ff0000", "pit": "#00ff00"}


@pytest.mark.parametrize("mode", ["L", "P"])
def test_values_of_a_mask_are_the_labels_in_their_order(folder, tmp_path, mode):
    save_noise(folder / "a.png", (4, 6), 0)
    save_noise(folder / "clean.png", (4, 6), 1)
    save_mask(tmp_path / "masks" / "a.png", VALUES, mode)
    save_mask(tmp_path / "masks" / "clean.png", [[0] * 6] * 4, mode)
    moved = move_in(tmp_path / "masks", folder, LABELS)
    a, clean = moved.images
    assert masks(a) == {"scratch": CORNER, "pit": MIDDLE} and clean.regions == () and moved.labels == LABELS


def test_of_a_single_label_any_value_counts(folder, tmp_path):
    save_noise(folder / "a.png", (4, 6))
    save_mask(tmp_path / "masks" / "a.png", [[255, 255, 0, 0, 0, 0], *[[0] * 6] * 3])
    (image,) = move_in(tmp_path / "masks", folder, {"pit": "#00ff00"}).images
    assert masks(image) == {"pit": CORNER}


def test_a_folder_for_each_label_and_photographs_from_elsewhere(folder, tmp_path):
    save_noise(tmp_path / "photos" / "a.png", (4, 6))
    save_mask(tmp_path / "masks" / "scratch" / "a.png", [[9, 9, 0, 0, 0, 0], *[[0] * 6] * 3])
    save_mask(tmp_path / "masks" / "pit" / "a.png", [[0] * 6, [0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0] * 6])
    moved = move_in(tmp_path / "masks", folder, LABELS, tmp_path / "photos")
    assert masks(moved.images[0]) == {"scratch": CORNER, "pit": MIDDLE} and moved.copied == 1
    assert (folder / "a.png").read_bytes() == (tmp_path / "photos" / "a.png").read_bytes()


@pytest.mark.parametrize(("name", "place", "said"), [
    ("b.png", "strangers", "there is no photograph for the mask b.png"),
    ("a.png", "values", "the mask of a.png holds the value 7"), ("a.png", "size", "the mask a.png is 4x5"),
    ("a.png", "damaged", "the mask a.png: cannot identify image file")])
def test_masks_that_cannot_be_used_say_why(folder, tmp_path, name, place, said):
    save_noise(folder / "a.png", (4, 6))
    path = tmp_path / place / name
    save_mask(path, {"values": [[7] * 6] * 4, "size": [[1] * 5] * 4}.get(place, VALUES))
    if place == "damaged":
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=said):
        move_in(tmp_path / place, folder, LABELS)


def test_a_folder_without_labels_says_which_can_be_read_and_how_masks_are_named(folder):
    save_noise(folder / "a.png", (4, 6))
    with pytest.raises(DataError, match="no labels in") as raised:
        move_in(folder, folder, {})
    assert "labelme" in raised.value.expected and "--labels scratch,pit" in raised.value.fix


# --- whatever training reads


def test_labels_of_yolo_voc_and_label_studio_come_in_by_the_readers_of_the_training(folder, tmp_path):
    images = [Image("a.png", (4, 6), (Region("pit", [box(1, 1, 4, 3)]),)), Image("b.png", (4, 6))]
    for number, image in enumerate(images):
        save_noise(tmp_path / "photos" / image.name, (4, 6), number)
    for to in WRITERS:
        write_labels(tmp_path / to, to, {"pit": "#00ff00"}, images, tmp_path / "photos")
        moved = move_in(in_zip(tmp_path / to), folder, {})
        assert [(image.name, masks(image)) for image in moved.images] == [("a.png", {"pit": MIDDLE}), ("b.png", {})], to
    assert sorted(path.name for path in folder.glob("*.png")) == ["a.png", "b.png"]


def test_labels_beside_other_pictures_find_the_photographs_of_the_data_set(folder, tmp_path):
    save_noise(folder / "a.png", (4, 6))
    save_noise(tmp_path / "downloads" / "holiday.png", (4, 6), 1)
    (tmp_path / "downloads" / "a.json").write_text(json.dumps({
        "version": "5.5.0", "imagePath": "a.png", "imageData": None, "imageHeight": 4, "imageWidth": 6,
        "shapes": [{"label": "pit", "shape_type": "polygon", "points": [[1, 1], [4, 1], [4, 3], [1, 3]]}]}))
    moved = move_in(tmp_path / "downloads" / "a.json", folder, {})
    assert masks(moved.images[0]) == {"pit": MIDDLE} and moved.copied == 0


def test_what_is_not_there_or_no_zip_is_said(folder, tmp_path):
    with pytest.raises(DataError, match="there is no"):
        move_in(tmp_path / "nothing", folder, {})
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match="is no zip"):
        move_in(tmp_path / "a.zip", folder, {})
