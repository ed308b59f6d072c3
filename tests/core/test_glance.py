"""ss_poc.core.images: what a file that is verified looks like at a glance, and when it was taken."""

from __future__ import annotations

import io
from datetime import datetime, timezone

import numpy as np
import pytest
from PIL import Image

from ss_poc.core.images import Glance, open_image


def glance_of(image: Image.Image, kind: str = "PNG", **options) -> Glance:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    opened = open_image(buffer.getvalue())
    assert opened.glance is None
    opened.verify()
    assert opened.glance is not None
    return opened.glance


def quarters(size_hw: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8: 40 and 80 above, 120 and 160 below."""
    rows, columns = np.mgrid[:size_hw[0], :size_hw[1]]
    return (40 + 40 * (columns >= size_hw[1] // 2) + 80 * (rows >= size_hw[0] // 2)).astype(np.uint8)


def corners(thumbnail: np.ndarray) -> list[int]:
    assert (thumbnail.shape, thumbnail.dtype) == ((32, 32), np.uint8)
    return [int(thumbnail[row, column]) for row in (8, 24) for column in (8, 24)]


@pytest.mark.parametrize("size_hw", [(64, 96), (1000, 300), (20, 30)])
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "RGBA"])
def test_a_thumbnail_is_the_photograph_in_grey_whatever_its_sides(mode, size_hw):
    assert corners(glance_of(Image.fromarray(quarters(size_hw)).convert(mode)).thumbnail) == [40, 80, 120, 160]


def test_a_thumbnail_of_a_jpeg_is_nearly_the_same():
    found = corners(glance_of(Image.fromarray(quarters((640, 960))), "JPEG").thumbnail)
    assert found == pytest.approx([40, 80, 120, 160], abs=3)


@pytest.mark.parametrize(("orientation", "expected"), [(3, [160, 120, 80, 40]), (6, [120, 40, 160, 80])])
def test_a_thumbnail_is_upright(orientation, expected):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert corners(glance_of(Image.fromarray(quarters((64, 96))), exif=exif).thumbnail) == expected


def test_a_thumbnail_of_16_bits_goes_from_the_darkest_to_the_brightest():
    wide = Image.fromarray(quarters((64, 96)).astype(np.uint16) * 16)
    assert corners(glance_of(wide).thumbnail) == [0, 85, 170, 255]


def test_a_thumbnail_of_floats_passes_over_what_is_no_number():
    values = quarters((64, 96)).astype(np.float32)
    values[30] = np.nan
    values[31] = np.inf
    assert np.diff(corners(glance_of(Image.fromarray(values), "TIFF").thumbnail)).min() > 30


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_exif_tells_when_a_photograph_was_taken(kind):
    exif = Image.Exif()
    exif[0x8769] = {0x9003: "2026:11:02 10:00:30"}
    taken = glance_of(Image.fromarray(quarters((64, 96))), kind, exif=exif).taken
    assert taken == datetime(2026, 11, 2, 10, 0, 30, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize("told", ["", "0000:00:00 00:00:00", "yesterday", "2026:13:45 99:00:00"])
def test_a_time_that_is_none_is_not_known(told):
    exif = Image.Exif()
    exif[0x8769] = {0x9003: told}
    assert glance_of(Image.fromarray(quarters((64, 96))), exif=exif).taken is None
    assert glance_of(Image.fromarray(quarters((64, 96)))).taken is None
