"""The demo data set: what is drawn is labelled, the seed decides everything, and nobody's folder is overwritten."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import stage
from PIL import Image

from ss_poc.core.errors import ConfigError, SegmentError
from ss_poc.core.masks import polygons_to_mask
from ss_poc.data.dataset import inspect_coco
from ss_poc.synthetic import demo, steel
from ss_poc.synthetic.demo import main, make_demo
from ss_poc.synthetic.steel import CLASSES, SIZE_HW, draw_photograph

COUNT = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("datasets") / "demo"
    make_demo(made, COUNT)
    return made


@pytest.fixture(scope="module")
def coco(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / ".exports" / "coco-1700000000.0.json").read_text())
    return value


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def masks_of(coco: dict[str, Any]) -> dict[int, np.ndarray]:
    """(H, W) number of classes at each pixel, an image each."""
    found = {image["id"]: np.zeros(SIZE_HW, int) for image in coco["images"]}
    for annotation in coco["annotations"]:
        found[annotation["image_id"]] += polygons_to_mask(annotation["segmentation"], SIZE_HW)
    return found


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    make_demo(tmp_path / "one" / "demo", 4, seed=3)
    make_demo(tmp_path / "two" / "demo", 4, seed=3)
    assert len(content(tmp_path / "one")) == 5
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_other_seed_gives_other_pictures(tmp_path: Path, folder: Path) -> None:
    make_demo(tmp_path / "demo", 4, seed=1)
    drawn = {path.read_bytes() for path in folder.glob("*.jpg")}
    assert len(drawn) == COUNT
    assert not drawn & {path.read_bytes() for path in (tmp_path / "demo").glob("*.jpg")}


def test_pictures_are_colour_jpegs_of_the_size_in_the_json(folder: Path, coco: dict[str, Any]) -> None:
    assert sorted(path.name for path in folder.glob("*.jpg")) == [image["file_name"] for image in coco["images"]]
    for image in coco["images"]:
        with Image.open(folder / image["file_name"]) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "RGB")
            assert picture.size == (image["width"], image["height"]) == (320, 240)


def test_pictures_are_exposed_like_photographs(folder: Path) -> None:
    for path in folder.glob("*.jpg"):
        picture = cv2.imread(str(path))
        assert 40 < picture.mean() < 215, path.name
        assert np.mean((picture == 0) | (picture == 255)) < 0.02, path.name
        assert picture.std() > 4, path.name


def test_json_has_the_keys_of_coco_annotator(coco: dict[str, Any]) -> None:
    assert set(coco["images"][0]) == {"id", "width", "height", "file_name", "path", "license", "coco_url",
                                      "date_captured", "dataset_id"}
    assert coco["images"][0]["path"] == "/datasets/demo/demo_0001.jpg"
    assert set(coco["categories"][0]) == {"id", "name", "supercategory", "color", "metadata", "keypoint_colors"}
    assert set(coco["annotations"][0]) == {"id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd",
                                           "isbbox", "color", "metadata"}
    assert [annotation["id"] for annotation in coco["annotations"]] == list(range(1, len(coco["annotations"]) + 1))
    colors = {category["id"]: category["color"] for category in coco["categories"]}
    assert all(annotation["color"] == colors[annotation["category_id"]] for annotation in coco["annotations"])


def test_our_own_check_finds_nothing_wrong_with_it(folder: Path) -> None:
    dataset, findings = inspect_coco(folder / ".exports" / "coco-1700000000.0.json", folder)
    assert findings == ()
    assert dataset is not None and len(dataset.samples) == COUNT and set(dataset.labels) == set(CLASSES)


def test_polygons_have_three_points_or_more_inside_the_picture(coco: dict[str, Any]) -> None:
    for annotation in coco["annotations"]:
        assert annotation["segmentation"]
        for polygon in annotation["segmentation"]:
            points = np.reshape(polygon, (-1, 2))
            assert len(points) >= 3
            assert (points >= 0).all() and (points <= (320, 240)).all()
    assert any(len(annotation["segmentation"]) > 1 for annotation in coco["annotations"])


def test_area_and_box_are_those_of_the_polygons(coco: dict[str, Any]) -> None:
    for annotation in coco["annotations"]:
        mask = polygons_to_mask(annotation["segmentation"], SIZE_HW)
        rows, columns = np.nonzero(mask)
        assert annotation["area"] == mask.sum() > 150
        left, top, width, height = annotation["bbox"]
        assert (left, top) == (columns.min(), rows.min())
        assert (left + width - 1, top + height - 1) == (columns.max(), rows.max())


def test_a_quarter_is_clean_and_few_have_three_defects(coco: dict[str, Any]) -> None:
    counts = Counter(annotation["image_id"] for annotation in coco["annotations"])
    assert COUNT - len(counts) == COUNT // 4
    assert not all(image in counts for image in range(COUNT // 2, COUNT + 1)), "clean ones lie among the others"
    assert set(counts.values()) <= {1, 2, 3}
    assert sum(count == 3 for count in counts.values()) <= COUNT // 5


def test_every_class_is_in_a_sixth_of_the_pictures_or_more(coco: dict[str, Any]) -> None:
    names = {category["id"]: category["name"] for category in coco["categories"]}
    counts = Counter(names[annotation["category_id"]] for annotation in coco["annotations"])
    assert set(counts) == {"stain", "pit", "scratch", "crack"}
    assert min(counts.values()) >= COUNT / 6


def test_classes_share_pixels_at_times(coco: dict[str, Any]) -> None:
    sharing = [image for image, mask in masks_of(coco).items() if (mask > 1).any()]
    assert COUNT // 8 <= len(sharing) <= COUNT // 2


@pytest.mark.parametrize("name", CLASSES)
def test_labels_cover_what_the_defect_changed_and_nothing_else(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same surface, with the defect and without it, before lamp and camera."""
    surfaces: list[np.ndarray] = []
    monkeypatch.setattr(steel, "_expose", lambda random, surface: surfaces.append(
        np.dstack([surface.albedo, surface.height / 5])))
    overlaps = []
    for seed in range(8):
        _, (polygons,) = draw_photograph(np.random.default_rng(seed), [name])
        draw_photograph(np.random.default_rng(seed), [])
        with_defect, without = surfaces[-2:]
        changed = np.abs(with_defect - without).max(axis=2) > 0.04
        label = polygons_to_mask(polygons, SIZE_HW)
        assert not (changed & ~cv2.dilate(label.astype(np.uint8), np.ones((5, 5))).astype(bool)).any()
        overlaps.append(np.count_nonzero(changed & label) / np.count_nonzero(changed | label))
    assert np.mean(overlaps) > 0.93


def test_a_set_that_is_there_is_used_and_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_demo(tmp_path / "demo", 4)
    (tmp_path / "demo" / ".exports" / "coco-1800000000.0.json").write_text("{}")  # the user's own labels
    before = content(tmp_path)
    capsys.readouterr()
    assert make_demo(tmp_path / "demo", 8, seed=1) == path
    assert content(tmp_path) == before
    assert "4 pictures, seed 0" in capsys.readouterr().out


@pytest.mark.parametrize("file", ["holiday.jpg", ".exports/coco-1700000000.0.json", ".exports/coco-9.json"])
@pytest.mark.parametrize("text", ["", "[]", '{"images": [], "info": {}}', '{"images": [], "info": "ss_poc.demo"}'])
def test_a_folder_of_something_else_is_refused_untouched(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / "demo" / ".exports").mkdir(parents=True)
    (tmp_path / "demo" / file).write_text(text)
    with pytest.raises(SegmentError, match="no whole demo set"):
        make_demo(tmp_path / "demo", 4)
    assert content(tmp_path) == {f"demo/{file}": text.encode()}


def test_a_demo_that_lacks_a_picture_is_refused_untouched(tmp_path: Path) -> None:
    make_demo(tmp_path / "demo", 4)
    (tmp_path / "demo" / "demo_0002.jpg").unlink()
    before = content(tmp_path)
    with pytest.raises(SegmentError, match="no whole demo set"):
        make_demo(tmp_path / "demo", 4)
    assert content(tmp_path) == before


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(SegmentError, match="no whole demo set"):
        make_demo(tmp_path / "demo", 4)
    assert (tmp_path / "demo").read_text() == "mine"


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    make_demo(tmp_path / "demo", 2)
    assert len(list((tmp_path / "demo").glob("*.jpg"))) == 2


def test_an_interrupted_one_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def interrupted(random: np.random.Generator, classes: list[str]) -> Any:
        drawn.append(len(list(tmp_path.rglob("*.jpg"))))
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return draw_photograph(random, classes)

    monkeypatch.setattr(demo, "draw_photograph", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path / "demo", 4)
    assert drawn == [0, 1, 2]
    assert list(tmp_path.iterdir()) == []


def test_photographs_that_somebody_copies_there_meanwhile_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(*arguments: Any) -> Any:
        (tmp_path / "demo").mkdir(exist_ok=True)
        (tmp_path / "demo" / "mine.jpg").write_bytes(b"mine")
        return draw_photograph(*arguments)

    monkeypatch.setattr(demo, "draw_photograph", draw)
    with pytest.raises(SegmentError, match="is no whole demo set"):
        make_demo(tmp_path / "demo", 1)
    assert [path.name for path in tmp_path.rglob("*")] == ["demo", "mine.jpg"]


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_draws_stays(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    left = [f".{gone.pid}.tmp.demo", f".{os.getpid()}.tmp.demo"]
    kept = [f".{os.getppid()}.tmp.demo", f".{gone.pid}.tmp.photos", ".notes.tmp.demo"]
    for name in left + kept:
        (tmp_path / name).mkdir()
        (tmp_path / name / "demo_0009.jpg").write_text("half")
    make_demo(tmp_path / "demo", 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["demo", *kept])
    assert len(content(tmp_path / "demo")) == 3


def test_the_command_draws_into_the_folder_it_is_given(tmp_path: Path) -> None:
    done = stage("demo", "--out", "here/plates", "--images", "4", "--seed", "2", cwd=tmp_path)
    assert "4 pictures" in done.stdout
    value = json.loads((tmp_path / "here" / "plates" / ".exports" / "coco-1700000000.0.json").read_text())
    assert [image["path"] for image in value["images"]] == [f"/datasets/plates/demo_000{i}.jpg" for i in (1, 2, 3, 4)]
    again = stage("demo", "--out", "here", cwd=tmp_path, check=False)
    assert again.returncode == 1 and "no whole demo set" in again.stderr and "Traceback" not in again.stderr


@pytest.mark.parametrize("flags", [["--images", "0"], ["--images", "10000"], ["--seed", "-1"]])
def test_settings_that_cannot_be_are_refused(tmp_path: Path, flags: list[str]) -> None:
    with pytest.raises(ConfigError):
        main(["--out", str(tmp_path / "demo"), *flags])
    assert not (tmp_path / "demo").exists()


def test_a_flag_that_is_unknown_or_cut_short_is_refused(tmp_path: Path) -> None:
    for flag in ("--image", "--colour"):
        with pytest.raises(SystemExit) as ended:
            main(["--out", str(tmp_path / "demo"), flag, "4"])
        assert ended.value.code == 2
