"""ss_poc.data.dataset: labelled folders to samples; what is read, refused, skipped, clipped and kept."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from coco_folder import MIDDLE, NOTHING, CocoFolder, box, channels, noise, save_noise
from PIL import Image

from ss_poc.data.dataset import load_coco


@pytest.fixture
def folder(tmp_path: Path) -> CocoFolder:
    return CocoFolder(tmp_path)


# --- masks and images of good samples


def test_polygon_covers_the_pixels_inside_of_it(folder):
    sample = folder.load().samples[0]
    assert channels(sample, 1) == [MIDDLE]
    assert sample.mask(1).dtype == bool
    assert sample.regions[0].area == 6


def test_image_is_the_file_in_rgb(folder):
    assert np.array_equal(folder.load().samples[0].image(), noise((4, 6), 1))


def test_image_without_annotations_is_a_negative_and_no_finding(folder):
    folder.image("clean.png", (3, 5))
    dataset, findings = folder.inspect()
    clean = dataset.samples[0]
    assert (clean.name, clean.classes, clean.mask(1).shape, clean.mask(1).any()) == (
        "clean.png", frozenset(), (3, 5, 1), False)
    assert findings == ()


def test_regions_of_one_class_unite_and_classes_overlap(folder):
    folder.value["categories"].append({"id": 2, "name": "Dent"})
    for name in ("both.png", "both2.png"):
        image = folder.image(name)
        folder.region(image, [box(0, 0, 1, 1), box(1, 0, 2, 1)])
        folder.region(image, {"size": [4, 6], "counts": "b0220"})
        folder.region(image, {"size": [4, 6], "counts": [5, 2, 2, 2, 2, 2, 9]}, category_id=2, iscrowd=1)
    sample = folder.load().samples[0]
    united = ["##....", "......", "....##", "....##"]
    assert channels(sample, 2) == [united, MIDDLE]
    assert sample.classes == {0, 1}


@pytest.mark.parametrize("segmentation", [[box(1, 1, 4, 3)], box(1, 1, 4, 3), [box(1, 1, 4, 3), []],
                                          {"size": [4, 6], "counts": [5, 2, 2, 2, 2, 2, 9]}])
@pytest.mark.parametrize("iscrowd", [0, 1, True, False, None])
def test_every_shape_of_segmentation_gives_the_same_mask(folder, segmentation, iscrowd):
    for name in ("a.png", "b.png"):
        folder.region(folder.image(name), segmentation, iscrowd=iscrowd)
    assert channels(folder.load().samples[0], 1) == [MIDDLE]
    assert folder.codes() == []


def test_self_crossing_polygon_is_rasterised_the_same_every_time(folder):
    folder.region(folder.image("a.png", (8, 8)), [[0, 0, 8, 8, 8, 0, 0, 8]])
    first, second = folder.load(), folder.load()
    assert first.samples[0].mask(1).any()
    assert np.array_equal(first.samples[0].mask(1), second.samples[0].mask(1))


def test_too_few_classes_for_a_mask_is_an_error(folder):
    with pytest.raises(IndexError):
        folder.load().samples[0].mask(0)


@pytest.mark.parametrize(("mode", "value", "expected"), [
    ("L", 77, (77, 77, 77)), ("RGBA", (10, 20, 30, 0), (10, 20, 30)), ("I;16", 0x8081, (0x80, 0x80, 0x80)),
    ("P", 0, None), ("LA", (9, 200), (9, 9, 9))])
def test_grey_alpha_and_16_bit_images_become_rgb(folder, mode, value, expected):
    Image.new(mode, (6, 4), value).save(folder.root / "a.png")
    folder.image("a.png", draw=False)
    image = folder.load().samples[0].image()
    assert (image.shape, image.dtype) == ((4, 6, 3), np.uint8)
    assert expected is None or (image == expected).all()


# --- channels, colours, fingerprint


def test_channels_are_in_the_order_of_category_ids_not_of_the_json(folder):
    folder.value["categories"] = [{"id": 7, "name": " Dent "}, {"id": 1, "name": "Crack"}]
    for name in ("a.png", "b.png"):
        folder.region(folder.image(name), category_id=7)
    dataset = folder.load()
    assert (dataset.labels, dataset.category_ids) == (("Crack", "Dent"), (1, 7))
    assert channels(dataset.samples[0], 2) == [NOTHING, MIDDLE]


def test_colours_are_the_json_s_where_valid_and_always_distinct(folder):
    folder.value["categories"] = [
        {"id": 1, "name": "a", "color": "#AABBCC"}, {"id": 2, "name": "b", "color": "red"},
        {"id": 3, "name": "c", "color": "#aabbcc"}, {"id": 4, "name": "d", "color": "#010203"}, {"id": 5, "name": "e"}]
    for name in ("a.png", "b.png"):
        image = folder.image(name)
        for category in range(2, 6):
            folder.region(image, category_id=category)
    colors = folder.load().colors
    assert (colors[0], colors[3]) == ("#aabbcc", "#010203")
    assert len(set(colors)) == 5
    assert all(len(bytes.fromhex(color[1:])) == 3 for color in colors)


def test_ids_may_be_numeric_strings(folder):
    folder.value["images"][0]["id"] = "1"
    folder.value["annotations"][0].update(id="1", image_id=" 1 ", category_id="1")
    dataset, findings = folder.inspect()
    assert (dataset.labels, findings, dataset.samples[0].classes) == (("Crack",), (), {0})


def test_two_loads_are_equal(folder):
    folder.region(folder.image("c.png"), [box(3, 1, 12, 3)])
    folder.image("gone.png", draw=False)
    first, second = folder.load(), folder.load()
    assert first == second
    assert first.findings
    assert all(np.array_equal(a.mask(1), b.mask(1)) for a, b in zip(first.samples, second.samples, strict=True))


def test_fingerprint_ignores_where_the_folder_is_and_the_order_of_entries(folder, tmp_path):
    folder.region(1, [box(4, 2, 6, 4)])
    first = folder.load()
    shutil.copytree(folder.root, tmp_path / "elsewhere")
    shuffled = {key: rows[::-1] for key, rows in folder.value.items()}
    (tmp_path / "other.json").write_text(json.dumps(shuffled))
    other = load_coco(tmp_path / "other.json", tmp_path / "elsewhere")
    assert (other.fingerprint, other.name) == (first.fingerprint, "elsewhere")
    assert [sample.name for sample in other.samples] == [sample.name for sample in first.samples]


def test_fingerprint_ignores_the_numbers_of_annotations(folder):
    folder.region(1, [box(4, 2, 6, 4)])
    before = folder.load().fingerprint
    for annotation in folder.value["annotations"]:
        annotation["id"] = 100 - annotation["id"]
    assert folder.load().fingerprint == before


@pytest.mark.parametrize("change", ["region", "file", "label"])
def test_fingerprint_changes_with_regions_files_and_labels(folder, change):
    before = folder.load().fingerprint
    if change == "region":
        folder.value["annotations"][0]["segmentation"] = [box(1, 1, 4, 2)]
    elif change == "file":
        save_noise(folder.root / "good0.png", seed=99)
    else:
        folder.value["categories"][0]["name"] = "Dent"
    assert folder.load().fingerprint != before


# --- EXIF: a patch of 8 x 16 (height x width) pixels in the upper left corner of a stored image of 32 x 48

UPRIGHT = {1: (32, 48, box(0, 0, 16, 8)), 2: (32, 48, box(32, 0, 48, 8)), 3: (32, 48, box(32, 24, 48, 32)),
           4: (32, 48, box(0, 24, 16, 32)), 5: (48, 32, box(0, 0, 8, 16)), 6: (48, 32, box(24, 0, 32, 16)),
           7: (48, 32, box(24, 32, 32, 48)), 8: (48, 32, box(0, 32, 8, 48))}
STORED_RLE = {"size": [32, 48], "counts": [0, *[8, 24] * 15, 8, 24 + 32 * 32]}


def turned_photograph(folder: CocoFolder, orientation: int, suffix: str) -> str:
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:8, :16] = 255, 0, 0
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95, "subsampling": 0} if suffix == ".jpg" else {}
    Image.fromarray(pixels).save(folder.root / f"turned{suffix}", exif=exif, **options)
    return f"turned{suffix}"


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_regions_land_on_the_patch_in_the_upright_image(folder, orientation, suffix):
    height, width, patch = UPRIGHT[orientation]
    name = turned_photograph(folder, orientation, suffix)
    folder.region(folder.image(name, (height, width), draw=False), [patch])
    sample = folder.load().samples[-1]
    red = sample.image()[..., 0] > 128
    assert (sample.frame, sample.orientation, sample.size_hw) == ("upright", orientation, (height, width))
    assert sample.stored_size_hw == (32, 48)
    assert np.count_nonzero(red) == 8 * 16
    assert np.array_equal(sample.mask(1)[..., 0], red)


@pytest.mark.parametrize("segmentation", [[box(0, 0, 16, 8)], STORED_RLE], ids=["polygon", "rle"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_stored_regions_land_on_the_patch_in_the_upright_image(folder, orientation, segmentation):
    height, width, patch = UPRIGHT[orientation]
    name = turned_photograph(folder, orientation, ".jpg")
    folder.region(folder.image(name, (32, 48), draw=False), segmentation)
    sample = folder.load().samples[-1]
    mask = sample.mask(1)
    left, top, right, bottom = patch[0], patch[1], patch[4], patch[5]
    assert (sample.frame, sample.size_hw, mask.shape) == ("stored", (height, width), (height, width, 1))
    assert mask[top:bottom, left:right].all()
    assert np.count_nonzero(mask) == 8 * 16
    assert np.array_equal(mask[..., 0], sample.image()[..., 0] > 128)


# --- what is kept, and said


def test_two_entries_of_one_file_unite_their_regions(folder):
    folder.region(folder.image("a.png"), [box(0, 0, 2, 1)])
    folder.region(folder.image("./a.png", draw=False), [box(4, 2, 6, 4)])
    dataset, findings = folder.inspect()
    assert [item.code for item in findings] == ["same-file"]
    assert channels(dataset.samples[0], 1) == [["##....", "......", "....##", "....##"]]


def test_two_entries_of_one_file_with_different_sizes_are_skipped(folder):
    folder.image("a.png")
    folder.image("a.png", (5, 6), draw=False)
    assert sorted(folder.codes()) == ["same-file", "size-mismatch"]


@pytest.mark.parametrize(("segmentation", "code"), [([box(1, 1, 4, 3)], "identical-copies"),
                                                    ([box(0, 0, 2, 1)], "copies-differ")])
def test_byte_identical_copies_are_named(folder, segmentation, code):
    shutil.copy(folder.root / "good0.png", folder.root / "copy.png")
    folder.region(folder.image("copy.png", draw=False), segmentation)
    dataset, findings = folder.inspect()
    assert [(item.code, item.where) for item in findings] == [(code, "copy.png")]
    assert "good0.png" in findings[0].detail
    assert len(dataset.samples) == 3


def test_class_in_one_image_only_is_kept_and_said(folder):
    folder.value["categories"].append({"id": 2, "name": "Dent"})
    folder.region(1, category_id=2)
    dataset, findings = folder.inspect()
    assert [(item.code, item.where) for item in findings] == [("class-rare", "Dent")]
    assert dataset.labels == ("Crack", "Dent")


def test_copies_count_once_for_a_rare_class(folder):
    folder.value["categories"].append({"id": 2, "name": "Dent"})
    shutil.copy(folder.root / "good0.png", folder.root / "copy.png")
    folder.region(1, category_id=2)
    copy = folder.image("copy.png", draw=False)
    folder.region(copy)
    folder.region(copy, category_id=2)
    assert folder.codes() == ["identical-copies", "class-rare"]


def test_category_without_usable_regions_is_dropped_and_said(folder):
    folder.value["categories"] += [{"id": 0, "name": "all", "supercategory": "none"}, {"id": 9, "name": "Lost"}]
    folder.region(folder.image("gone.png", draw=False), category_id=9)
    dataset, findings = folder.inspect()
    assert [item.code for item in findings] == ["file-missing", "category-unused", "category-unused"]
    assert [item.where for item in findings[1:]] == ["all", "Lost"]
    assert findings[2].detail == "category 9 has 1 annotation(s), none of them usable"
    assert dataset.labels == ("Crack",)


def test_files_that_the_json_does_not_name_are_counted(folder):
    save_noise(folder.root / "sub" / "extra.png")
    save_noise(folder.root / ".hidden" / "extra.png")
    findings = folder.inspect()[1]
    assert [item.code for item in findings] == ["unlisted-images"]
    assert findings[0].detail == "1 file(s), such as sub/extra.png"


def test_annotations_that_share_an_id_are_all_used(folder):
    folder.region(1, [box(4, 2, 6, 4)], id=1)
    dataset, findings = folder.inspect()
    assert [item.code for item in findings] == ["duplicate-annotation-id"]
    assert len(dataset.samples[0].regions) == 2


# --- magnetic tiles


TILES = Path(os.environ.get("MAGNETIC_TILE", Path(__file__).parents[3] / "shared" / "data" / "magnetic_tile"))


@pytest.mark.skipif(not TILES.is_dir(), reason=f"no magnetic tiles at {TILES}; MAGNETIC_TILE names their folder")
def test_magnetic_tiles_load_whole():
    dataset = load_coco(next(TILES.glob(".exports/*.json")), TILES)
    assert (len(dataset.samples), dataset.findings) == (481, ())
    assert dataset.labels == ("Blowhole", "Break", "Crack", "Fray", "Uneven")
    for sample in random.Random(0).sample(dataset.samples, 20):
        assert sample.mask(5).shape == (*sample.image().shape[:2], 5)


def test_samples_are_found_by_name_in_the_order_asked_for(folder):
    dataset = folder.load()
    names = [sample.name for sample in dataset.samples]
    assert [sample.name for sample in dataset.samples_of(names[::-1])] == names[::-1]
    with pytest.raises(KeyError):
        dataset.samples_of(["missing.png"])
