"""ss_poc.formats.readers.mask_pairs: a mask is never that of another photograph without a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ss_poc.data.dataset import inspect_coco
from ss_poc.formats.coco_rules import Finding
from ss_poc.formats.readers.mask_pairs import label_folders, pair_masks
from ss_poc.formats.readers.masks import read_masks


def pairs(masks: list[str], photos: list[str], *folders: str) -> tuple[dict[str, list[str]], list[Finding]]:
    findings: list[Finding] = []
    return pair_masks(masks, photos, folders, findings), findings


@pytest.mark.parametrize(("mask", "photo"), [
    ("a/1.png", "a/1.jpg"), ("1.png", "images/1.jpg"), ("1_mask.png", "1.jpg"), ("1.png", "cam/1.jpg"),
    ("train/1.png", "images/train/1.jpg"), ("x/a/1.png", "a/1.jpg"), ("part_seg.png", "JPEGImages/part_seg.jpg")])
def test_a_mask_belongs_to_the_photograph_of_its_name(mask, photo):
    assert pairs([mask], [photo, "2.jpg"]) == ({photo: [mask]}, [])


def test_the_same_path_comes_before_a_name_without_its_ending():
    masks, photos = ["part.png", "part_seg.png"], ["part.jpg", "part_seg.jpg"]
    assert pairs(masks, photos) == ({"part.jpg": ["part.png"], "part_seg.jpg": ["part_seg.png"]}, [])


def test_equal_names_in_train_and_val_stay_apart():
    masks, photos = ["train/1.png", "val/1.png"], ["images/train/1.jpg", "images/val/1.jpg"]
    assert pairs(masks, photos) == ({photo: [mask] for photo, mask in zip(photos, masks, strict=True)}, [])


def test_a_mask_without_a_folder_belongs_to_the_photograph_that_is_left():
    assert pairs(["1.png", "b/1.png"], ["a/1.jpg", "b/1.jpg"])[0] == {"a/1.jpg": ["1.png"], "b/1.jpg": ["b/1.png"]}


@pytest.mark.parametrize(("mask", "photos", "code", "said"), [
    ("1.png", ["a/1.jpg", "b/1.jpg"], "file-ambiguous", "may be that of a/1.jpg, b/1.jpg"),
    ("c/1.png", ["a/1.jpg"], "file-missing", "no photograph for the mask c/1.png"),
    ("2.png", ["1.jpg"], "file-missing", "no photograph for the mask 2.png")])
def test_a_mask_of_several_photographs_or_none_is_named(mask, photos, code, said):
    found, (only,) = pairs([mask], photos)
    assert found == {} and only.code == code and only.where == mask and said in only.detail


def test_a_folder_for_each_label_gives_a_photograph_several_masks():
    found, findings = pairs(["dent/1.png", "pit/1.png", "scratch/1.png", "2.png"], ["1.jpg", "2.jpg"], "pit", "scratch")
    assert found == {"1.jpg": ["pit/1.png", "scratch/1.png"]}
    assert [(item.code, item.where) for item in findings] == [
        ("label-unknown", "masks in no folder"), ("label-unknown", "the masks in dent/")]


@pytest.mark.parametrize(("masks", "photos", "folders"), [
    (["pit/1.png", "scratch/1.png"], ["1.jpg"], ["pit", "scratch"]),
    (["a/1.png", "b/1.png"], ["a/1.jpg", "b/1.jpg"], []),         # folders of photographs
    (["train/1.png", "val/2.png"], ["1.jpg", "2.jpg"], []),       # splits
    (["pit/1.png"], ["1.jpg"], []),                               # a single one says nothing
    (["pit/1.png", "scratch/1.png", "1.png"], ["1.jpg"], [])])    # masks beside the folders
def test_folders_of_masks_are_labels_where_no_photograph_lies_in_such_a_folder(masks, photos, folders):
    assert label_folders("masks", masks, photos, ()) == folders


def save(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def test_masks_in_a_folder_for_each_label_are_read(tmp_path):
    save(tmp_path / "images" / "1.png", np.zeros((4, 6, 3)))
    for row, label in enumerate(("pit", "scratch")):
        mask = np.zeros((4, 6))
        mask[row, :3] = 255
        save(tmp_path / "masks" / label / "1.png", mask)
    dataset, _ = inspect_coco(tmp_path, tmp_path)
    assert dataset is not None and dataset.labels == ("pit", "scratch")
    assert dataset.samples[0].mask(2)[:2, 0].tolist() == [[True, False], [False, True]]


def test_several_numbers_in_a_folder_that_seems_to_be_a_label_are_named(tmp_path):
    for number in (1, 2):
        save(tmp_path / "images" / f"{number}.png", np.full((4, 6, 3), number))
        save(tmp_path / "masks" / f"set{number}" / f"{number}.png", np.arange(24).reshape(4, 6) // 8)
    findings: list[Finding] = []
    assert read_masks(tmp_path / "masks", tmp_path, findings).images == ()
    assert [item.code for item in findings] == ["file-unreadable"] * 2 and "several numbers" in findings[0].detail


@pytest.mark.parametrize("inside", [255, 1], ids=["0 and 255", "VOC's rim"])
def test_a_mask_that_is_255_in_every_pixel_leaves_its_photograph_out_and_is_named(tmp_path, inside):
    """Three photographs of 30 rows and 40 columns; the mask of the third is 255 throughout."""
    for number in range(3):
        mask = np.full((30, 40), 255, np.uint8)
        if number < 2:
            mask[:] = 0
            mask[10:20, 5:25] = inside
        for folder, values in (("images", np.full((30, 40), 100 + number, np.uint8)), ("masks", mask)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(values).save(tmp_path / folder / f"{number}.png")
    dataset, findings = inspect_coco(tmp_path / "masks", tmp_path)
    assert dataset is not None and list(dataset.labels) == ["defect"]
    assert [[region.area for region in sample.regions] for sample in dataset.samples] == [[200], [200]]
    named = [(item.where, item.action) for item in findings if item.code == "mask-whole"]
    assert named == [("images/2.png", "skip image")]
