"""ss_poc.data.dataset: exports of labelling tools, and files that are missing, outside, damaged or of another size."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from coco_folder import CORNER, DATA, LOWER_RIGHT, MIDDLE, NOTHING, CocoFolder, channels, noise, save_noise
from PIL import Image

from ss_poc.core import images
from ss_poc.data.dataset import Dataset, load_coco


@pytest.fixture
def folder(tmp_path: Path) -> CocoFolder:
    return CocoFolder(tmp_path)


# --- exports of labelling tools


def flavour(tmp_path: Path, name: str, files: list[str]) -> Dataset:
    for seed, file in enumerate(files):
        save_noise(tmp_path / "line1" / file, seed=seed)
    return load_coco(DATA / f"{name}.json", tmp_path / "line1")


def test_coco_annotator_export_finds_files_of_equal_names_by_their_path(tmp_path):
    dataset = flavour(tmp_path, "coco_annotator", ["tile.png", "sub/tile.png", "clean.png"])
    assert (dataset.labels, dataset.category_ids) == (("Dent", "Scratch"), (2, 5))
    assert dataset.colors == ("#e8677f", "#0a4b7c")
    assert {sample.name: channels(sample, 2) for sample in dataset.samples} == {
        "clean.png": [NOTHING, NOTHING], "sub/tile.png": [LOWER_RIGHT, CORNER], "tile.png": [NOTHING, MIDDLE]}
    assert [item.code for item in dataset.findings] == ["class-rare"]


def test_cvat_export_has_subfolders_and_uncompressed_rle(tmp_path):
    dataset = flavour(tmp_path, "cvat", ["shift_1/tile.png", "shift_2/tile.png"])
    assert {sample.name: channels(sample, 2) for sample in dataset.samples} == {
        "shift_1/tile.png": [MIDDLE, NOTHING], "shift_2/tile.png": [CORNER, LOWER_RIGHT]}


def test_label_studio_export_is_found_in_the_folder_that_holds_images(tmp_path):
    names = ["images/abc12345-photo.png", "images/def67890-photo.png", "local.png", "cb0618f6-new.png",
             "with space.png"]
    dataset = flavour(tmp_path, "label_studio", names)
    assert (dataset.labels, dataset.category_ids) == (("Dent", "Scratch"), (0, 1))
    assert {sample.name: channels(sample, 2) for sample in dataset.samples} == {
        names[0]: [NOTHING, MIDDLE], names[1]: [LOWER_RIGHT, NOTHING], names[2]: [NOTHING, CORNER],
        names[3]: [LOWER_RIGHT, NOTHING], names[4]: [NOTHING, NOTHING]}
    assert {item.code for item in dataset.findings} == {"path-shortened"}


def test_label_studio_export_is_found_in_the_folder_images_itself(tmp_path):
    dataset = flavour(tmp_path, "label_studio", ["abc12345-photo.png", "def67890-photo.png", "local.png",
                                                 "cb0618f6-new.png", "with space.png"])
    assert len(dataset.samples) == 5


def test_roboflow_export_drops_the_category_that_only_groups(tmp_path):
    names = ["photo_01_png.rf.0f672ba9c9aec804996ad6757a32c093.png",
             "photo_02_png.rf.9981b4857d51eaefade4893f6bf8780d.png"]
    for seed, name in enumerate(names):
        save_noise(tmp_path / name, seed=seed)
    shutil.copy(DATA / "roboflow.json", tmp_path / "_annotations.coco.json")
    dataset = load_coco(tmp_path / "_annotations.coco.json", tmp_path)
    assert (dataset.labels, dataset.category_ids) == (("Dent", "Scratch"), (1, 2))
    assert [channels(sample, 2) for sample in dataset.samples] == [[NOTHING, MIDDLE], [LOWER_RIGHT, CORNER]]
    assert [item.code for item in dataset.findings] == ["class-rare", "category-unused"]
    assert [item.where for item in dataset.findings] == ["Dent", "Scratch"]


def test_names_of_a_mac_and_of_the_json_may_spell_letters_differently(folder):
    composed, decomposed = "\ud06c\ub799.png", "\u110f\u1173\u1105\u1162\u11a8.png"
    save_noise(folder.root / decomposed, seed=50)
    folder.image(composed, draw=False)
    assert folder.names() == ["good0.png", "good1.png", decomposed]


# --- files that are not there, not inside, or not what the json says


def test_missing_file_is_skipped(folder):
    folder.region(folder.image("gone.png", draw=False))
    assert folder.codes() == ["file-missing"]
    assert folder.names() == ["good0.png", "good1.png"]


@pytest.mark.parametrize("given", ["/etc/outside.png", "../outside.png", "sub/../../outside.png", "C:\\x\\outside.png",
                                   "..\\outside.png"])
def test_path_outside_is_never_opened(folder, given, monkeypatch):
    save_noise(folder.root.parent / "outside.png", seed=70)
    folder.region(folder.image(given, draw=False))
    opened = []
    monkeypatch.setattr(Path, "read_bytes", lambda path, read=Path.read_bytes: opened.append(path.name) or read(path))
    dataset, findings = folder.inspect()
    assert [(item.code, item.action) for item in findings] == [("path-outside", "skip image")]
    assert sorted(set(opened) - {"coco.json"}) == ["good0.png", "good1.png"]
    assert len(dataset.samples) == 2


@pytest.mark.parametrize("link", ["link.png", "linked/outside.png"])
def test_link_to_a_file_outside_is_never_opened(folder, link, monkeypatch):
    outside = folder.root.parent / "secret"
    save_noise(outside / "outside.png", seed=70)
    (folder.root / link.split("/")[0]).symlink_to(outside / "outside.png" if link == "link.png" else outside)
    folder.image(link, draw=False)
    monkeypatch.setattr(images, "open_image", lambda data, opened=images.open_image: opened(data) if data != (
        outside / "outside.png").read_bytes() else pytest.fail("read"))
    assert folder.codes()[0] == "path-outside"


def test_link_inside_the_folder_is_followed(folder):
    (folder.root / "link.png").symlink_to(folder.root / "good0.png")
    folder.region(folder.image("link.png", draw=False))
    assert folder.codes() == ["identical-copies"]


@pytest.mark.parametrize("given", ["nul\0byte.png", "x" * 5000, ".", "/", "line1"])
def test_impossible_file_names_are_skipped(folder, given):
    folder.image(given, draw=False)
    assert folder.codes() in (["file-missing"], ["path-outside"])


def test_two_paths_that_end_at_one_file_do_not_share_it(folder):
    folder.image("tile.png", path="/datasets/line1/tile.png")
    lost = folder.image("tile.png", draw=False, path="/datasets/line1/sub/tile.png")
    folder.region(lost)
    dataset, findings = folder.inspect()
    assert [item.code for item in findings] == ["path-ambiguous"]
    assert dataset.samples[-1].name == "tile.png"
    assert not dataset.samples[-1].regions


def test_the_longest_path_that_is_there_wins(folder):
    save_noise(folder.root / "tile.png", seed=60)
    folder.image("sub/tile.png", path="/home/me/other/tile.png")
    assert folder.codes() == ["unlisted-images"]
    assert folder.names() == ["good0.png", "good1.png", "sub/tile.png"]


def test_size_that_differs_from_the_file_is_skipped(folder):
    folder.image("a.png", (4, 6))
    folder.value["images"][-1].update(width=600, height=400)
    dataset, findings = folder.inspect()
    assert [item.code for item in findings] == ["size-mismatch"]
    assert findings[0].detail == "the json says 400x600, the file is 4x6 (height x width); expected the same"


@pytest.mark.parametrize("size", [{}, {"width": None, "height": None}, {"width": 0, "height": 0}, {"width": 6.5}])
def test_an_entry_without_a_usable_size_has_that_of_its_file(folder, size):
    folder.region(folder.image("a.png", (5, 7)))
    for key in ("width", "height"):
        del folder.value["images"][-1][key]
    folder.value["images"][-1].update(size)
    dataset, findings = folder.inspect()
    assert findings == () and [sample.size_hw for sample in dataset.samples if sample.name == "a.png"] == [(5, 7)]


def test_sizes_and_ids_that_are_written_as_whole_floats_are_numbers(folder):
    image = folder.image("a.png", (5, 7))
    folder.value["images"][-1].update(id=float(image), width=7.0, height=5.0)
    folder.region(image)
    assert folder.codes() == [] and "a.png" in folder.names()


def test_size_turned_without_exif_is_skipped(folder):
    folder.image("a.png", (4, 6))
    folder.value["images"][-1].update(width=4, height=6)
    assert folder.codes() == ["size-mismatch"]


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("part", [0.5, 0.97])
def test_truncated_image_is_skipped(folder, format_, part):
    path = folder.root / "cut.img"
    Image.fromarray(noise((40, 60), 5)).save(path, format_)
    path.write_bytes(path.read_bytes()[:int(path.stat().st_size * part)])
    folder.image("cut.img", (40, 60), draw=False)
    assert folder.codes() == ["image-unreadable"]


@pytest.mark.parametrize("content", [b"", b"not an image", b"%PDF-1.7 nor this"])
def test_file_that_is_no_image_is_skipped(folder, content):
    (folder.root / "a.png").write_bytes(content)
    folder.image("a.png", draw=False)
    assert folder.codes() == ["image-unreadable"]


def test_image_over_the_limit_of_pixels_is_skipped_before_it_is_decoded(folder):
    Image.new("1", (20_000, 10_001)).save(folder.root / "bomb.png")
    folder.image("bomb.png", (10_001, 20_000), draw=False)
    assert folder.codes() == ["image-too-large"]
