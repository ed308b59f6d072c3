"""What people really have: one input for each report against annotation tools, cameras and libraries, with its value.

Each is four photographs of 96x128 (height x width), p1 to p4: a box of 800 pixels on the first three, p4 is clean.
Zips are in test_archives.py, pixels in tests/core/test_levels.py, formats themselves in test_labels.py.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from boxes import BOX, SIZE_HW, areas, coco, grey, photograph, plane, save
from PIL import Image

from ss_poc.core.masks import encode_rle
from ss_poc.data.check import main as check
from ss_poc.data.dataset import inspect_coco
from ss_poc.formats.coco_rules import Finding

STEMS = ("p1", "p2", "p3", "p4")
PNG = [f"{stem}.png" for stem in STEMS]
LABELS = coco(PNG[:3], PNG[3:])
SCRATCHES = {"p1": {"scratch": 800}, "p2": {"scratch": 800}, "p3": {"scratch": 800}, "p4": {}}
DEFECTS = {stem: {"defect": 800} if found else {} for stem, found in SCRATCHES.items()}
TRIANGLE = [value / SIZE_HW[1 - index % 2] for index, value in enumerate([20, 30, 60, 30, 60, 50])]


def photographs(folder: Path, names: list[str] | None = None) -> Path:
    for seed, name in enumerate(names or PNG):
        photograph(folder / name, seed, seed < 3)
    return folder


def with_json(value: Any, coding: str = "utf-8", names: list[str] | None = None) -> Callable[[Path], Path]:
    """A folder `img`, and a json beside it."""
    def build(folder: Path) -> Path:
        photographs(folder / "img", names)
        (folder / "coco.json").write_bytes(json.dumps(value, ensure_ascii=False).encode(coding))
        return folder
    return build


def with_polygons(*polygons: Any) -> Callable[[Path], Path]:
    rows = [{**row, "segmentation": [list(BOX) if item == "box" else item for item in polygons]}
            for row in LABELS["annotations"]]
    return with_json({**LABELS, "annotations": rows})


def with_images(**fields: Any) -> Callable[[Path], Path]:
    """COCO whose images have these fields, or lack those that are "left out"."""
    images = [{key: value for key, value in {**row, **fields}.items() if value != "left out"}
              for row in LABELS["images"]]
    return with_json({**LABELS, "images": images})


def renamed(name_of: Callable[[str], str], names: list[str] | None = None) -> Callable[[Path], Path]:
    images = [{**row, "file_name": name_of((names or PNG)[number])} for number, row in enumerate(LABELS["images"])]
    return with_json({**LABELS, "images": images}, names=names)


def with_masks(draw: Callable[[np.ndarray, int], Image.Image], ending: str = ".png",
               **options: Any) -> Callable[[Path], Path]:
    """A folder `masks` beside `photos`. `draw` gets (H, W) bool and the number of the photograph."""
    def build(folder: Path) -> Path:
        photographs(folder / "photos")
        (folder / "masks").mkdir(parents=True)
        for number, stem in enumerate(STEMS):
            drawn = draw(plane() & (number < 3), number)
            drawn.save(folder / "masks" / f"{stem}{ending}", **options)
        return folder
    return build


def level(mask: np.ndarray, value: int = 255, around: int = 0) -> Image.Image:
    return Image.fromarray(np.where(mask, np.uint8(value), np.uint8(around)))


def void(mask: np.ndarray, value: int) -> Image.Image:
    """A mask with VOC's rim of 255, three pixels away from the object."""
    values = np.where(mask, np.uint8(value), np.uint8(0))
    if mask.any():
        values[26, 20:60] = 255
    return Image.fromarray(values)


def palette(mask: np.ndarray, _: int) -> Image.Image:
    picture = void(mask, 1)
    picture.putpalette([0, 0, 0, 128, 0, 0] + [0] * 759 + [224, 224, 192])
    return picture


def alpha(mask: np.ndarray, _: int) -> Image.Image:
    return Image.merge("RGBA", [*Image.new("RGB", SIZE_HW[::-1], (255, 0, 0)).split(), level(mask)])


def red(mask: np.ndarray, number: int) -> Image.Image:
    empty = Image.new("L", SIZE_HW[::-1])
    return Image.merge("RGB", [level(mask, 1 + number % 2), empty, empty])


def colored(mask: np.ndarray, number: int) -> Image.Image:
    colors = np.array([[250, 50, 83], [51, 221, 255]], np.uint8)
    return Image.fromarray(mask[..., None] * colors[number % 2])


def labelme(folder: Path) -> Path:
    photographs(folder)
    for number, name in enumerate(PNG):
        box = {"label": "scratch", "points": np.reshape(BOX, (-1, 2)).tolist(), "shape_type": "polygon"}
        pit = {"label": "pit", "points": [[90, 70], [95, 70]], "shape_type": "circle"}
        save(folder / f"p{number + 1}.json", {"version": "5.4.1", "flags": {}, "imagePath": name, "imageData": None,
                                              "imageHeight": 96, "imageWidth": 128,
                                              "shapes": [box, pit] if number < 3 else []})
    return folder


def kaggle(folder: Path) -> Path:
    photographs(folder / "img")
    runs = " ".join(f"{x * 96 + 31} 20" for x in range(20, 60))
    save(folder / "train.csv", "ImageId,ClassId,EncodedPixels\n" + "".join(f"{name},1,{runs}\n" for name in PNG[:3]))
    return folder


def yolo(folder: Path) -> Path:
    photographs(folder / "images" / "train")
    for number, stem in enumerate(STEMS):
        save(folder / "labels" / "train" / f"{stem}.txt", f"0 {' '.join(map(str, TRIANGLE))}\n" if number < 3 else "")
    save(folder / "data.yaml", "path: .\ntrain: images/train\nnames:\n  0: scratch\n")
    return folder


def cvat_xml(folder: Path) -> Path:
    photographs(folder)
    images = "".join(f'<image id="{number}" name="{name}" width="128" height="96">'
                     + '<polygon label="scratch" points="20,30;60,30;60,50" occluded="0"/>' * (number < 3) + "</image>"
                     for number, name in enumerate(PNG))
    save(folder / "annotations.xml", f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>'
                                     f'{images}</annotations>')
    return folder


def label_studio(folder: Path) -> Path:
    photographs(folder)
    drawn = {"type": "polygonlabels", "original_width": 128, "original_height": 96, "value": {
        "polygonlabels": ["scratch"], "points": (np.reshape(TRIANGLE, (-1, 2)) * 100).tolist()}}
    save(folder / "project-1.json", [
        {"id": number, "data": {"image": f"/data/upload/1/cb0618f1-{name}"},
         "annotations": [{"result": [drawn] if number < 3 else []}]} for number, name in enumerate(PNG)])
    return folder


def mvtec(names: tuple[str, ...]) -> Callable[[Path], Path]:
    def build(folder: Path) -> Path:
        for number, name in enumerate(names):
            photograph(folder / "test" / f"{name}.png", number)
            if not name.startswith("good"):
                mask = folder / "ground_truth" / f"{name}_mask.png"
                mask.parent.mkdir(parents=True, exist_ok=True)
                level(plane()).save(mask)
        return folder
    return build


def same_stems(folder: Path) -> Path:
    for number, name in enumerate(("a/001", "b/001", "b/002")):
        photograph(folder / "photos" / f"{name}.png", number)
        mask = folder / "masks" / f"{name}.png"
        mask.parent.mkdir(parents=True, exist_ok=True)
        level(np.roll(plane(), 30 * number % 60, axis=0)).save(mask)
    return folder


def korean(folder: Path) -> Path:
    names = [f"부품 {number}.png" for number in range(1, 5)]
    photographs(folder / "검사 사진", [unicodedata.normalize("NFD", name) for name in names])
    save(folder / "검사 사진" / ".exports" / "coco.json", coco(names[:3], names[3:]))
    return folder / "검사 사진"


def fiftyone(folder: Path) -> Path:
    photographs(folder / "data")
    save(folder / "labels.json", LABELS)
    return folder


def roboflow(folder: Path) -> Path:
    photographs(folder, [f"train/{name}" for name in PNG[:3]] + ["valid/p4.png"])
    save(folder / "train" / "_annotations.coco.json", coco(PNG[:3]))
    save(folder / "valid" / "_annotations.coco.json", coco([], PNG[3:]))
    return folder


def cut_jpegs(folder: Path) -> Path:
    for seed, stem in enumerate(STEMS):
        photograph(folder / f"{stem}.jpg", seed, seed < 3)
        data = (folder / f"{stem}.jpg").read_bytes()
        (folder / f"{stem}.jpg").write_bytes(data[:-2])
    save(folder / "coco.json", coco([f"{stem}.jpg" for stem in STEMS[:3]], ["p4.jpg"]))
    return folder


def tiffs(folder: Path) -> Path:
    for seed, stem in enumerate(STEMS):
        folder.mkdir(exist_ok=True)
        Image.fromarray(grey(seed, seed < 3)).save(folder / f"{stem}.tif")
    save(folder / "labels.json", coco([f"{stem}.tif" for stem in STEMS[:3]], ["p4.tif"]))
    return folder


RLE = encode_rle(plane())
BYTES = [{**row, "segmentation": {**RLE, "counts": repr(RLE["counts"].encode())}} for row in LABELS["annotations"]]
CRACKS = {"crack/000": {"crack": 800}, "crack/001": {"crack": 800}, "hole/000": {"hole": 800}, "good/000": {}}
TRIANGLES = {stem: {"scratch": 400} if found else {} for stem, found in SCRATCHES.items()}

CASES: dict[str, tuple[Callable[[Path], Path], dict[str, dict[str, int]], str]] = {
    "ok": (with_json(LABELS), SCRATCHES, ""),
    "stray_point_one": (with_polygons("box", [64, 48]), SCRATCHES, "stray-point"),
    "stray_point_first": (with_polygons([64, 48], "box"), SCRATCHES, "stray-point"),
    "stray_point_last": (with_polygons("box", [64, 48, 66, 48]), SCRATCHES, "stray-point"),
    "bom": (with_json(LABELS, "utf-8-sig"), SCRATCHES, ""),
    "utf16": (with_json(LABELS, "utf-16"), SCRATCHES, ""),
    "no_size": (with_images(width="left out", height="left out"), SCRATCHES, ""),
    "zero_size": (with_images(width=0, height=0), SCRATCHES, ""),
    "null_size": (with_images(width=None, height=None), SCRATCHES, ""),
    "float_size": (with_images(width=128.0, height="96"), SCRATCHES, ""),
    "percent_names": (renamed(quote, [f"p {number}.png" for number in (1, 2, 3, 4)]),
                      {f"p {number}": SCRATCHES[f"p{number}"] for number in (1, 2, 3, 4)}, "name-spelt"),
    "rle_bytes_repr": (with_json({**LABELS, "annotations": BYTES}), SCRATCHES, ""),
    "coco_tiff": (tiffs, SCRATCHES, ""),
    "jpeg_cut": (cut_jpegs, SCRATCHES, ""),
    "fiftyone_export": (fiftyone, SCRATCHES, ""),
    "roboflow_clean_valid": (roboflow, SCRATCHES, "labels-read"),
    "korean_folder": (korean, {unicodedata.normalize("NFD", f"부품 {number}"): SCRATCHES[f"p{number}"]
                               for number in (1, 2, 3, 4)}, ""),
    "labelme_raw": (labelme, {stem: {"pit": 80, "scratch": 800} if found else {} for stem, found in SCRATCHES.items()},
                    "labels-read"),
    "kaggle_csv": (kaggle, {stem: {"class 1": 800} if found else {} for stem, found in SCRATCHES.items()},
                   "taken-as-clean"),
    "yolo_seg": (yolo, TRIANGLES, "labels-read"),
    "cvat_xml": (cvat_xml, TRIANGLES, "labels-read"),
    "ls_own_json": (label_studio, TRIANGLES, "name-spelt"),
    "mask_alpha": (with_masks(alpha), DEFECTS, "labels-read"),
    "mask_bmp": (with_masks(lambda mask, _: level(mask), ".bmp"), DEFECTS, "labels-read"),
    "mask_jpg": (with_masks(lambda mask, _: level(mask), ".jpg", quality=90), DEFECTS, "labels-read"),
    "mask_upper_PNG": (with_masks(lambda mask, _: level(mask), ".PNG"), DEFECTS, "labels-read"),
    "mask_tif": (with_masks(lambda mask, _: level(mask, 1), ".tif"), DEFECTS, "labels-read"),
    "mask_suffix": (with_masks(lambda mask, _: level(mask), "_mask.png"), DEFECTS, "labels-read"),
    "mask_void_255_one": (with_masks(lambda mask, _: void(mask, 1)), DEFECTS, "void-pixels"),
    "mask_void_255_two": (with_masks(lambda mask, number: void(mask, 1 + number % 2)), {
        "p1": {"class 1": 800}, "p2": {"class 2": 800}, "p3": {"class 1": 800}, "p4": {}}, "void-pixels"),
    "mask_voc_palette": (with_masks(palette), DEFECTS, "void-pixels"),
    "mask_same_stems": (same_stems, {name: {"defect": 800} for name in ("a/001", "b/001", "b/002")}, "labels-read"),
    "mvtec": (mvtec(tuple(CRACKS)), CRACKS, "labels-read"),
}


def by_stem(found: dict[str, dict[str, int]], expected: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """By as much of the path as `expected` names, without the ending."""
    steps = 1 + max(name.count("/") for name in expected)
    return {"/".join(Path(name).with_suffix("").parts[-steps:]): labels for name, labels in found.items()}


def near(found: dict[str, int], expected: dict[str, int]) -> bool:
    """Whether areas are equal; of triangles and circles, but for the pixels of their outlines."""
    return found.keys() == expected.keys() and all(
        abs(found[label] - area) <= (0 if area == 800 else 20) for label, area in expected.items())


@pytest.mark.parametrize("name", CASES)
def test_what_people_have_is_read_with_its_value(tmp_path, name):
    build, expected, said = CASES[name]
    source = build(tmp_path / "set")
    dataset, findings = inspect_coco(source, source)
    assert dataset is not None, findings
    found = by_stem(areas(dataset), expected)
    assert found.keys() == expected.keys() and all(near(found[stem], expected[stem]) for stem in expected), found
    assert not said or said in {item.code for item in findings}
    assert not [item for item in findings if item.action != "keep"]


def refused(source: Path) -> Finding:
    dataset, findings = inspect_coco(source, source)
    assert dataset is None
    return next(item for item in findings if item.action == "refuse")


@pytest.mark.parametrize(("build", "said"), [
    (with_json({**LABELS, "categories": [{"id": 1, "name": "긁힘"}]}, "cp949"), "save it as UTF-8"),
    (with_masks(red), "is a colour picture; expected numbers of classes in grey, or a labelmap.txt"),
    (with_masks(colored), "export \"Segmentation mask\" of CVAT with its labelmap.txt, or COCO")])
def test_what_cannot_be_known_is_refused_with_the_way_out(tmp_path, build, said):
    assert said in refused(build(tmp_path / "set")).detail


def test_masks_of_one_name_lie_on_the_photograph_of_their_own_folder(tmp_path):
    source = same_stems(tmp_path / "set")
    dataset, _ = inspect_coco(source, source)
    assert dataset is not None
    rows = {sample.name: np.flatnonzero(sample.mask(1).any(axis=(1, 2)))[[0, -1]].tolist()
            for sample in dataset.samples}
    assert rows == {"photos/a/001.png": [30, 49], "photos/b/001.png": [60, 79], "photos/b/002.png": [30, 49]}


@pytest.mark.parametrize("name", ["ok", "korean_folder", "labelme_raw", "kaggle_csv", "yolo_seg", "cvat_xml",
                                  "ls_own_json", "mask_voc_palette", "mvtec", "roboflow_clean_valid"])
def test_the_check_takes_a_folder_of_any_format_alone(tmp_path, capsys, name):
    source = CASES[name][0](tmp_path / "set")
    assert check(["check", str(source), "--output", str(tmp_path / "check.jpg")]) == 0
    assert "This can be trained on" in capsys.readouterr().out and (tmp_path / "check.jpg").is_file()
