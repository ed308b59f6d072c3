"""Image files to arrays and back. Every stage and the service decode through `open_image` or `decode_image`."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from .bit_depth import Values, is_white_zero, is_wide, to_8_bit, wide_values
from .errors import ImageError
from .files import atomic_path
from .jpeg import with_its_end
from .levels import Levels
from .masks import row_bands

__all__ = ["AS_IT_CAME", "FORMATS", "MAX_PIXELS", "PLAIN", "SUFFIXES", "UNREAD_SUFFIXES", "Glance", "OpenedImage",
           "decode_image", "encode_image", "find_images", "header", "images_below", "open_image", "resize_image",
           "save_image", "suffix_as_it_came", "turn"]

# Pillow knows 43 formats, PostScript (through Ghostscript) among them: only photographs are let in.
# MPO opens through JPEG's factory; naming it here makes Pillow raise KeyError for whatever is no JPEG.
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "TIFF", "WEBP", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
# Photographs by their names, in formats that are not taken: they are named, where others are passed over.
UNREAD_SUFFIXES = (".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k", ".jpx", ".jxl", ".dng", ".cr2", ".cr3", ".nef",
                   ".arw", ".raf", ".orf", ".rw2")
MAX_PIXELS = 200_000_000
PLAIN = Levels()
# How files begin that every annotator shows, and their suffixes.
AS_IT_CAME = {b"\xff\xd8\xff": ".jpg", b"\x89PN": ".png"}

# Pillow warns and fails at limits of its own; `header` checks ours before a pixel is decoded.
Image.MAX_IMAGE_PIXELS = None

DOCUMENTS = {b"%PDF": "PDF", b"%!PS": "PostScript", b"\xc5\xd0\xd3\xc6": "PostScript", b"8BPS": "Photoshop",
             b"SIMPLE  =": "FITS", b"<svg": "SVG", b"<!DOCTYPE svg": "SVG", b"<?xml": "XML or SVG",
             b"PK\x03\x04": "zip", b"\x00\x00\x01\x00": "icon", b"\x00\x00\x00\x0cjP": "JPEG 2000"}
BOM = b"\xef\xbb\xbf"
DAMAGE = (OSError, ValueError, SyntaxError, TypeError, IndexError, KeyError, EOFError, OverflowError, ZeroDivisionError,
          MemoryError, struct.error)
ORIENTATION, TILE_WIDTH, TILE_LENGTH = 0x0112, 0x0142, 0x0143
EXIF, TAKEN = 0x8769, 0x9003
TURNED = (5, 6, 7, 8)
# Pixels of a thumbnail's side, and of the image it is the mean of: every so many pixels of a larger one are looked at.
SIDE, LOOKED_AT = 32, 256


def _open(data: bytes) -> Image.Image:
    if not data:
        raise ImageError("the image is empty (0 bytes)", "a JPEG, PNG, BMP, TIFF, WebP or GIF file")
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except (OSError, ValueError, SyntaxError, TypeError, OverflowError, MemoryError) as error:
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":  # unlike the others, a cut off WebP fails here already
            raise _damaged(error) from error
        name = _document(data)
        if name:
            raise ImageError(f"the format of this file is {name}", "a JPEG, PNG, BMP, TIFF, WebP or GIF image",
                             "convert it to one of these", status=415) from error
        raise ImageError("this file is no image", "a JPEG, PNG, BMP, TIFF, WebP or GIF image",
                         "send the image file itself, not a page or a text") from error


def _document(data: bytes) -> str:
    """Name of a format that is known but not taken, or ""."""
    if data[4:8] == b"ftyp":
        return "HEIC, AVIF or video"
    start = data[:64].removeprefix(BOM).lstrip()
    return next((name for magic, name in DOCUMENTS.items() if start.startswith(magic)), "")


@dataclass(frozen=True, eq=False)
class Glance:
    """What tells at a glance whether two photographs show the same.

    Attributes:
        thumbnail: (32, 32) uint8, grey, upright, whatever the sides of the image.
        taken: when, in seconds by the camera's clock (EXIF); None where the file does not tell.
    """

    thumbnail: np.ndarray
    taken: float | None


class OpenedImage:
    """An image file whose header was read and found good; its pixels are decoded when asked for, at most once.

    Attributes:
        size_hw: height and width in pixels, as stored.
        orientation: EXIF orientation, 1 to 8; 1 where the file names none.
        wide: whether the header names more than 8 bits a value.
        values: least and highest value of a wide image that was decoded or verified; else None.
        glance: of an image that was verified; else None.
    """

    def __init__(self, image: Image.Image, max_pixels: int) -> None:
        self._image, self._file = image, image.fp  # type: ignore[attr-defined]  # Pillow forgets it once it has loaded
        self.wide, self._white_zero = is_wide(image), is_white_zero(image)
        self.values: Values | None = None
        self.glance: Glance | None = None
        self.size_hw, self.orientation = _checked_header(image, max_pixels)

    @property
    def upright_hw(self) -> tuple[int, int]:
        """Height and width in pixels as a viewer shows the image."""
        return self.size_hw[::-1] if self.orientation in TURNED else self.size_hw

    def decode(self, upright: bool = True, levels: Levels = PLAIN) -> np.ndarray:
        """Decode the pixels and close the file.

        Args:
            upright: turn the image as its EXIF orientation says, which is how a viewer shows it.
            levels: what becomes black and white of a wide image.

        Returns:
            (H, W, 3) uint8, RGB, contiguous.

        Raises:
            ImageError: the file is damaged (422).
        """
        with self._read():
            self._load()
            left = _turn_left(self._image, self.orientation, upright)
            values = self._wide_values()
            if self.wide and values is None and levels.bit_depth < PLAIN.bit_depth:
                raise ImageError("the colours of this image have 16 bits, in a form that cannot be read",
                                 f"{levels.bit_depth} bits a value, grey or RGB", "save it as PNG", status=422)
            rgb = _to_rgb(self._image) if values is None else to_8_bit(values, levels)
            return np.ascontiguousarray(turn(255 - rgb if self._white_zero else rgb, left))

    def verify(self) -> None:
        """Decode the whole file for its errors alone, a JPEG at an eighth of its size (9 times faster); close it.

        Raises:
            ImageError: whatever `decode` would raise.
        """
        with self._read():
            self._image.draft(None, (max(1, self._image.width // 8), max(1, self._image.height // 8)))
            taken = _taken(self._image)  # before the file is closed, in which a TIFF's EXIF lies
            self._load()
            small = _thumbnail(self._image, self._wide_values())
            left = _turn_left(self._image, self.orientation, upright=True)
            self.glance = Glance(turn(255 - small if self._white_zero else small, left), taken)

    def _load(self) -> None:
        try:
            self._image.load()
        except OSError:
            whole = with_its_end(self._file.getvalue()) if self._image.format in ("JPEG", "MPO") else None
            if whole is None:
                raise
            self._image = Image.open(io.BytesIO(whole), formats=FORMATS)
            self._image.load()

    def _wide_values(self) -> np.ndarray | None:
        """Values of the loaded image where it is wide, noted in `values`; None where it is not."""
        found = wide_values(self._image, self._file) if self.wide else None
        self.values = None if found is None else Values.of(found)
        return found

    @contextmanager
    def _read(self) -> Iterator[None]:
        try:
            yield
        except DAMAGE as error:
            raise _damaged(error) from error
        finally:
            self._image.close()  # Pillow's own copy of the pixels goes with it


def suffix_as_it_came(data: bytes, orientation: int, wide: bool = False) -> str:
    """The suffix under which a file may be kept as it came; "" where annotators would not show it as it is seen here.

    Args:
        data: its content, of which the beginning tells the format.
        orientation: EXIF orientation, 1 to 8.
        wide: whether it has more than 8 bits a value.
    """
    return AS_IT_CAME.get(data[:3], "") if orientation == 1 and not wide else ""


def open_image(source: bytes | Path, max_pixels: int = MAX_PIXELS) -> OpenedImage:
    """Read the header of an image file; nothing is decoded yet.

    Args:
        source: the file's content, or its path.
        max_pixels: the header may promise at most this many.

    Raises:
        ImageError: not an image (400), a format we do not take (415), more than `max_pixels` (413).
    """
    return OpenedImage(_open(source if isinstance(source, bytes) else source.read_bytes()), max_pixels)


def header(source: bytes | Path, max_pixels: int = MAX_PIXELS) -> tuple[tuple[int, int], int]:
    """What a file's header says: (height, width) as stored, and the EXIF orientation 1..8.

    Raises:
        ImageError: as `open_image`.
    """
    opened = open_image(source, max_pixels)
    return opened.size_hw, opened.orientation


def _checked_header(image: Image.Image, max_pixels: int) -> tuple[tuple[int, int], int]:
    width, height = image.size
    tile = _tile_pixels(image)
    if max(width * height, tile) > max_pixels:
        met = f"{height}x{width} pixels" if width * height > max_pixels else f"tiles of {tile} pixels"
        raise ImageError(f"the image has {met}", f"at most {max_pixels} in all",
                         "send a smaller image or a part of it", status=413)
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except DAMAGE:
        orientation = 1
    if _tiff_tag(image, ORIENTATION) in TURNED:  # Pillow gives the size as shown
        height, width = width, height
    return (height, width), orientation if orientation in range(1, 9) else 1


def _tile_pixels(image: Image.Image) -> int:
    """Pixels of a TIFF's tile: the decoder takes memory for a whole one, however small the image is."""
    width, height = _tiff_tag(image, TILE_WIDTH), _tiff_tag(image, TILE_LENGTH)
    return width * height if isinstance(width, int) and isinstance(height, int) else 0


def _tiff_tag(image: Image.Image, tag: int) -> Any:
    return image.tag_v2.get(tag) if isinstance(image, TiffImageFile) else None


def decode_image(source: bytes | Path, max_pixels: int = MAX_PIXELS, upright: bool = True,
                 levels: Levels = PLAIN) -> np.ndarray:
    """Decode an image file.

    Conversions: the first frame of an animation or page of a document; alpha is dropped; CMYK, palette, grey and
    1-bit become RGB; of values of more than 8 bits `levels` says what becomes black and white, and what
    lies outside is clipped. White that a TIFF stores as zero is white.

    Args:
        source: the file's content, or its path.
        max_pixels: the header may promise at most this many; checked before anything is decoded.
        upright: turn the image as its EXIF orientation says, which is how a viewer shows it.
        levels: of the data set or the model; see `core.bit_depth`.

    Returns:
        (H, W, 3) uint8, RGB, contiguous.

    Raises:
        ImageError: no image (400), damaged (422), not a format we take (415), too large (413).
    """
    return open_image(source, max_pixels).decode(upright, levels)


def _turn_left(image: Image.Image, orientation: int, upright: bool) -> int:
    """The orientation to turn a loaded image by. Pillow turns TIFF while it loads, and nothing else.

    Not by ImageOps.exif_transpose: it writes the EXIF anew, and fails on odd entries of whole images.
    """
    if image.format != "TIFF":
        return orientation if upright else 1
    return 1 if upright else {6: 8, 8: 6}.get(orientation, orientation)


def _thumbnail(image: Image.Image, values: np.ndarray | None) -> np.ndarray:
    """A loaded image, or the values of a wide one, as (32, 32) uint8 grey."""
    if values is None:
        size = min(image.width, LOOKED_AT), min(image.height, LOOKED_AT)
        seen = _to_rgb(image.resize(size, Image.Resampling.NEAREST))
        grey = cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY)
    else:
        rows, columns = (np.linspace(0, side - 1, min(side, LOOKED_AT)).astype(int) for side in values.shape[:2])
        found = np.nan_to_num(values[np.ix_(rows, columns)].astype(np.float32), posinf=0, neginf=0)
        found = found.mean(axis=-1) if found.ndim == 3 else found
        low, high = np.quantile(found, (0.01, 0.99))
        grey = np.clip((found - low) * (255 / max(float(high - low), 1e-6)), 0, 255).astype(np.uint8)
    return cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _taken(image: Image.Image) -> float | None:
    """When a photograph was taken, in seconds; the camera's clock knows no time zone."""
    try:
        told = str(image.getexif().get_ifd(EXIF).get(TAKEN, "")).strip("\0 ")
        return datetime.strptime(told, "%Y:%m:%d %H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    except DAMAGE:
        return None


def _damaged(error: BaseException) -> ImageError:
    return ImageError(f"the image is damaged: {error}", "a whole image file", "send it again; it may have been cut off",
                      status=422)


def _to_rgb(image: Image.Image) -> np.ndarray:
    """Convert a loaded image to (H, W, 3) uint8, some rows at a time: Pillow's conversions copy it up to four times."""
    found = np.empty((image.height, image.width, 3), np.uint8)
    for rows in row_bands(found.shape):
        found[rows] = np.asarray(image.crop((0, rows.start, image.width, rows.stop)).convert("RGB"))
    return found


def turn(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn a stored (H, W, …) array the way `decode_image` turns an image of that EXIF orientation."""
    steps = {2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
             5: lambda a: a.swapaxes(0, 1), 6: lambda a: a[::-1].swapaxes(0, 1),
             7: lambda a: a[::-1, ::-1].swapaxes(0, 1), 8: lambda a: a[:, ::-1].swapaxes(0, 1)}
    return steps[orientation](array) if orientation in steps else array


def resize_image(image_rgb: np.ndarray, size_hw: Sequence[int]) -> np.ndarray:
    """Resize (H, W, 3) uint8 to `size_hw`: area average when it shrinks, bilinear when it grows."""
    if image_rgb.shape[:2] == tuple(size_hw):
        return image_rgb
    shrinks = image_rgb.shape[0] * image_rgb.shape[1] > size_hw[0] * size_hw[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image_rgb, (size_hw[1], size_hw[0]), interpolation=method)


def encode_image(image: np.ndarray, suffix: str = ".jpg", quality: int = 92) -> bytes:
    """Encode (H, W, 3) RGB or (H, W) grey uint8 as JPEG (`.jpg`) or PNG (`.png`)."""
    stored = image[..., ::-1] if image.ndim == 3 else image
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix == ".jpg" else []
    try:
        _, data = cv2.imencode(suffix, np.ascontiguousarray(stored), options)
    except cv2.error as error:
        raise ImageError(f"an array of shape {image.shape} could not be written as {suffix!r}",
                         "(H, W, 3) or (H, W) uint8, and .jpg or .png") from error
    return bytes(data)


def save_image(path: Path, image: np.ndarray) -> None:
    """Write an image, whole or not at all; the suffix of `path` names the format."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(encode_image(image, path.suffix))


def find_images(source: str) -> list[Path]:
    """Image files of a folder (with its subfolders), a glob, or a single file; sorted, hidden ones left out.

    Those in formats that are not taken are among them: whoever reads them says so.

    Raises:
        ImageError: there is none.
    """
    path = Path(source)
    if path.is_file():
        return [path]
    try:
        candidates = path.rglob("*") if path.is_dir() else \
            Path(path.anchor or ".").glob(str(path.relative_to(path.anchor)))
        found = _images_among(candidates, path, (*SUFFIXES, *UNREAD_SUFFIXES))
    except ValueError:  # such as "a**", which is no pattern
        found = []
    if not found:
        raise ImageError(f"no images at {source!r}", f"a file, folder or glob of {', '.join(SUFFIXES)}",
                         "check the path")
    return found


def images_below(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """Image files of a folder and its subfolders; sorted, hidden ones left out. There may be none."""
    return _images_among(folder.rglob("*"), folder, suffixes)


def _images_among(candidates: Iterable[Path], source: Path, suffixes: Sequence[str]) -> list[Path]:
    return sorted(item for item in candidates
                  if item.suffix.lower() in suffixes and item.is_file() and not _is_hidden(item, source))


def _is_hidden(item: Path, source: Path) -> bool:
    """Whether a part of the path is hidden that `source` does not name."""
    return any(part.startswith(".") for part in item.parts if part not in source.parts)
