"""ss_poc.core.bit_depth: which bits a camera uses, and what becomes of the values of its files."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from ss_poc.core.bit_depth import Values, find_bit_depth, range_warnings
from ss_poc.core.errors import ImageError
from ss_poc.core.images import decode_image, open_image
from ss_poc.core.levels import Levels

# Two rows of three values of 12 bits; their upper 8 bits are a sixteenth: 0, 1, 16, 128, 255, 255.
TWELVE = np.array([[0, 16, 256], [2048, 4080, 4095]], np.uint16)
EIGHT = [[0, 1, 16], [128, 255, 255]]


def file_of(values: np.ndarray, kind: str, orientation: int = 1) -> bytes:
    """Grey values as Pillow writes them, RGB ones as OpenCV does."""
    if values.ndim == 3:
        return bytes(cv2.imencode({"PNG": ".png", "TIFF": ".tif"}[kind], values[..., ::-1])[1])
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    Image.fromarray(values).save(buffer, kind, exif=exif)
    return buffer.getvalue()


def seen(*values: int) -> Values:
    return Values.of(np.array([values], np.uint16))


# --- from values to bits


@pytest.mark.parametrize(("most", "bits"), [(1, 8), (255, 8), (256, 10), (1023, 10), (1024, 12), (4095, 12), (4097, 14),
                                            (16383, 14), (16384, 16), (65535, 16)])
def test_the_smallest_range_that_holds_the_highest_value_of_all_files_is_used(most, bits):
    assert find_bit_depth([seen(0, most)]) == find_bit_depth([seen(1), seen(3, most), seen(0)]) == bits


def test_12_bits_in_the_upper_ones_of_16_fill_the_whole_range_however_dark_they_are():
    assert find_bit_depth([seen(0, 16, 65520)]) == find_bit_depth([seen(16, 4096), seen(8000)]) == 16
    assert find_bit_depth([seen(16, 4096), seen(8001)]) == 14


def test_a_camera_of_12_bits_that_sees_256_levels_has_12():
    assert find_bit_depth([seen(0, 16, 4080)]) == 12


def test_no_file_and_black_files_leave_the_range_as_it_is():
    assert find_bit_depth([]) == find_bit_depth([seen(0, 0)]) == 16


# --- from values to pixels


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_the_upper_8_of_12_bits_are_kept(kind):
    data = file_of(TWELVE, kind)
    assert decode_image(data, levels=Levels(12)).tolist() == np.repeat(np.array(EIGHT)[..., None], 3, axis=2).tolist()
    assert decode_image(data)[..., 0].tolist() == [[0, 0, 1], [8, 15, 15]]  # a 256th, as ever


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_colours_of_12_bits_are_kept_as_well(kind):
    colours = np.dstack([TWELVE, TWELVE // 2, np.zeros_like(TWELVE)])
    opened = open_image(file_of(colours, kind))
    found = opened.decode(levels=Levels(12))
    assert found[..., 0].tolist() == EIGHT and found[..., 1].tolist() == [[0, 0, 8], [64, 127, 127]]
    assert not found[..., 2].any() and opened.values == Values(0, 4095, 4095)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("depth", [8, 12, 16])
def test_photographs_of_8_bits_are_as_they_are_whatever_the_range(kind, depth):
    opened = open_image(file_of(np.array(EIGHT, np.uint8), kind))
    assert opened.decode(levels=Levels(depth))[..., 0].tolist() == EIGHT and opened.values is None and not opened.wide


def test_values_above_the_range_are_clipped():
    data = file_of(np.array([[4095, 4096, 65535]], np.uint16), "TIFF")
    assert decode_image(data, levels=Levels(12))[..., 0].tolist() == [[255, 255, 255]]
    assert decode_image(data, levels=Levels(14))[..., 0].tolist() == [[63, 64, 255]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_turned_photograph_of_12_bits_is_turned(kind):
    assert decode_image(file_of(TWELVE, kind, 6), levels=Levels(12))[..., 0].tolist() == [[128, 0], [255, 1], [255, 16]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_checking_a_file_finds_its_values_and_decodes_it_once(kind, monkeypatch):
    loads = []
    for made in (Image.open(io.BytesIO(file_of(TWELVE, kind))).__class__,):
        monkeypatch.setattr(made, "load_end", lambda self, end=made.load_end: loads.append(1) or end(self))
    opened = open_image(file_of(TWELVE, kind))
    opened.verify()
    assert opened.values == Values(0, 4095, 4095) and len(loads) == 1


def test_colours_of_16_bits_that_cannot_be_read_are_refused_where_bits_count(monkeypatch):
    data = file_of(np.dstack([TWELVE] * 3), "PNG")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    with pytest.raises(ImageError, match="colours of this image have 16 bits") as refused:
        decode_image(data, levels=Levels(12))
    assert refused.value.status == 422 and decode_image(data)[..., 0].tolist() == [[0, 0, 1], [8, 15, 15]]


# --- what is said


def test_values_above_the_range_and_a_range_hardly_used_are_said():
    of_12 = Levels(12)
    assert range_warnings(seen(0, 4095), of_12) == range_warnings(None, of_12) == []
    assert range_warnings(seen(0, 5000), of_12) == [
        "values up to 5000 are clipped to 4095: the photographs of the training have 12 bits"]
    assert range_warnings(seen(7, 4095), Levels()) == ["values 7 to 4095 use under a tenth of the range 0 to 65535"]
    assert range_warnings(seen(2000, 2409), of_12) == ["values 2000 to 2409 use under a tenth of the range 0 to 4095"]
    assert range_warnings(seen(2000, 2410), of_12) == []  # 410 of 4095
    assert len(range_warnings(seen(5000, 9000), of_12)) == 2
