"""ss_poc.core.images: files from strangers to arrays, and arrays to files."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from ss_poc.core.errors import ImageError
from ss_poc.core.images import decode_image, header, open_image, turn

SOURCE = Path(__file__).resolve().parents[2] / "src"
LOSSLESS = {"PNG": {}, "BMP": {}, "TIFF": {}, "WEBP": {"lossless": True}}
NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)


def verify_image(data: bytes, **limit: int) -> tuple[tuple[int, int], int]:
    opened = open_image(data, **limit)
    opened.verify()
    return opened.size_hw, opened.orientation


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(mode: str, *values, palette=()) -> Image.Image:
    """An image of one row."""
    image = Image.new(mode, (len(values), 1))
    if palette:
        image.putpalette(palette)
    for x, value in enumerate(values):
        image.putpixel((x, 0), value)
    return image


def row(data: bytes) -> list[list[int]]:
    return decode_image(data)[0].tolist()


def refusal(data: bytes, read=decode_image, **options) -> ImageError:
    with pytest.raises(ImageError) as refused:
        read(data, **options)
    assert refused.value.what and refused.value.expected and refused.value.status in (400, 413, 415, 422)
    return refused.value


# --- files built by hand


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, kind: int, content: bytes) -> bytes:
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(content)) + chunk(b"IEND", b""))


def tiff(order: str, width: int, height: int, content: bytes, tags: dict[int, int]) -> bytes:
    """A TIFF of one strip, or of one tile if `tags` (numbers of 32 bits) say so."""
    tiled = 322 in tags
    place, length = (324, 325) if tiled else (273, 279)
    rows = {} if tiled else {278: height}
    entries = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 277: 1, length: len(content), **rows, **tags}
    entries[place] = 8 + 2 + 12 * (len(entries) + 1) + 4
    listed = b"".join(struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    magic = b"II" if order == "<" else b"MM"
    return (magic + struct.pack(order + "HI", 42, 8) + struct.pack(order + "H", len(entries)) + listed
            + struct.pack(order + "I", 0) + content)


def gif(screen: tuple[int, int], frame: tuple[int, int]) -> bytes:
    start = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6)
    return start + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\x00;"


# --- modes, by the stated conversion


CLEAR = (10, 20, 30, 40, 50, 60)


@pytest.mark.parametrize(("image", "kinds", "expected"), [
    (pixels("1", 0, 255), ("PNG", "TIFF", "BMP", "GIF"), [[0] * 3, [255] * 3]),
    (pixels("L", 7, 200), ("PNG", "TIFF", "BMP", "GIF"), [[7] * 3, [200] * 3]),
    (pixels("LA", (7, 0), (200, 255)), ("PNG", "TIFF"), [[7] * 3, [200] * 3]),
    (pixels("P", 0, 1, palette=CLEAR), ("PNG", "TIFF", "BMP", "GIF"), [[10, 20, 30], [40, 50, 60]]),
    (pixels("P", 0, 1, palette=CLEAR).convert("PA"), ("TIFF",), [[10, 20, 30], [40, 50, 60]]),
    (pixels("RGB", (1, 2, 3), (4, 5, 6)), ("PNG", "TIFF", "BMP", "WEBP"), [[1, 2, 3], [4, 5, 6]]),
    (pixels("RGBA", (1, 2, 3, 0), (4, 5, 6, 255)), ("PNG", "TIFF"), [[1, 2, 3], [4, 5, 6]]),
    (pixels("RGBA", (1, 2, 3, 9), (4, 5, 6, 255)), ("WEBP",), [[1, 2, 3], [4, 5, 6]]),
    (pixels("CMYK", (255, 0, 0, 0), (0, 0, 0, 255), (0, 0, 0, 0)), ("TIFF",), [[0, 255, 255], [0] * 3, [255] * 3]),
    (pixels("I;16", 0x1234, 0xFF00, 0x00FF), ("PNG", "TIFF"), [[0x12] * 3, [0xFF] * 3, [0] * 3]),
    (pixels("I", 0x1234, -5, 70_000), ("TIFF",), [[0x12] * 3, [0] * 3, [255] * 3]),
    (pixels("F", 0.0, 0.5, 1.0), ("TIFF",), [[0] * 3, [127] * 3, [255] * 3]),
    (pixels("F", 2.5, 300.0, -4.0), ("TIFF",), [[2] * 3, [255] * 3, [0] * 3]),
    (pixels("F", float("nan"), 1.0), ("TIFF",), [[0] * 3, [255] * 3]),
])
def test_every_mode_becomes_rgb_by_the_stated_conversion(image, kinds, expected):
    for kind in kinds:
        assert row(encoded(image, kind, **LOSSLESS.get(kind, {}))) == expected, kind


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_transparent_colour_of_a_palette_keeps_its_colour(kind):
    assert row(encoded(pixels("P", 0, 1, palette=CLEAR), kind, transparency=1)) == [[10, 20, 30], [40, 50, 60]]


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate"])  # Pillow 12 cannot read its own without one
def test_grey_and_red_of_ycbcr_are_grey_and_red(compression):
    # JPEG's matrix: R = 76 + 1.402 * 127, G = 76 - 0.344 * -43 - 0.714 * 127, B = 76 + 1.772 * -43
    image = pixels("YCbCr", (128, 128, 128), (255, 128, 128), (76, 85, 255))
    found = np.array(row(encoded(image, "TIFF", compression=compression)))
    np.testing.assert_allclose(found, [[128] * 3, [255] * 3, [254, 0, 0]], atol=1)


def test_white_and_grey_of_lab_are_white_and_grey():
    found = np.array(row(encoded(pixels("LAB", (255, 128, 128), (0, 128, 128)), "TIFF")))
    np.testing.assert_allclose(found, [[255] * 3, [0] * 3], atol=3)


@pytest.mark.parametrize(("mode", "expected"), [("L", [130, 130, 130]), ("RGB", [200, 60, 30]),
                                                ("CMYK", [200, 60, 30])])
def test_jpeg_of_any_mode_becomes_rgb(mode, expected):
    image = Image.new("RGB", (24, 8), tuple(expected)).convert(mode)
    decoded = decode_image(encoded(image, "JPEG", quality=100, subsampling=0))
    assert decoded.shape == (8, 24, 3)
    assert np.abs(decoded.astype(int) - expected).max() <= 4


@pytest.mark.parametrize(("data", "expected"), [
    (png(2, 1, 16, 2, b"\0" + bytes.fromhex("1234 5678 9abc ff00 00ff 0100")), [[0x12, 0x56, 0x9A], [0xFF, 0, 1]]),
    (png(2, 1, 16, 0, b"\0" + bytes.fromhex("1234 ff00")), [[0x12] * 3, [0xFF] * 3]),
    (png(2, 1, 16, 4, b"\0" + bytes.fromhex("1234 0000 ff00 ffff")), [[0x12] * 3, [0xFF] * 3]),
    (png(2, 1, 4, 0, b"\0\x1f"), [[17] * 3, [255] * 3]),  # 4 bits: 1 of 15 and 15 of 15
    (tiff("<", 2, 1, bytes.fromhex("3412 00ff"), {258: 16}), [[0x12] * 3, [0xFF] * 3]),
    (tiff(">", 2, 1, bytes.fromhex("1234 ff00"), {258: 16}), [[0x12] * 3, [0xFF] * 3]),
    (tiff("<", 2, 1, b"\x05\xff", {262: 0}), [[250] * 3, [0] * 3]),  # white is 0
], ids=["16-bit RGB", "16-bit grey", "16-bit grey and alpha", "4-bit grey", "little-endian 16-bit", "big-endian 16-bit",
        "inverted grey"])
def test_files_written_byte_by_byte(data, expected):
    assert row(data) == expected


def test_the_array_is_height_width_3_of_bytes_in_one_piece():
    decoded = decode_image(encoded(Image.new("LA", (5, 3))))
    assert decoded.shape == (3, 5, 3) and decoded.dtype == np.uint8 and decoded.flags.c_contiguous


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 5000), (5000, 1), (3, 7)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF"])
def test_odd_sizes_are_decoded(kind, width, height):
    data = encoded(Image.new("RGB", (width, height), (255, 255, 255)), kind)
    assert decode_image(data).shape == (height, width, 3) and decode_image(data).min() > 250
    assert header(data) == verify_image(data) == ((height, width), 1)


def test_a_path_is_judged_by_content_not_by_its_name(tmp_path):
    for name in ("picture.jpg", "notes.txt", "사진 1.png", "no_suffix"):
        (tmp_path / name).write_bytes(encoded(pixels("RGB", (1, 2, 3))))
        assert decode_image(tmp_path / name).tolist() == [[[1, 2, 3]]]
        assert header(tmp_path / name) == ((1, 1), 1)


def test_a_missing_file_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        decode_image(tmp_path / "none.png")


# --- the first frame


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_the_first_frame_or_page_is_taken(kind):
    first, *others = (Image.new("RGB", (24, 16), color) for color in ((250, 0, 0), (0, 0, 250), (0, 250, 0)))
    data = encoded(first, kind, save_all=True, append_images=others, **LOSSLESS.get(kind, {}))
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == 3
    decoded = decode_image(data)
    assert decoded.shape == (16, 24, 3) and np.abs(decoded.astype(int) - (250, 0, 0)).max() <= 3


# --- EXIF orientation

STORED = [[1, 2, 3],
          [4, 5, 6]]
# As a viewer shows it: EXIF 2.3, table of tag 0x0112.
UPRIGHT = {1: [[1, 2, 3], [4, 5, 6]], 2: [[3, 2, 1], [6, 5, 4]], 3: [[6, 5, 4], [3, 2, 1]], 4: [[4, 5, 6], [1, 2, 3]],
           5: [[1, 4], [2, 5], [3, 6]], 6: [[4, 1], [5, 2], [6, 3]], 7: [[6, 3], [5, 2], [4, 1]],
           8: [[3, 6], [2, 5], [1, 4]]}


def photograph(kind: str, orientation: int, scale: int = 1, mode: str = "RGB") -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.kron(np.array(STORED, np.uint8) * 40, np.ones((scale, scale), np.uint8))).convert(mode)
    return encoded(image, kind, exif=exif, **LOSSLESS.get(kind, {"quality": 100}))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_a_turned_photograph_is_decoded_as_a_viewer_shows_it(kind, orientation):
    data = photograph(kind, orientation)
    expected = np.array(UPRIGHT[orientation]) * 40
    np.testing.assert_array_equal(decode_image(data)[..., 0], expected)
    np.testing.assert_array_equal(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("L"), expected)
    np.testing.assert_array_equal(decode_image(data, upright=False)[..., 0], np.array(STORED) * 40)
    assert header(data) == verify_image(data) == ((2, 3), orientation)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_decoded_as_a_viewer_shows_it(orientation):
    data = photograph("JPEG", orientation, scale=16)
    found = decode_image(data)[8::16, 8::16, 0].astype(int)
    np.testing.assert_allclose(found, np.array(UPRIGHT[orientation]) * 40, atol=4)
    assert header(data) == ((32, 48), orientation)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_mask_of_the_stored_picture_is_turned_as_the_picture_is(orientation):
    np.testing.assert_array_equal(turn(np.array(STORED), orientation), UPRIGHT[orientation])
    two = np.stack([STORED, np.array(STORED) > 3], axis=-1)
    turned = turn(two, orientation)
    np.testing.assert_array_equal(turned[..., 0], UPRIGHT[orientation])
    np.testing.assert_array_equal(turned[..., 1], np.array(UPRIGHT[orientation]) > 3)


def test_a_16_bit_photograph_is_turned_as_well():
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in ("PNG", "TIFF"):
        data = encoded(pixels("I;16", 0x1234, 0xFF00), kind, exif=exif)
        assert decode_image(data)[..., 0].tolist() == [[0x12], [0xFF]]


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation):
    for kind in ("PNG", "TIFF"):
        data = photograph(kind, orientation)
        assert header(data) == ((2, 3), 1) and decode_image(data)[..., 0].tolist() == (np.array(STORED) * 40).tolist()


def test_odd_exif_entries_do_not_spoil_a_whole_photograph():
    data = bytearray(photograph("JPEG", 6, scale=16))
    head = data.index(b"\x01\x12\x00\x03\x00\x00\x00\x01")  # the entry of the orientation; insert one of text before it
    entry = b"\x01\x00\x00\x02\x00\x00\x00\x02x\x00\x00\x00"  # ImageWidth, as text
    data[head:head] = entry
    data[head - 2:head] = b"\x00\x02"
    start = data.index(b"\xff\xe1") + 2
    data[start:start + 2] = struct.pack(">H", struct.unpack(">H", data[start:start + 2])[0] + len(entry))
    assert header(bytes(data)) == ((32, 48), 6)
    found = decode_image(bytes(data))[8::16, 8::16, 0].astype(int)
    np.testing.assert_allclose(found, np.array(UPRIGHT[6]) * 40, atol=4)


# --- what is no image


@pytest.mark.parametrize("read", [decode_image, header, verify_image])
@pytest.mark.parametrize("data", [
    b"", b"\0", b"garbage", b"<html><body>404</body></html>", b"{}", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a",
    b"BM", b"II*\0", b"RIFF\0\0\0\0WAVEfmt ", b"P6 1 1 255 abc", bytes(1000), b"\xff" * 1000])
def test_what_is_no_image_is_400(data, read):
    assert refusal(data, read).status == 400


def test_an_empty_file_is_said_to_be_empty():
    assert "empty" in refusal(b"").what


@pytest.mark.parametrize(("data", "name"), [
    (b"%PDF-1.7\n", "PDF"), (b"%!PS-Adobe-3.0 EPSF-3.0\n", "PostScript"),
    (b"\xc5\xd0\xd3\xc6" + bytes(28), "PostScript"),
    (b"8BPS\0\x01" + bytes(20), "Photoshop"), (b"SIMPLE  =                    T", "FITS"), (b"<svg xmlns='x'/>", "SVG"),
    (b"\n  <svg/>", "SVG"), (b"\xef\xbb\xbf<svg/>", "SVG"), (b"<?xml version='1.0'?><svg/>", "SVG"),
    (b"<!DOCTYPE svg PUBLIC 'x'>", "SVG"), (b"PK\x03\x04" + bytes(30), "zip"), (b"\0\0\x01\0\x01\0", "icon"),
    (b"\0\0\0\x18ftypheic" + bytes(30), "HEIC"), (b"\0\0\0\x1cftypavif" + bytes(30), "AVIF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000")])
@pytest.mark.parametrize("read", [decode_image, header, verify_image])
def test_a_known_format_that_is_not_taken_is_415_by_name(data, name, read):
    error = refusal(data, read)
    assert error.status == 415 and name in error.what and "convert" in error.fix


def test_formats_pillow_could_open_are_not_opened():
    for kind in ("PPM", "TGA", "ICO", "PCX", "SGI", "JPEG2000", "AVIF"):
        try:
            data = encoded(Image.new("RGB", (16, 16)), kind)
        except (OSError, KeyError):
            continue  # this Pillow was built without it
        assert refusal(data).status in (400, 415), kind


# --- what is damaged


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF"])
@pytest.mark.parametrize("read", [decode_image, verify_image])
def test_half_an_image_is_422(kind, read):
    data = encoded(Image.fromarray(NOISE), kind)
    error = refusal(data[: len(data) // 2], read)
    assert error.status == 422 and "damaged" in error.what and "cut off" in error.fix


def test_a_header_without_its_picture_is_refused():
    whole = encoded(Image.fromarray(NOISE), "PNG")
    assert header(whole[:33] + whole[33:60]) == ((40, 60), 1)  # the header is all it reads
    assert refusal(whole[:60]).status == 422


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "DIB", "TIFF", "WEBP", "GIF"])
def test_a_file_cut_anywhere_is_refused_or_decoded_never_worse(kind):
    data = encoded(Image.fromarray(NOISE[:5, :7]), kind)
    refused = 0
    for length in range(len(data)):
        for read in (decode_image, header, verify_image):
            try:
                read(data[:length])
            except ImageError as error:
                refused += read is decode_image
                assert error.status in (400, 415, 422)
    assert refused > len(data) / 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF", "MPO"])
def test_a_file_with_wrong_bytes_is_refused_or_decoded_never_worse(kind):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    options = {"exif": exif} if kind in ("JPEG", "PNG", "TIFF", "WEBP") else {}
    data, chance, outcomes = encoded(Image.fromarray(NOISE[:5, :7]), kind, **options), random.Random(0), set()
    for _ in range(400):
        wrong = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 4))):
            wrong[chance.randrange(min(len(wrong), 300))] = chance.choice((0, 128, 255, chance.randrange(256)))
        try:
            outcomes.add(decode_image(bytes(wrong), 4_000_000).ndim)
        except ImageError as error:
            outcomes.add(error.status)
    assert outcomes <= {3, 400, 413, 415, 422} and 3 in outcomes and len(outcomes) > 1


# --- what is too large


def test_an_image_over_the_limit_of_pixels_is_413_and_on_it_is_not():
    data = encoded(Image.new("L", (7, 3)))
    for read in (decode_image, header, verify_image):
        read(data, max_pixels=21)
        error = refusal(data, read, max_pixels=20)
        assert error.status == 413 and "3x7" in error.what and "20" in error.expected


BOMBS = {
    "png": png(20_000, 20_000, 1, 0, bytes(2501 * 20_000)),  # whole: 50 KB that would be 1.2 GB of RGB
    "png header": png(2**31 - 1, 2**31 - 1, 8, 2, b""),
    "gif screen": gif((60_000, 60_000), (1, 1)),
    "gif frame": gif((1, 1), (60_000, 60_000)),
    "bmp": b"BM" + struct.pack("<IHHIIiiHHIIIIII", 54, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
    "tiff": tiff("<", 60_000, 60_000, b"\0", {}),
    "tiff tile": tiff("<", 10, 10, zlib.compress(bytes(10**6)), {259: 8, 322: 40_000, 323: 40_000}),
}
EAT = ("import json, resource, sys\nfrom pathlib import Path\nfrom ss_poc.core.errors import ImageError\n"
       "from ss_poc.core.images import decode_image, header, open_image\n"
       "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\nfound = {}\n"
       "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
       "    found[path.name] = []\n"
       "    for read in (decode_image, header, lambda data: open_image(data).verify()):\n"
       "        try:\n            read(path.read_bytes())\n            found[path.name].append(200)\n"
       "        except ImageError as error:\n            found[path.name].append(error.status)\n"
       "after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
       "print(json.dumps([found, (after - before) / 1024]))\n")


def test_bombs_are_413_before_they_are_decoded(tmp_path):
    for name, data in BOMBS.items():
        (tmp_path / name).write_bytes(data)
    path = os.pathsep.join([str(SOURCE), *sys.path])
    done = subprocess.run([sys.executable, "-c", EAT, str(tmp_path)], env={**os.environ, "PYTHONPATH": path},
                          text=True, capture_output=True, timeout=120, check=True)
    found, megabytes = json.loads(done.stdout)
    assert found == {name: [413] * 3 for name in BOMBS}
    assert megabytes < 60
