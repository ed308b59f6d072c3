"""ss_poc.data.convert: labels go from any format to any other, as a person sees the photographs."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from coco_folder import CORNER, MIDDLE, CocoFolder, box, picture_of, save_noise
from PIL import Image as Picture

from ss_poc.core.errors import ArtifactError, ConfigError, DataError
from ss_poc.data.convert import convert, main
from ss_poc.data.dataset import load_coco
from ss_poc.formats.write_labels import WRITERS


def masks(folder: Path) -> dict[str, dict[str, list[str]]]:
    dataset = load_coco(folder, folder)
    return {sample.name.removeprefix("images/").removeprefix("JPEGImages/"): {
        label: picture_of(sample.mask(len(dataset.labels))[..., channel])
        for channel, label in enumerate(dataset.labels) if channel in sample.classes} for sample in dataset.samples}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A crack on one photograph, a dent on another, none on the third; and a label that nobody used."""
    folder = CocoFolder(tmp_path, good=0)
    folder.value["categories"] = [{"id": 3, "name": "unused", "color": "#112233"}, {"id": 5, "name": "crack"},
                                  {"id": 9, "name": "dent"}]
    folder.region(folder.image("a/1.png"), category_id=5)
    folder.region(folder.image("b/1.png"), [box(0, 0, 2, 1)], category_id=9)
    folder.image("b/clean.png")
    folder.save().rename(folder.root / "coco.json")
    return folder.root


@pytest.mark.parametrize("first", [*WRITERS])
@pytest.mark.parametrize("second", [*WRITERS])
def test_every_format_converts_to_every_other_and_loses_no_pixel(tmp_path, source, first, second):
    convert(source, tmp_path / "first", first)
    convert(tmp_path / "first", tmp_path / "second", second)
    assert masks(tmp_path / "second") == {"a/1.png": {"crack": MIDDLE}, "b/1.png": {"dent": CORNER}, "b/clean.png": {}}


def test_a_label_that_no_region_has_keeps_its_place(tmp_path, source):
    convert(source, tmp_path / "out", "yolo")
    assert (tmp_path / "out" / "data.yaml").read_text().endswith("names:\n  0: unused\n  1: crack\n  2: dent\n")
    assert (tmp_path / "out" / "labels" / "b" / "1.txt").read_text().startswith("2 ")


@pytest.mark.parametrize("to", [*WRITERS])
def test_regions_of_a_turned_photograph_are_written_as_it_is_shown(tmp_path, to):
    folder = tmp_path / "turned"
    folder.mkdir()
    exif = Picture.Exif()
    exif[0x0112] = 6  # a quarter turn clockwise: stored 4 high and 6 wide, shown 6 high and 4 wide
    Picture.fromarray(np.zeros((4, 6, 3), np.uint8)).save(folder / "p.jpg", exif=exif)
    (folder / "labels.json").write_text(json.dumps({
        "images": [{"id": 1, "file_name": "p.jpg", "height": 4, "width": 6}], "categories": [{"id": 1, "name": "pit"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [box(0, 0, 2, 1)]}]}))
    convert(folder, tmp_path / "out", to)
    assert masks(tmp_path / "out") == {"p.jpg": {"pit": ["...#", "...#", "....", "....", "....", "...."]}}


def test_a_region_that_leaves_its_photograph_is_cut_at_the_border(tmp_path, source):
    value = json.loads((source / "coco.json").read_text())
    value["annotations"][1]["segmentation"] = [box(-3, -3, 2, 1)]
    (source / "coco.json").write_text(json.dumps(value))
    convert(source, tmp_path / "out", "yolo")
    words = (tmp_path / "out" / "labels" / "b" / "1.txt").read_text().split()[1:]
    assert {float(word) for word in words} == {0, 0.25, 0.33333333}
    assert masks(tmp_path / "out")["b/1.png"] == {"dent": CORNER}


def test_photographs_that_lie_elsewhere_are_named(tmp_path, source):
    (source / "coco.json").rename(tmp_path / "alone.json")
    convert(tmp_path / "alone.json", tmp_path / "out", "labelme", source)
    assert sorted(path.name for path in (tmp_path / "out" / "b").iterdir()) == [
        "1.json", "1.png", "clean.json", "clean.png"]


def test_masks_convert_with_the_photographs_beside_their_folder(tmp_path, source):
    convert(source, tmp_path / "voc", "voc")
    convert(tmp_path / "voc" / "SegmentationClass", tmp_path / "out", "coco")
    assert masks(tmp_path / "out")["a/1.png"] == {"crack": MIDDLE}


def test_a_zip_is_converted_with_the_photographs_in_it(tmp_path, source):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in source.rglob("*.*"):
            archive.write(path, path.relative_to(tmp_path))
    convert(tmp_path / "photos.zip", tmp_path / "out", "coco")
    assert masks(tmp_path / "out") == {"a/1.png": {"crack": MIDDLE}, "b/1.png": {"dent": CORNER}, "b/clean.png": {}}


def test_a_target_that_is_there_is_refused_before_anything_is_read(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ArtifactError, match="out is there already"):
        convert(tmp_path / "no such labels", tmp_path / "out", "yolo")


def test_a_target_in_the_source_is_refused(source):
    with pytest.raises(ConfigError, match="lies in"):
        convert(source, source / "yolo", "yolo")


@pytest.mark.parametrize("broken", ["{", json.dumps({"images": [], "categories": [], "annotations": []})])
def test_labels_that_cannot_be_read_leave_no_target(tmp_path, source, broken):
    (source / "coco.json").write_text(broken)
    with pytest.raises((ArtifactError, DataError)):
        convert(source, tmp_path / "out", "yolo")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["line1"]


def test_the_command_says_what_is_lost_what_is_left_out_and_where_photographs_are(tmp_path, source, capsys):
    value = json.loads((source / "coco.json").read_text())
    value["annotations"] += [
        {"id": 7, "image_id": 1, "category_id": 9, "segmentation": [box(1, 1, 2, 2)]},
        {"id": 8, "image_id": 3, "category_id": 9, "segmentation": [], "bbox": [1, 1, 2, 2]}]
    (source / "coco.json").write_text(json.dumps(value))
    save_noise(source / "a" / "unlisted.bmp", (4, 6), 9)
    main([str(source), str(tmp_path / "out"), "--to", "voc"])
    said = capsys.readouterr().out
    assert "box-only: 1 (skip image)" in said and "unlisted-images: 1 (keep)" in said and "class-rare" not in said
    assert ("where classes overlap, only the smaller region is kept, as a pixel has one class: 1 photograph\n"
            "    a/1.png: 1 pixel\n") in said
    assert said.endswith(f"photographs are copied to {tmp_path / 'out' / 'JPEGImages'}\n"
                         f"crack, dent; 2 photographs (0 clean), 3 regions → {tmp_path / 'out'}\n")


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0 and "examples:\n  sh labels.sh convert" in capsys.readouterr().out
