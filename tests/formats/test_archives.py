"""ss_poc.formats.archives: zips of labels and photographs as tools and systems write them, and hostile ones."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from boxes import coco, grey, photograph, read, refusal, save
from PIL import Image

from ss_poc.core.config import TrainConfig
from ss_poc.core.errors import ConfigError, DataError
from ss_poc.data.check import main as check
from ss_poc.data.dataset import inspect_coco, load_coco
from ss_poc.formats.archives import opened, unpacked
from ss_poc.training.plan import make_plan

FOUND = [{"scratch": 800}, {"scratch": 800}, {}]


def picture(seed: int, box: bool = True) -> bytes:
    file = io.BytesIO()
    Image.fromarray(grey(seed, box)).save(file, "png")
    return file.getvalue()


def zipped(path: Path, files: dict[str, bytes], coding: str = "") -> Path:
    """A zip with these files. `coding`: as a system writes names that never says which coding it uses."""
    places = {name: f"{number:03}".ljust(len(name.encode(coding)), "x") if coding else name
              for number, name in enumerate(files)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(places[name], content)
    data = path.read_bytes()
    for name, place in places.items():
        data = data.replace(place.encode(), name.encode(coding or "utf-8"))
    path.write_bytes(data)
    return path


def cvat(path: Path, photos: str = "images/default", top: str = "", slash: str = "/", coding: str = "",
         names: tuple[str, ...] = ("p1.png", "p2.png", "p4.png")) -> Path:
    """CVAT's zip of three photographs, the last one clean."""
    files = {f"{top}{photos}/{name}": picture(number, name != names[-1]) for number, name in enumerate(names)}
    files[f"{top}annotations/instances_default.json"] = json.dumps(coco(names[:-1], names[-1:])).encode()
    return zipped(path, {name.replace("/", slash): content for name, content in files.items()}, coding)


@pytest.mark.parametrize("form", [
    {}, {"photos": "images/Train"}, {"photos": "images", "top": "proj/"}, {"photos": "images", "top": "a/b/"},
    {"photos": "images", "slash": "\\"}, {"photos": "images", "top": "proj/", "slash": "\\"}])
def test_a_zip_of_cvat_is_read_with_its_folders_a_top_folder_and_backslashes(tmp_path, form):
    source = cvat(tmp_path / "cvat.zip", **form)
    found, codes = read(source)
    assert [*found.values()] == FOUND and codes == ["name-spelt"]


def test_a_folder_that_holds_nothing_but_a_zip_is_that_zip(tmp_path):
    cvat(tmp_path / "in" / "cvat.zip")
    assert [*read(tmp_path / "in")[0].values()] == FOUND
    assert inspect_coco(tmp_path / "in" / "cvat.zip", tmp_path / "in")[0].name == "in"
    assert inspect_coco(tmp_path / "in", tmp_path / "in" / "cvat.zip")[0].name == "cvat"


def test_labels_in_a_zip_are_found_beside_the_photographs(tmp_path):
    photograph(tmp_path / "p1.png", 1)
    photograph(tmp_path / "p4.png", 4, box=False)
    zipped(tmp_path / "export.zip", {"annotations/instances_default.json": json.dumps(coco(["p1.png"], ["p4.png"]))
                                     .encode()})
    assert read(tmp_path) == ({"p1.png": {"scratch": 800}, "p4.png": {}}, [])


def test_of_several_zips_none_is_guessed(tmp_path):
    for name in ("a.zip", "b.zip"):
        cvat(tmp_path / name)
    said = refusal(tmp_path)
    assert "holds several zips: a.zip, b.zip" in said.detail


def test_masks_in_a_top_folder_of_a_zip_are_those_of_the_photographs_beside_it(tmp_path):
    for name, box in (("p1", True), ("p4", False)):
        photograph(tmp_path / "photos" / f"{name}.png", 1, box)
    mask = io.BytesIO()
    Image.fromarray((grey() == 30).astype("uint8") * 255).save(mask, "png")
    clean = io.BytesIO()
    Image.new("L", (128, 96)).save(clean, "png")
    zipped(tmp_path / "masks.zip", {"masks/p1.png": mask.getvalue(), "masks/p4.png": clean.getvalue()})
    assert read(tmp_path) == ({"photos/p1.png": {"defect": 800}, "photos/p4.png": {}}, [])


def test_cvats_segmentation_masks_with_colours_and_masks_of_objects_are_read_from_the_zip(tmp_path):
    colors = {"p1": (250, 50, 83), "p2": (51, 221, 255)}
    files = {"labelmap.txt": b"# label:color_rgb:parts:actions\nbackground:0,0,0::\nscratch:250,50,83::\n"
                             b"pit:51,221,255::\n", "ImageSets/Segmentation/default.txt": b"p1\np2\n"}
    for name, color in colors.items():
        mask = Image.new("RGB", (128, 96))
        mask.paste(color, (20, 30, 60, 50))
        file = io.BytesIO()
        mask.save(file, "png")
        files |= {f"SegmentationClass/{name}.png": file.getvalue(), f"SegmentationObject/{name}.png": file.getvalue(),
                  f"JPEGImages/{name}.png": picture(1)}
    found, codes = read(zipped(tmp_path / "masks.zip", files))
    assert found == {"JPEGImages/p1.png": {"scratch": 800}, "JPEGImages/p2.png": {"pit": 800}}
    assert codes == ["copies-differ"]  # one photograph twice, with another label


@pytest.mark.parametrize(("coding", "names"), [
    ("utf-8", ("부품 1.png", "부품 2.png", "부품 4.png")), ("cp949", ("부품 1.png", "부품 2.png", "부품 4.png")),
    ("cp437", ("pièce 1.png", "pièce 2.png", "pièce 4.png"))])
def test_names_are_read_in_the_code_page_of_the_system_that_packed_them(tmp_path, coding, names):
    found, _ = read(cvat(tmp_path / "packed.zip", "images", coding=coding, names=names))
    assert found == {f"images/{name}": areas for name, areas in zip(names, FOUND, strict=True)}


def test_what_systems_add_to_a_zip_is_left_out(tmp_path):
    source = zipped(tmp_path / "mac.zip", {
        "data/coco.json": json.dumps(coco(["p1.png"])).encode(), "data/p1.png": picture(1), "data/.DS_Store": b"x",
        "__MACOSX/data/._p1.png": b"x", "__MACOSX/data/._coco.json": b"x", "data/Thumbs.db": b"x"})
    assert read(source) == ({"data/p1.png": {"scratch": 800}}, ["name-spelt"])
    assert {path.name for path in unpacked(source).rglob("*") if path.is_file()} == {"coco.json", "p1.png"}


# --- hostile and damaged


@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/out.txt", "C:\\out.txt", "..\\out.txt"])
def test_a_zip_that_leads_out_of_its_folder_is_refused_before_anything_is_written(tmp_path, name):
    source = zipped(tmp_path / "in" / "slip.zip", {"p1.png": picture(1), name: b"x"})
    with pytest.raises(DataError, match="leads out of its folder"):
        unpacked(source, tmp_path / "store")
    assert not (tmp_path / "store").exists() and not [*tmp_path.rglob("out.txt")]
    assert refusal(source).detail.startswith(f"{source} holds ")


def test_a_zip_that_would_grow_a_thousandfold_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("ss_poc.formats.archives.ALWAYS_TAKEN", 1_000_000)
    bomb = zipped(tmp_path / "bomb.zip", {"p1.bmp": b"\0" * 2_000_000})
    with pytest.raises(DataError, match=r"would become 1 files of 0.0 GB"):
        unpacked(bomb, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    plain = zipped(tmp_path / "small.zip", {"p1.bmp": b"\0" * 900_000})
    assert unpacked(plain, tmp_path / "store").is_dir()


def test_a_zip_that_lies_about_its_size_gives_no_byte_more_than_it_says(tmp_path):
    source = zipped(tmp_path / "liar.zip", {"p1.bmp": b"\0" * 2_000_000})
    data = source.read_bytes()
    source.write_bytes(data.replace((2_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(DataError, match="is no zip: Bad CRC-32"):
        unpacked(source, tmp_path / "store")
    assert not [*tmp_path.rglob("p1.bmp")]


def test_a_zip_that_does_not_fit_the_disk_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    source = cvat(tmp_path / "cvat.zip")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DataError, match=r"needs 0\.0 GB, .* has 0\.0 GB left"):
        unpacked(source, tmp_path / "store")
    assert not [*(tmp_path / "store").rglob("*.png")]


def test_a_locked_a_cut_and_an_unknown_zip_are_told_apart(tmp_path):
    source = cvat(tmp_path / "cvat.zip")
    data = bytearray(source.read_bytes())
    place = data.index(b"PK\x01\x02")
    locked, other = bytearray(data), bytearray(data)
    locked[place + 8] |= 1
    other[place + 10] = 9  # Deflate64, of Windows, for more than 2 GB
    for content, said in ((locked, "is locked with a password"), (other, "packed in a way that cannot be read"),
                          (data[:len(data) // 2], "is no zip"), (b"", "is no zip")):
        (tmp_path / "x.zip").write_bytes(content)
        with pytest.raises(DataError, match=said):
            unpacked(tmp_path / "x.zip", tmp_path / "store")


# --- what is said, and where it is kept


def test_no_error_names_a_folder_that_will_be_gone(tmp_path, capsys):
    files = {"labels/coco.json": json.dumps(coco(["p1.png", "gone.png"])).encode(), "images/p1.png": picture(1)}
    source = zipped(tmp_path / "set.zip", files)
    missing = next(item for item in inspect_coco(source, source)[1] if item.code == "file-missing")
    assert missing.detail == f"got 'gone.png'; expected a file in {source}/set"
    zipped(source, {"labels/coco.json": b"{}", "images/p1.png": picture(1)})
    with pytest.raises(DataError) as caught:
        load_coco(source, source)
    assert str(caught.value).startswith(f"{source} cannot be trained on") and "ss-poc-" not in str(caught.value)
    with pytest.raises(DataError, match=rf"no labels for {tmp_path}/set\.zip/set"), opened(source) as place:
        raise DataError(f"no labels for {place}")
    assert not place.exists()
    assert check(["check", str(source)]) == 1
    assert "ss-poc-" not in capsys.readouterr().out


def test_a_training_unpacks_a_zip_once_and_for_later_stages(tmp_path):
    names = tuple(f"p{number}.png" for number in range(5))
    source = cvat(tmp_path / "parts.zip", names=names)
    config = TrainConfig(img_path=str(source), result=str(tmp_path / "result"), architecture="compact")
    plan = make_plan(config)
    folder = Path(plan.config.img_path)
    assert folder.is_relative_to(tmp_path / "result" / "parts" / "unpacked") and plan.config.img_dir_name == "parts"
    assert plan.dataset.name == "parts" and len(plan.dataset.samples) == 5
    assert Path(str(plan.config.json_path)) == folder / "annotations" / "instances_default.json"
    written = (folder / "annotations" / "instances_default.json").stat()
    make_plan(config)
    assert (folder / "annotations" / "instances_default.json").stat() == written


def test_labels_in_a_zip_bring_their_photographs_where_no_folder_is_named():
    assert TrainConfig(json_path="a/cvat.zip").img_path == "a/cvat.zip"
    assert TrainConfig(json_path="a/cvat.zip", img_path="photos").img_path == "photos"
    assert TrainConfig(json_path="a/coco.json").img_path == TrainConfig().img_path
    assert TrainConfig(img_path="a/Parts.ZIP").data_set == "Parts"


def test_a_folder_whose_name_can_be_no_folder_of_ours_is_told_how_to_name_the_data_set():
    with pytest.raises(ConfigError, match="the data set would be called '검사 사진'") as caught:
        make_plan(TrainConfig(img_path="검사 사진"))
    assert caught.value.fix == "name it: --img_dir_name parts"
    assert TrainConfig(img_path="검사 사진", img_dir_name="parts").data_set == "parts"


def test_a_json_of_gigabytes_is_refused_unread(tmp_path):
    path = save(tmp_path / "huge.json", "{}")
    with path.open("r+b") as file:
        file.truncate(2_000_000_001)  # a sparse file: no disk is taken
    said = refusal(path, tmp_path)
    assert said.code == "json-unreadable" and "huge.json has 2.0 GB; expected a json of at most 1 GB" in said.detail
