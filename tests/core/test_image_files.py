"""ss_poc.core.images: resizing, writing and finding image files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ss_poc.core.errors import ImageError
from ss_poc.core.images import (
    decode_image,
    encode_image,
    find_images,
    resize_image,
    save_image,
)

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)


# --- resize


def grey(*rows: list[int]) -> np.ndarray:
    return np.repeat(np.array(rows, np.uint8)[..., None], 3, axis=2)


def test_shrinking_averages_the_area():
    assert resize_image(grey([0, 10, 100, 100], [20, 30, 100, 200]), (1, 2))[..., 0].tolist() == [[15, 125]]
    assert resize_image(grey([0, 0, 0, 100]), (1, 1))[..., 0].tolist() == [[25]]


def test_growing_is_bilinear():
    assert resize_image(grey([0, 100]), (1, 4))[..., 0].tolist() == [[0, 25, 75, 100]]


def test_a_picture_of_the_right_size_is_taken_as_it_is():
    picture = grey([1, 2, 3])
    assert resize_image(picture, (1, 3)) is picture and resize_image(picture, [1, 3]) is picture


@pytest.mark.parametrize("size", [(1, 1), (7, 2), (2, 90), (40, 60)])
def test_size_is_height_and_width(size):
    assert resize_image(NOISE, size).shape == (*size, 3)


# --- encode and save


def test_png_keeps_every_value_and_jpeg_nearly():
    smooth = np.zeros((16, 24, 3), np.uint8)
    smooth[..., 0], smooth[..., 2] = np.arange(24) * 10, 200
    np.testing.assert_array_equal(decode_image(encode_image(smooth, ".png")), smooth)
    flat = np.full((16, 24, 3), (200, 60, 30), np.uint8)
    data = encode_image(flat)
    assert data[:3] == b"\xff\xd8\xff" and np.abs(decode_image(data).astype(int) - flat).max() <= 3


def test_grey_is_encoded_as_grey():
    with Image.open(io.BytesIO(encode_image(np.array([[0, 7, 255]], np.uint8), ".png"))) as image:
        assert image.mode == "L" and np.asarray(image).tolist() == [[0, 7, 255]]


def test_lower_quality_makes_a_smaller_file():
    assert len(encode_image(NOISE, quality=30)) < len(encode_image(NOISE)) < len(encode_image(NOISE, quality=100))


@pytest.mark.parametrize(("shape", "suffix"), [((3, 4, 2), ".png"), ((0, 4, 3), ".png"), ((3, 4, 3), ".xyz"),
                                               ((3, 4, 3), "")])
def test_what_cannot_be_encoded_is_refused(shape, suffix):
    with pytest.raises(ImageError, match="could not be written"):
        encode_image(np.zeros(shape, np.uint8), suffix)


def test_saving_makes_folders_and_takes_the_format_from_the_name(tmp_path):
    save_image(tmp_path / "새 폴더" / "a.png", NOISE)
    np.testing.assert_array_equal(decode_image(tmp_path / "새 폴더" / "a.png"), NOISE)
    save_image(tmp_path / "a.jpg", NOISE)
    assert (tmp_path / "a.jpg").read_bytes()[:2] == b"\xff\xd8"


def test_a_picture_that_cannot_be_saved_leaves_the_old_one_whole(tmp_path):
    save_image(tmp_path / "a.png", NOISE)
    with pytest.raises(ImageError):
        save_image(tmp_path / "a.png", NOISE[..., :2])
    np.testing.assert_array_equal(decode_image(tmp_path / "a.png"), NOISE)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


# --- find


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("b.png", "a.JPG", "notes.txt", "사진 1.tiff", "sub/c.webp", ".hidden.png", ".exports/d.png",
                 "sub/.cache/e.png", "odd[1]/f.gif"):
        path = tmp_path / "my photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "my photos" / "folder.png").mkdir()
    return tmp_path / "my photos"


def found(source: Path | str, base: Path) -> list[str]:
    return [path.relative_to(base).as_posix() for path in find_images(str(source))]


def test_a_folder_gives_its_images_sorted_with_subfolders_but_nothing_hidden(folder):
    assert found(folder, folder) == ["a.JPG", "b.png", "odd[1]/f.gif", "sub/c.webp", "사진 1.tiff"]


@pytest.mark.parametrize(("pattern", "expected"), [
    ("*.png", ["b.png"]), ("*", ["a.JPG", "b.png", "사진 1.tiff"]), ("s*/*", ["sub/c.webp"]),
    ("사진*", ["사진 1.tiff"]),
    ("**/*.[pw]*", ["b.png", "sub/c.webp"]), (".exports/*", [".exports/d.png"])])
def test_a_glob_gives_what_it_matches_and_hidden_ones_only_if_it_names_them(folder, pattern, expected, monkeypatch):
    assert found(folder / pattern, folder) == expected
    monkeypatch.chdir(folder)
    assert found(pattern, Path(".")) == expected
    monkeypatch.chdir(folder / "sub")
    assert found(f"../{pattern}", Path("..")) == expected


def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(folder):
    assert found(folder / "odd[1]", folder) == ["odd[1]/f.gif"]


def test_a_single_file_is_taken_whatever_its_name(folder):
    assert found(folder / "notes.txt", folder) == ["notes.txt"]
    assert found(folder / ".hidden.png", folder) == [".hidden.png"]


@pytest.mark.parametrize("source", ["none", "*.bmp", "none/*.png", "folder.png", "a**", "nul\0"])
def test_no_image_is_an_error_that_names_the_source(folder, source):
    with pytest.raises(ImageError, match="no images at") as refused:
        find_images(str(folder / source))
    assert ".png" in refused.value.expected
