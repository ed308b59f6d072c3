"""ss_poc.core.jpeg: a JPEG that lacks its last two bytes is whole, one that lacks rows is not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ss_poc.core.errors import ImageError
from ss_poc.core.images import PLAIN, decode_image, find_images, images_below, open_image
from ss_poc.core.jpeg import with_its_end
from ss_poc.inference.reading import Read, Unread, read_photograph

NOISE = np.random.default_rng(0).integers(90, 130, (96, 128)).astype(np.uint8)


def jpeg(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", **options)
    return buffer.getvalue()


FORMS = [jpeg(Image.fromarray(NOISE)), jpeg(Image.fromarray(NOISE), progressive=True, optimize=True),
         jpeg(Image.fromarray(np.dstack([NOISE] * 3)), subsampling=2), jpeg(Image.new("L", (200, 300), 255))]


@pytest.mark.parametrize("data", FORMS)
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_without_its_last_bytes_is_the_same_picture(data, missing):
    assert data.endswith(b"\xff\xd9")
    assert decode_image(data[:-missing]).tolist() == decode_image(data).tolist()
    opened = open_image(data[:-missing])
    opened.verify()


@pytest.mark.parametrize("data", FORMS[:3])
@pytest.mark.parametrize("missing", [4, 8, 40, 1000])
def test_a_jpeg_that_lacks_pixels_too_is_refused_however_few(data, missing):
    assert with_its_end(data[:-missing]) is None
    for read in (decode_image, lambda cut: open_image(cut).verify()):
        with pytest.raises(ImageError, match="damaged: image file is truncated") as caught:
            read(data[:-missing])
        assert caught.value.status == 422


def test_a_white_jpeg_that_lacks_its_lower_half_is_refused():
    data = FORMS[3]
    start = data.index(b"\xff\xda") + 10
    assert with_its_end(data[:start + (len(data) - start) // 2]) is None


# --- names of photographs


def test_a_folder_with_phone_photographs_is_read_or_each_is_named(tmp_path):
    for name in ("b.jfif", "c.jpe", "d.JPG"):
        (tmp_path / name).write_bytes(FORMS[0])
    Image.fromarray(NOISE).save(tmp_path / "f.jp2")
    (tmp_path / "e.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(180))
    (tmp_path / "notes.txt").write_text("no photograph")
    files = find_images(str(tmp_path))
    found = {file.name: read_photograph(file, file.name, PLAIN) for file in files}
    assert {name for name, read in found.items() if isinstance(read, Read)} == {"b.jfif", "c.jpe", "d.JPG"}
    assert {read.name: read.reason for read in found.values() if isinstance(read, Unread)} == {
        "e.heic": "the format of this file is HEIC, AVIF or video", "f.jp2": "the format of this file is JPEG 2000"}
    assert [path.name for path in images_below(tmp_path)] == ["b.jfif", "c.jpe", "d.JPG"]


def test_a_folder_of_nothing_but_unread_photographs_is_no_empty_folder(tmp_path: Path):
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    assert [path.name for path in find_images(str(tmp_path))] == ["IMG_1.HEIC"]
