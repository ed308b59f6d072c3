"""Zips of labels and photographs, unpacked where nothing in them can do harm."""

from __future__ import annotations

import atexit
import contextlib
import errno
import hashlib
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..core.config import is_zip_name
from ..core.errors import DataError, SegmentError
from ..core.files import atomic_path
from ..core.images import images_below
from .coco_rules import Finding

__all__ = ["as_given", "findings_as_given", "is_zip", "opened", "photo_folder", "unpacked", "zip_in"]

# Photographs hardly shrink in a zip, label files to a tenth. What shrinks far more was made to fill a disk.
LARGEST_RATIO, ALWAYS_TAKEN = 100, 1 << 30
MOST_FILES = 1_000_000
# What systems write into zips and folders by themselves.
LITTER = re.compile(r"(^|/)(__MACOSX/|\._[^/]*$|\.DS_Store$|Thumbs\.db$|desktop\.ini$)", re.IGNORECASE)
LOCKED, IN_UTF_8 = 0x1, 0x800

_scratches: dict[Path, Path] = {}
_until_exit = contextlib.ExitStack()
atexit.register(_until_exit.close)


def is_zip(path: Path) -> bool:
    """Whether a path is a file whose name ends in `.zip`."""
    return is_zip_name(path.name) and path.is_file()


def zip_in(folder: Path) -> Path | None:
    """Return the only zip that lies in a folder, None where there is none.

    Raises:
        DataError: there are several.
    """
    found = sorted(path for path in folder.iterdir() if is_zip(path) and not path.name.startswith("."))
    if len(found) > 1:
        raise DataError(f"{folder} holds several zips: {', '.join(path.name for path in found)}", "one of them",
                        "name it in place of the folder")
    return found[0] if found else None


def photo_folder(given: Path, store: Path | None = None) -> Path:
    """Return the folder of the photographs: of a zip, or of a folder that holds nothing but one, where it is unpacked.

    Args:
        given: what a user names.
        store: as for `unpacked`.

    Raises:
        DataError: as `unpacked`.
    """
    zipped = zip_in(given) if given.is_dir() and not images_below(given) else None
    return unpacked(zipped or given, store)


def unpacked(source: Path, store: Path | None = None) -> Path:
    """Return the folder that a zip is unpacked into, without folders that hold all the rest; other paths as they are.

    Args:
        source: file or folder.
        store: folder to keep it in; the same zip is unpacked there once. None: it is kept until this process ends.

    Raises:
        DataError: it is no zip or damaged, is locked, leaves its folder, or would fill the disk. Nothing is written.
    """
    if not is_zip(source):
        return source
    with _named(source), zipfile.ZipFile(source) as archive:
        names = _checked(source, archive)
        if store is None:
            return _top(_in_scratch(source, archive, names))
        folder = store / _digest(archive)
        if not folder.is_dir():
            with atomic_path(folder) as draft:
                _write(archive, names, draft / source.stem)
        return _top(folder / source.stem)


@contextlib.contextmanager
def opened(source: Path) -> Iterator[Path]:
    """Yield a file or a folder as it is, and a zip as the folder that it is unpacked into, which goes afterwards.

    An error that passes names the zip, not that folder.

    Raises:
        DataError: there is no such file, or as `unpacked`.
    """
    if not source.exists():
        raise DataError(f"there is no {source}", "labels: a file, a zip or a folder", "check the path")
    try:
        yield unpacked(source)
    except SegmentError as error:
        error.what, error.expected, error.fix = map(as_given, (error.what, error.expected, error.fix))
        error.args = (error.what,)
        raise
    finally:
        for scratch in [scratch for scratch, zipped in _scratches.items() if zipped == source]:
            shutil.rmtree(scratch, ignore_errors=True)
            del _scratches[scratch]


def as_given(text: str) -> str:
    """Return a text that names zips where it names folders that they were unpacked into, which will be gone."""
    for scratch, source in _scratches.items():
        text = text.replace(str(scratch), str(source))
    return text


def findings_as_given(findings: Sequence[Finding]) -> list[Finding]:
    """`as_given` for findings."""
    return [replace(item, where=as_given(item.where), detail=as_given(item.detail)) for item in findings]


@contextlib.contextmanager
def _named(source: Path) -> Iterator[None]:
    """Say in a sentence why a zip cannot be read."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{source} is no zip: {error}", "the file as it was downloaded", "download it again") from error
    except NotImplementedError as error:
        raise DataError(f"{source} is packed in a way that cannot be read: {error}", "a zip by Deflate",
                        "pack it again, or give the unpacked folder") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(f"{source} cannot be unpacked: {error.strerror}", "names that this system takes",
                        "unpack it yourself, and give the folder") from error


def _checked(source: Path, archive: zipfile.ZipFile) -> dict[zipfile.ZipInfo, str]:
    """Names of the files in a zip, decoded, with `/`; what systems add is left out. Nothing is read of the files."""
    infos = [info for info in archive.infolist() if not info.filename.endswith(("/", "\\"))]
    names = {info: name for info, name in zip(infos, _decoded(infos), strict=True) if not LITTER.search(name)}
    total, size = sum(info.file_size for info in names), source.stat().st_size
    if len(names) > MOST_FILES or (total > ALWAYS_TAKEN and total > LARGEST_RATIO * size):
        raise DataError(f"{source} of {size / 1e6:.1f} MB would become {len(names)} files of {total / 1e9:.1f} GB",
                        f"a zip of photographs and labels: at most {LARGEST_RATIO} times its size",
                        "unpack it yourself if you know it, and give the folder")
    for info, name in names.items():
        parts = PurePosixPath(name).parts
        if name.startswith("/") or ".." in parts or re.match("[A-Za-z]:", name) or not parts:
            raise DataError(f"{source} holds {name!r}, which leads out of its folder", "names of files inside",
                            "take it from somebody you trust")
        if info.flag_bits & LOCKED:
            raise DataError(f"{source} is locked with a password", "a zip without one",
                            "unpack it yourself, and give the folder")
    return names


def _decoded(infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """Names as they were meant: a zip says of UTF-8 alone that it is used, and Windows writes its code page."""
    raw = [info.filename.encode("cp437") for info in infos if not info.flag_bits & IN_UTF_8]
    coding = next((name for name in ("utf-8", "cp949") if all(_is_in(text, name) for text in raw)), "cp437")
    return [(info.filename if info.flag_bits & IN_UTF_8 else info.filename.encode("cp437").decode(coding))
            .replace("\\", "/") for info in infos]


def _is_in(raw: bytes, coding: str) -> bool:
    try:
        text = raw.decode(coding)
    except UnicodeDecodeError:
        return False
    # Any two bytes may be a rare syllable of cp949: names in French would be. The 2350 common ones are far apart.
    return coding != "cp949" or all(_is_common(letter) for letter in text if letter > "\x7f")


def _is_common(letter: str) -> bool:
    try:
        return len(letter.encode("euc_kr")) == 2
    except UnicodeEncodeError:
        return False


def _digest(archive: zipfile.ZipFile) -> str:
    """The same for a zip of the same name with the same names and contents."""
    rows = "".join(f"{info.filename}\0{info.CRC}\0{info.file_size}\0" for info in archive.infolist())
    rows += Path(str(archive.filename)).stem
    return hashlib.sha256(rows.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _in_scratch(source: Path, archive: zipfile.ZipFile, names: dict[zipfile.ZipInfo, str]) -> Path:
    digest = _digest(archive)
    known = next((scratch for scratch, zipped in _scratches.items()
                  if zipped == source and scratch.name == digest), None)
    if known:
        return known / source.stem
    parent = Path(_until_exit.enter_context(tempfile.TemporaryDirectory(prefix="ss-poc-"))).resolve()
    scratch = parent / digest
    _write(archive, names, scratch / source.stem)
    _scratches[scratch] = source
    return scratch / source.stem


def _write(archive: zipfile.ZipFile, names: dict[zipfile.ZipInfo, str], target: Path) -> None:
    target.mkdir(parents=True)
    total, free = sum(info.file_size for info in names), shutil.disk_usage(target).free
    if total > free:
        raise DataError(f"{archive.filename} needs {total / 1e9:.1f} GB, {target.parent} has {free / 1e9:.1f} GB left",
                        "room for its files", "free some space, or unpack it elsewhere and give the folder")
    for info, name in names.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(info) as packed, path.open("wb") as file:  # never more bytes than the zip's list says
            shutil.copyfileobj(packed, file, 1 << 20)


def _top(folder: Path) -> Path:
    """The folder itself, or the one in it that holds all the rest, where a tool packs its whole folder."""
    while len(found := list(folder.iterdir())) == 1 and found[0].is_dir():
        if not any(item.is_dir() for item in found[0].iterdir()):
            return folder  # its name may say what is in it, such as `masks`
        folder = found[0]
    return folder
