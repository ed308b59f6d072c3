"""ss_poc.formats.write_labels: what is written reads back as the same pixels, wherever the format can hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from scipy import ndimage

from ss_poc.core.errors import ArtifactError, DataError
from ss_poc.core.masks import encode_rle, segmentation_mask
from ss_poc.data.dataset import Dataset, load_coco
from ss_poc.formats.labelled import Image, Region
from ss_poc.formats.write_labels import WRITERS, write_labels

LABELS = {"scratch": "#ff0000", "긁힘 two words": "", "a: b, #c": "#000000"}
NAMES = ("1.png", "a/1.png", "b/1.PNG", "b/1.jpg", "사진/둘 둘.png", "train/50%.png")


def photographs(folder: Path, images: list[Image]) -> None:
    for seed, image in enumerate(images):
        path = folder / image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (*image.size_hw, 3)).astype(np.uint8)
        Picture.fromarray(pixels).save(path)


def union(regions: list[Region], size_hw: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size_hw, bool)
    for region in regions:
        mask |= segmentation_mask(region.segmentation, size_hw)
    return mask


def read_back(folder: Path, names: dict[str, str], photos: str) -> dict[str, dict[str, np.ndarray]]:
    """Masks of each label, by the name that the photograph had before."""
    dataset: Dataset = load_coco(folder, folder)
    assert not [item for item in dataset.findings if item.action != "keep"], dataset.findings
    found = {sample.name: {label: sample.mask(len(dataset.labels))[..., channel]
                           for channel, label in enumerate(dataset.labels) if channel in sample.classes}
             for sample in dataset.samples}
    return {old: found[f"{photos}/{new}" if photos else new] for old, new in names.items()}


@st.composite
def regions_in(draw: st.DrawFn, size_hw: tuple[int, int]) -> Region:
    """Polygons, or an RLE of any pixels: of one pixel, with holes, in pieces."""
    label = draw(st.sampled_from([*LABELS]))
    height, width = size_hw
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    bottom, right = draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width))
    if draw(st.booleans()):
        return Region(label, [[left, top, right, top, right, bottom, left, bottom]])
    mask = np.zeros(size_hw, bool)
    kept = draw(st.sampled_from([0.4, 0.8, 1.0]))
    seed = draw(st.integers(0, 99))
    mask[top:bottom, left:right] = np.random.default_rng(seed).random((bottom - top, right - left)) < kept
    mask[top, left] = True
    return Region(label, encode_rle(mask))


@st.composite
def data_sets(draw: st.DrawFn) -> list[Image]:
    images = []
    for name in NAMES:
        size_hw = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
        found = draw(st.lists(regions_in(size_hw), max_size=3))
        images.append(Image(name, size_hw, tuple(found)))
    return [*images, Image("one.png", (5, 7), (Region("scratch", [[2, 1, 3, 1, 3, 2, 2, 2]]),))]  # a single pixel


def wanted(image: Image, to: str) -> dict[str, np.ndarray]:
    """What a format can hold of each label."""
    labels = {region.label for region in image.regions}
    mine = {label: [region for region in image.regions if region.label == label] for label in labels}
    if to == "yolo":
        filled = {label: [ndimage.binary_fill_holes(union([region], image.size_hw))
                          if isinstance(region.segmentation, dict) else union([region], image.size_hw)
                          for region in regions] for label, regions in mine.items()}
        return {label: np.any(planes, axis=0) for label, planes in filled.items()}
    return {label: union(regions, image.size_hw) for label, regions in mine.items()}


@pytest.mark.parametrize("to", [*WRITERS])
@settings(max_examples=12, deadline=None, derandomize=True, phases=[Phase.generate],
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(images=data_sets())
def test_labels_read_back_as_the_pixels_that_were_written(tmp_path_factory, to, images):
    folder = tmp_path_factory.mktemp("set")
    photographs(folder / "photos", images)
    losses, names = write_labels(folder / "out", to, LABELS, images, folder / "photos")
    found = read_back(folder / "out", names, WRITERS[to].photos)
    for image in images:
        planes = wanted(image, to)
        lost = any(image.name in names for names in losses.found.values())
        if to == "voc" and lost:  # a pixel has one class: what is written lies in what was drawn
            assert all((~mask | planes[label]).all() for label, mask in found[image.name].items())
            assert np.array_equal(np.any([*found[image.name].values()], axis=0), np.any([*planes.values()], axis=0))
            continue
        assert found[image.name].keys() == planes.keys()
        for label, plane in planes.items():
            got = found[image.name][label]
            assert (got & plane).sum() >= 0.99 * (got | plane).sum(), (to, image.name, label)


def one(name: str, *regions: Region, size_hw: tuple[int, int] = (5, 8)) -> Image:
    return Image(name, size_hw, regions)


def ring() -> np.ndarray:
    """A square of 3x3 pixels with a hole of one."""
    mask = np.zeros((5, 8), bool)
    mask[1:4, 1:4] = True
    mask[2, 2] = False
    return mask


def written(tmp_path: Path, to: str, *images: Image,
            copy: bool = True) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    photographs(tmp_path / "photos", [*images])
    losses, names = write_labels(tmp_path / "out", to, {"scratch": "#ff0000", "pit": "#00ff00"}, images,
                                 tmp_path / "photos", copy)
    return losses.found, names


def test_holes_are_filled_in_yolo_and_counted(tmp_path):
    losses, names = written(tmp_path, "yolo", one("p.png", Region("pit", encode_rle(ring()))), one("clean.png"))
    assert losses == {"holes in regions are filled, as YOLO has none": {"p.png": "1 region, 1 pixel"}}
    filled = ring()
    filled[2, 2] = True
    assert np.array_equal(read_back(tmp_path / "out", names, "images")["p.png"]["pit"], filled)
    assert (tmp_path / "out" / "labels" / "clean.txt").read_text() == ""


@pytest.mark.parametrize("to", ["coco", "labelme", "voc", "label-studio"])
def test_holes_are_kept_elsewhere(tmp_path, to):
    losses, names = written(tmp_path, to, one("p.png", Region("pit", encode_rle(ring()))))
    assert losses == {} and np.array_equal(
        read_back(tmp_path / "out", names, WRITERS[to].photos)["p.png"]["pit"], ring())


def test_the_smaller_of_two_regions_is_on_top_in_a_mask_and_what_it_hides_is_counted(tmp_path):
    large, small = [[0, 0, 8, 0, 8, 5, 0, 5]], [[2, 1, 4, 1, 4, 2, 2, 2]]  # 40 and 2 pixels
    losses, names = written(tmp_path, "voc", one("p.png", Region("pit", small), Region("scratch", large)))
    assert losses == {"where classes overlap, only the smaller region is kept, as a pixel has one class":
                      {"p.png": "2 pixels"}}
    found = read_back(tmp_path / "out", names, "JPEGImages")["p.png"]
    assert (found["pit"].sum(), found["scratch"].sum()) == (2, 38)


def test_a_mask_of_voc_has_the_colours_of_the_labels_in_its_palette(tmp_path):
    written(tmp_path, "voc", one("p.png", Region("pit", [[0, 0, 8, 0, 8, 5, 0, 5]])))
    with Picture.open(tmp_path / "out" / "SegmentationClass" / "p.png") as mask:
        assert mask.mode == "P" and set(np.unique(mask)) == {2} and mask.convert("RGB").getpixel((0, 0)) == (0, 255, 0)
    assert (tmp_path / "out" / "labelmap.txt").read_text().splitlines() == [
        "background:0,0,0::", "scratch:255,0,0::", "pit:0,255,0::"]
    assert (tmp_path / "out" / "ImageSets" / "Segmentation" / "default.txt").read_text() == "p\n"


def test_yolo_keeps_the_numbers_of_classes_that_no_region_has_and_the_splits_of_folders(tmp_path):
    names = ("images/train/1.png", "images/val/1.png")
    written(tmp_path, "yolo", *(one(name, Region("pit", [[0, 0, 8, 0, 8, 5]])) for name in names))
    assert (tmp_path / "out" / "data.yaml").read_text() == \
        "train: images/train\nval: images/val\nnames:\n  0: scratch\n  1: pit\n"
    assert (tmp_path / "out" / "labels" / "val" / "1.txt").read_text() == "1 0 0 1 0 1 1\n"


def test_photographs_of_one_stem_get_names_of_their_own_where_a_format_needs_them(tmp_path):
    region = Region("pit", [[0, 0, 8, 0, 8, 5, 0, 5]])
    images = [one("1.png", region), one("1.jpg"), one("a/1.png")]
    assert written(tmp_path, "labelme", *images)[1] == {"1.png": "1.png", "1.jpg": "1_2.jpg", "a/1.png": "a/1.png"}
    with pytest.raises(ArtifactError, match=r"1\.jpg has the name of another photograph but for its ending"):
        write_labels(tmp_path / "alone", "yolo", LABELS, images, tmp_path / "photos", copy=False)
    assert not (tmp_path / "alone").exists()


def test_labels_alone_leave_photographs_where_they_are(tmp_path):
    written(tmp_path, "coco", one("images/1.png", Region("pit", [[0, 0, 8, 0, 8, 5, 0, 5]])), copy=False)
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["_annotations.coco.json"]
    dataset = load_coco(tmp_path / "out", tmp_path / "photos")
    assert [sample.name for sample in dataset.samples] == ["images/1.png"]


def test_a_wide_photograph_is_copied_byte_by_byte(tmp_path):
    (tmp_path / "photos").mkdir()
    Picture.fromarray(np.full((5, 8), 4000, np.uint16)).save(tmp_path / "photos" / "p.tif")
    write_labels(tmp_path / "out", "yolo", LABELS, [one("p.tif")], tmp_path / "photos")
    assert (tmp_path / "out/images/p.tif").read_bytes() == (tmp_path / "photos/p.tif").read_bytes()


def test_what_is_there_is_never_written_over(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(ArtifactError, match="is there already"):
        written(tmp_path, "yolo", one("p.png"))
    assert [path.name for path in tmp_path.iterdir()] == ["out", "photos"]


def test_a_photograph_that_is_gone_leaves_no_half_of_the_target(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(FileNotFoundError):
        write_labels(tmp_path / "out", "yolo", LABELS, [one("gone.png")], tmp_path / "photos")
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_labels_that_a_list_of_names_cannot_hold_are_refused(tmp_path):
    with pytest.raises(DataError, match="is not one line of text"):
        write_labels(tmp_path / "out", "voc", {"a\nb": ""}, [one("p.png")], tmp_path)
    with pytest.raises(DataError, match="there are 255 labels"):
        write_labels(tmp_path / "out", "voc", dict.fromkeys(map(str, range(255)), ""), [one("p.png")], tmp_path)
    assert not (tmp_path / "out").exists()


def test_254_labels_have_254_colours(tmp_path):
    labels = {str(number): "#000000" for number in range(254)}
    write_labels(tmp_path / "out", "voc", labels, [], tmp_path)
    rows = (tmp_path / "out" / "labelmap.txt").read_text().splitlines()
    assert len({row.split(":")[1] for row in rows}) == 255
