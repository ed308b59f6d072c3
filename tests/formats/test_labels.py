"""ss_poc.formats.labels: every format a user may have becomes the same samples.

Each photograph is 96x128 (height x width), with one box at x 20 to 60, y 30 to 50: 40 x 20 = 800 pixels.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ss_poc.core.errors import ArtifactError
from ss_poc.data.dataset import Dataset, Finding, inspect_coco
from ss_poc.formats.label_studio import brush_rle
from ss_poc.formats.labels import READERS, find_labels

SIZE_HW = (96, 128)
BOX = [[20, 30], [60, 30], [60, 50], [20, 50]]
FLAT = [value for point in BOX for value in point]


def plane() -> np.ndarray:
    mask = np.zeros(SIZE_HW, bool)
    mask[30:50, 20:60] = True
    return mask


def photograph(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*SIZE_HW, 3)).astype(np.uint8)).save(path)


def save(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))


def save_mask(path: Path, values: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8), mode).save(path)


def read(source: Path, photos: Path | None = None) -> tuple[Dataset, dict[str, dict[str, int]], list[str]]:
    """The data set, pixels of each label by photograph, and codes of the findings but those on a small set."""
    dataset, findings = inspect_coco(find_labels(source).path, photos or source)
    assert dataset is not None, findings
    areas = {sample.name: {label: int(sample.mask(len(dataset.labels))[..., channel].sum())
                           for channel, label in enumerate(dataset.labels) if channel in sample.classes}
             for sample in dataset.samples}
    return dataset, areas, sorted({item.code for item in findings} - {"class-rare", "labels-read"})


def refusal(source: Path, photos: Path | None = None) -> Finding:
    dataset, findings = inspect_coco(source, photos or source)
    assert dataset is None
    return next(item for item in findings if item.action == "refuse")


def test_every_reader_says_which_format_it_found_and_why(tmp_path):
    photograph(tmp_path / "p1.png")
    save(tmp_path / "p1.json", labelme("p1.png", [shape("polygon", BOX)]))
    found = find_labels(tmp_path)
    assert (found.kind, found.path, found.why) == ("labelme", tmp_path, "json files such as p1.json")
    _, findings = inspect_coco(tmp_path, tmp_path)
    assert [item.detail for item in findings if item.code == "labels-read"] == [
        "labelme, told by json files such as p1.json"]


def test_a_folder_without_labels_names_all_formats(tmp_path):
    photograph(tmp_path / "p1.png")
    with pytest.raises(ArtifactError, match="no labels in") as caught:
        find_labels(tmp_path)
    assert caught.value.expected == ", ".join(READERS)
    assert refusal(tmp_path).code == "json-unreadable"


def test_labels_of_two_formats_are_refused_and_both_named(tmp_path):
    photograph(tmp_path / "p1.png")
    save(tmp_path / "p1.json", labelme("p1.png", []))
    save(tmp_path / "train.csv", "ImageId,ClassId,EncodedPixels\n")
    with pytest.raises(ArtifactError, match="several formats: csv of run lengths, labelme"):
        find_labels(tmp_path)


def test_the_export_of_our_annotator_comes_before_all_others(tmp_path):
    save(tmp_path / "p1.json", labelme("p1.png", []))
    save(tmp_path / ".exports" / "coco-1.json", {"images": [], "annotations": [], "categories": []})
    assert find_labels(tmp_path).path.name == "coco-1.json"


# --- labelme


def shape(kind: str, points: Any, label: str = "scratch", **fields: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **fields}


def labelme(name: str, shapes: list[dict[str, Any]], size_hw: tuple[int, int] = SIZE_HW) -> dict[str, Any]:
    return {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": name, "imageData": None,
            "imageHeight": size_hw[0], "imageWidth": size_hw[1]}


def png(mask: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "png")
    return buffer.getvalue()


@pytest.mark.parametrize("drawn", [
    shape("polygon", BOX), shape("rectangle", [[60, 50], [20, 30]]), shape("rectangle", BOX),
    shape("mask", [[20, 30], [59, 49]], mask=base64.b64encode(png(np.ones((20, 40), bool))).decode())])
def test_shapes_of_labelme_become_regions(tmp_path, drawn):
    photograph(tmp_path / "sub" / "p1.png", 1)
    photograph(tmp_path / "clean.png", 2)
    save(tmp_path / "sub" / "p1.json", labelme("p1.png", [drawn]))
    save(tmp_path / "clean.json", labelme("clean.png", []))
    _, areas, codes = read(tmp_path)
    assert areas == {"clean.png": {}, "sub/p1.png": {"scratch": 800}} and codes == []


def test_a_circle_of_labelme_has_the_area_of_its_radius(tmp_path):
    photograph(tmp_path / "p1.png")
    save(tmp_path / "p1.json", labelme("p1.png", [shape("circle", [[60, 50], [60, 70]])]))
    _, areas, _ = read(tmp_path)
    assert areas["p1.png"]["scratch"] == pytest.approx(np.pi * 20**2, rel=0.02)  # 1,257


@pytest.mark.parametrize(("kind", "points"), [("point", [[3, 4]]), ("line", [[1, 1], [9, 9]]),
                                              ("linestrip", [[1, 1], [9, 9], [9, 1]])])
def test_points_and_lines_take_their_photograph_with_them_and_are_named(tmp_path, kind, points):
    for number in (1, 2):
        photograph(tmp_path / f"p{number}.png", number)
    save(tmp_path / "p1.json", labelme("p1.png", [shape("polygon", BOX)]))
    save(tmp_path / "p2.json", labelme("p2.png", [shape(kind, points)]))
    dataset, findings = inspect_coco(tmp_path, tmp_path)
    assert [sample.name for sample in dataset.samples] == ["p1.png"]
    assert [(item.code, item.detail) for item in findings if item.action == "skip image"] == [
        ("shape-unusable", f"a {kind}; expected an outline")]


def test_one_damaged_file_of_labelme_costs_itself(tmp_path):
    photograph(tmp_path / "p1.png")
    save(tmp_path / "p1.json", labelme("p1.png", [shape("polygon", BOX)]))
    save(tmp_path / "p2.json", "{")
    dataset, findings = inspect_coco(tmp_path, tmp_path)
    assert len(dataset.samples) == 1 and "file-unreadable" in {item.code for item in findings}


# --- YOLO


def yolo(folder: Path) -> None:
    for number, split in enumerate(("train", "train", "val")):
        photograph(folder / "images" / split / f"p{number}.png", number)
    row = "0 " + " ".join(f"{value / (128, 96)[index % 2]:.6f}" for index, value in enumerate(FLAT))
    save(folder / "labels" / "train" / "p0.txt", f"{row}\n")
    save(folder / "labels" / "val" / "p2.txt", "")
    save(folder / "data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: scratch\n  1: pit\n")


def test_yolo_is_read_with_its_subfolders_and_a_photograph_without_a_txt_is_clean(tmp_path):
    yolo(tmp_path)
    _, areas, codes = read(tmp_path)
    assert areas == {"images/train/p0.png": {"scratch": 800}, "images/train/p1.png": {}, "images/val/p2.png": {}}
    assert codes == ["category-unused", "taken-as-clean"]


def test_fractions_of_yolo_are_of_the_photograph_as_shown(tmp_path):
    yolo(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored 96x128, shown 128x96 (height x width)
    turned = tmp_path / "images" / "train" / "p1.jpg"
    (tmp_path / "images" / "train" / "p1.png").unlink()
    Image.fromarray(np.full((*SIZE_HW, 3), 7, np.uint8)).save(turned, exif=exif)
    save(tmp_path / "labels" / "train" / "p1.txt", "0 0 0 1 0 1 0.25 0 0.25\n")  # the upper quarter: 32 of 128 rows
    dataset, areas, _ = read(tmp_path)
    sample = next(item for item in dataset.samples if item.name.endswith("p1.jpg"))
    assert sample.size_hw == (128, 96) and areas[sample.name] == {"scratch": 32 * 96}
    assert sample.mask(1)[:32].all()


def test_boxes_of_yolo_detection_name_no_pixels(tmp_path):
    yolo(tmp_path)
    save(tmp_path / "labels" / "val" / "p2.txt", "1 0.5 0.5 0.1 0.1\n")
    dataset, findings = inspect_coco(tmp_path, tmp_path)
    assert "images/val/p2.png" not in [sample.name for sample in dataset.samples]
    assert "box-only" in {item.code for item in findings}


def test_yolo_that_names_no_classes_says_what_is_missing(tmp_path):
    yolo(tmp_path)
    save(tmp_path / "data.yaml", "train: images/train\n")
    assert "names no classes" in refusal(tmp_path).detail


# --- CVAT, Label Studio, VIA, Supervisely, run lengths

def cvat(shapes: str) -> str:
    return ('<?xml version="1.0"?><annotations><meta><task><labels><label><name>scratch</name><color>#ff0000</color>'
            f'</label></labels></task></meta><image id="0" name="p1.png" width="128" height="96">{shapes}</image>'
            "</annotations>")


@pytest.mark.parametrize("drawn", [
    '<polygon label="scratch" points="20,30;60,30;60,50;20,50"/>', '<box label="scratch" xtl="20" ytl="30" xbr="60" '
    'ybr="50"/>', '<box label="scratch" xtl="30" ytl="20" xbr="50" ybr="60" rotation="90"/>',
    '<mask label="scratch" left="10" top="30" width="50" height="20" rle="' + "10, 40, " * 19 + '10, 40"/>'])
def test_shapes_of_cvat_become_regions(tmp_path, drawn):
    photograph(tmp_path / "p1.png")
    save(tmp_path / "annotations.xml", cvat(drawn))
    dataset, areas, codes = read(tmp_path)
    assert areas == {"p1.png": {"scratch": 800}} and dataset.colors == ("#ff0000",) and codes == []
    assert np.array_equal(dataset.samples[0].mask(1)[..., 0], plane())


@pytest.mark.parametrize("text", ['<!DOCTYPE x [<!ENTITY a "b">]><annotations/>', "<annotations><image>",
                                  cvat('<mask label="a" left="0" top="0" width="2" height="2" rle="3"/>')])
def test_an_xml_that_is_hostile_or_damaged_is_refused(tmp_path, text):
    photograph(tmp_path / "p1.png")
    save(tmp_path / "annotations.xml", text)
    assert refusal(tmp_path).code == "json-unreadable"


def result(kind: str, **value: Any) -> dict[str, Any]:
    return {"type": kind, "original_width": 128, "original_height": 96, "value": {**value, kind: ["scratch"]}}


PERCENT = [[100 * x / 128, 100 * y / 96] for x, y in BOX]


@pytest.mark.parametrize("drawn", [
    result("polygonlabels", points=PERCENT), result("brushlabels", format="rle", rle=brush_rle(plane())),
    result("rectanglelabels", x=PERCENT[0][0], y=PERCENT[0][1], width=31.25, height=20 / 0.96, rotation=0)])
def test_tasks_of_label_studio_are_read_and_their_uploads_found(tmp_path, drawn):
    photograph(tmp_path / "photos" / "p1.png")
    done = {"result": [drawn]}
    save(tmp_path / "project.json", [
        {"id": 1, "data": {"image": "/data/upload/1/cb0618f1-p1.png"}, "annotations": [{"result": []}, done]},
        {"id": 2, "data": {"image": "/data/upload/1/cb0618f2-p2.png"}, "annotations": []}])
    _, areas, codes = read(tmp_path / "project.json", tmp_path / "photos")
    assert areas == {"p1.png": {"scratch": 800}} and codes == ["name-spelt"]


def test_an_ellipse_of_label_studio_has_the_area_of_its_radii(tmp_path):
    photograph(tmp_path / "p1.png")
    drawn = result("ellipselabels", x=50, y=50, radiusX=100 * 20 / 128, radiusY=100 * 10 / 96, rotation=0)
    save(tmp_path / "project.json", [{"data": {"image": "p1.png"}, "annotations": [{"result": [drawn]}]}])
    assert read(tmp_path)[1]["p1.png"]["scratch"] == pytest.approx(np.pi * 20 * 10, rel=0.02)  # 628


@pytest.mark.parametrize("drawn", [
    {"name": "polygon", "all_points_x": [20, 60, 60, 20], "all_points_y": [30, 30, 50, 50]},
    {"name": "rect", "x": 20, "y": 30, "width": 40, "height": 20}])
@pytest.mark.parametrize("project", [True, False])
def test_regions_of_via_are_read(tmp_path, drawn, project):
    photograph(tmp_path / "p1.png")
    item = {"filename": "p1.png", "size": 7, "regions": [
        {"shape_attributes": drawn, "region_attributes": {"kind": {"scratch": True}}}]}
    save(tmp_path / "via.json", {"_via_img_metadata": {"p1.png7": item}} if project else {"p1.png7": item})
    assert read(tmp_path)[1] == {"p1.png": {"scratch": 800}}


@pytest.mark.parametrize(("drawn", "area"), [
    ({"name": "circle", "cx": 64, "cy": 48, "r": 20}, np.pi * 20 * 20),
    ({"name": "ellipse", "cx": 64, "cy": 48, "rx": 20, "ry": 10, "theta": np.pi / 2}, np.pi * 20 * 10)])
def test_round_shapes_of_via_have_the_area_of_their_radii(tmp_path, drawn, area):
    photograph(tmp_path / "p1.png")
    save(tmp_path / "via.json", {"p1.png7": {"filename": "p1.png", "size": 7, "regions": {
        "0": {"shape_attributes": drawn, "region_attributes": {}}}}})
    assert read(tmp_path)[1]["p1.png"]["region"] == pytest.approx(area, rel=0.02)


@pytest.mark.parametrize(("drawn", "area"), [
    ({"geometryType": "polygon", "points": {"exterior": BOX, "interior": []}}, 800),
    ({"geometryType": "polygon",
      "points": {"exterior": BOX, "interior": [[[30, 35], [40, 35], [40, 40], [30, 40]]]}}, 750),
    ({"geometryType": "rectangle", "points": {"exterior": [[20, 30], [60, 50]], "interior": []}}, 800),
    ({"geometryType": "bitmap", "bitmap": {
        "data": base64.b64encode(zlib.compress(png(np.ones((20, 40), bool)))).decode(), "origin": [20, 30]}}, 800)])
def test_objects_of_supervisely_are_read_with_their_holes(tmp_path, drawn, area):
    photograph(tmp_path / "set" / "img" / "p1.png")
    save(tmp_path / "set" / "ann" / "p1.png.json", {"size": {"height": 96, "width": 128},
                                                    "objects": [{"classTitle": "scratch", **drawn}]})
    save(tmp_path / "meta.json", {"classes": [{"title": "scratch", "color": "#00FF00"}]})
    dataset, areas, _ = read(tmp_path)
    assert areas == {"set/img/p1.png": {"scratch": area}} and dataset.colors == ("#00ff00",)


@pytest.mark.parametrize("header", ["ImageId,ClassId,EncodedPixels\np1.png,3,{}\np2.png,,\n",
                                    "ImageId_ClassId,EncodedPixels\np1.png_3,{}\np2.png_1,\n"])
def test_run_lengths_go_down_the_columns_from_1(tmp_path, header):
    for number in (1, 2, 3):
        photograph(tmp_path / f"p{number}.png", number)
    runs = " ".join(f"{96 * column + 31} 20" for column in range(20, 60))
    save(tmp_path / "train.csv", header.format(runs))
    dataset, areas, codes = read(tmp_path)
    assert areas == {"p1.png": {"class 3": 800}, "p2.png": {}, "p3.png": {}} and codes == ["taken-as-clean"]
    assert np.array_equal(dataset.samples[0].mask(1)[..., 0], plane())


# --- masks


@pytest.mark.parametrize("name", ["p1.png", "p1.PNG", "p1.bmp", "p1_mask.png", "p1.tif"])
@pytest.mark.parametrize("value", [1, 255])
def test_masks_of_one_class_are_found_by_name_and_are_no_photographs(tmp_path, name, value):
    photograph(tmp_path / "images" / "p1.jpg", 1)
    photograph(tmp_path / "images" / "clean.jpg", 2)
    save_mask(tmp_path / "masks" / name, plane() * value)
    save_mask(tmp_path / "masks" / "clean.png", np.zeros(SIZE_HW))
    _, areas, codes = read(tmp_path)
    assert areas == {"images/clean.jpg": {}, "images/p1.jpg": {"defect": 800}} and codes == []


def test_numbers_of_classes_mean_the_same_in_all_masks_and_255_beside_them_is_no_class(tmp_path):
    for number, value in ((1, 1), (2, 2)):
        photograph(tmp_path / "JPEGImages" / f"p{number}.jpg", number)
        mask = plane() * value
        mask[29, 20:60] = 255
        save_mask(tmp_path / "SegmentationClass" / f"p{number}.png", mask)
    _, areas, codes = read(tmp_path)
    assert areas == {"JPEGImages/p1.jpg": {"class 1": 800}, "JPEGImages/p2.jpg": {"class 2": 800}}
    assert codes == ["void-pixels"]


def test_a_mask_in_jpeg_is_cut_in_the_middle(tmp_path):
    photograph(tmp_path / "images" / "p1.png")
    (tmp_path / "masks").mkdir()
    Image.fromarray(plane().astype(np.uint8) * 255).save(tmp_path / "masks" / "p1.jpg", quality=60)
    assert read(tmp_path)[1]["images/p1.png"]["defect"] == pytest.approx(800, abs=20)


def test_a_mask_in_the_alpha_channel_is_read_and_a_clean_one_stays_clean(tmp_path):
    for number, mask in ((1, plane()), (2, np.zeros(SIZE_HW, bool))):
        photograph(tmp_path / "images" / f"p{number}.png", number)
        values = np.full((*SIZE_HW, 4), 255, np.uint8)
        values[..., 3] = mask * 255
        save_mask(tmp_path / "masks" / f"p{number}.png", values)
    assert read(tmp_path)[1] == {"images/p1.png": {"defect": 800}, "images/p2.png": {}}


def test_colours_are_named_by_cvats_labelmap_and_refused_without_it(tmp_path):
    photograph(tmp_path / "JPEGImages" / "p1.png")
    values = np.zeros((*SIZE_HW, 3), np.uint8)
    values[plane()] = (250, 50, 83)
    save_mask(tmp_path / "SegmentationClass" / "p1.png", values)
    assert "colour picture" in refusal(tmp_path).detail
    save(tmp_path / "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:0,0,0::\nscratch:250,50,83::\n")
    dataset, areas, _ = read(tmp_path)
    assert areas == {"JPEGImages/p1.png": {"scratch": 800}} and dataset.colors == ("#fa3253",)


@pytest.mark.parametrize("ending", ["", "_mask"])
def test_mvtec_names_a_defect_by_its_folder_and_same_names_stay_apart(tmp_path, ending):
    for number, label in enumerate(("good", "crack", "hole")):
        photograph(tmp_path / "test" / label / "000.png", number)
    for label in ("crack", "hole"):
        save_mask(tmp_path / "ground_truth" / label / f"000{ending}.png", plane() * 255)
    _, areas, codes = read(tmp_path)
    assert areas == {"test/crack/000.png": {"crack": 800}, "test/good/000.png": {}, "test/hole/000.png": {"hole": 800}}
    assert codes == []


def test_a_mask_that_two_photographs_may_have_is_refused_by_name(tmp_path):
    for number, place in enumerate(("a", "b", "c")):
        photograph(tmp_path / "images" / place / f"{'x' if place == 'c' else '001'}.png", number)
    save_mask(tmp_path / "masks" / "001.png", plane())
    save_mask(tmp_path / "masks" / "x.png", plane())
    dataset, findings = inspect_coco(tmp_path, tmp_path)
    assert [sample.name for sample in dataset.samples] == ["images/c/x.png"]
    assert ["images/a/001.png" in item.detail for item in findings if item.code == "file-ambiguous"] == [True]


def test_a_mask_of_another_size_leaves_its_photograph_out(tmp_path):
    photograph(tmp_path / "images" / "p1.png", 1)
    photograph(tmp_path / "images" / "p2.png", 2)
    save_mask(tmp_path / "masks" / "p1.png", plane())
    save_mask(tmp_path / "masks" / "p2.png", plane()[:-1])
    dataset, findings = inspect_coco(tmp_path, tmp_path)
    assert [sample.name for sample in dataset.samples] == ["images/p1.png"]
    assert [item.code for item in findings if item.action == "skip image"] == ["size-mismatch"]
