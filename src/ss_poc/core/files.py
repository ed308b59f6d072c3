"""Files that are whole or not there: text, json and csv, written aside and then put in place."""

from __future__ import annotations

import csv
import ctypes
import dataclasses
import glob
import hashlib
import json
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from .errors import ArtifactError

__all__ = ["atomic_path", "flat_names", "read_csv", "read_json", "remove_leftovers", "remove_leftovers_of",
           "replace_folder", "sha256_file", "write_csv", "write_json", "write_long_json", "write_text"]

LEFTOVER = re.compile(r"\.(?P<pid>\d+)(?:-(?P<start>\d*)-[0-9a-f]+)?\.(?P<kind>tmp|old)\.(?P<name>.+)", re.DOTALL)
LARGEST_JSON = 1_000_000_000  # bytes
LONGEST_NAME = 180  # bytes; disks take 255, and temporary names are longer


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to (file or folder); takes its place when the block ends without an error.

    Several threads and processes may write to one `path` at a time: each has a path of its own, the last to end stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path, "tmp")
    try:
        yield temporary
        for written in temporary.rglob("*") if temporary.is_dir() else (temporary,):
            if written.is_file() and not written.is_symlink():
                with open(written, "rb", buffering=0) as file:
                    os.fsync(file.fileno())
        try:
            os.replace(temporary, path)
        except OSError:  # no folder can be moved onto another that has something in it
            if not (temporary.is_dir() and path.is_dir()):
                raise
            _exchange_folder(temporary, path)
    finally:
        _remove(temporary)


def _beside(path: Path, kind: str) -> Path:
    """A name that no other call has: with the process' number and start, because numbers are given out again."""
    pid, name = os.getpid(), path.name if kind == "old" else _short(path.name)
    return path.with_name(f".{pid}-{_own_start(pid)}-{secrets.token_hex(4)}.{kind}.{name}")


@cache
def _own_start(pid: int) -> str:
    """The same as `_start_of`, of this process, and of its children after a fork."""
    return _start_of(pid)


def _start_of(pid: int) -> str:
    """When a process started, in clock ticks since the host did; empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _exchange_folder(temporary: Path, path: Path) -> None:
    if not _swap(temporary, path):
        replace_folder(temporary, path, _beside(path, "old"))


def replace_folder(new: Path, path: Path, aside: Path) -> None:
    """Put the folder `new` in the place of the folder `path`, if there is one: it lies in `aside` until it is removed.

    No folder can be renamed to one that has something in it. All three are in one folder.
    """
    if not path.is_dir():
        os.replace(new, path)
        return
    _remove(aside)
    os.replace(path, aside)
    try:
        os.replace(new, path)
    except OSError:
        os.replace(aside, path)
        raise
    _remove(aside)


def _swap(first: Path, second: Path) -> bool:
    """Exchange the names of two folders in one step (Linux); whether that could be done."""
    libc = ctypes.CDLL(None)
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return hasattr(libc, "renameat2") and \
        libc.renameat2(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing below `folder`; what living ones write stays.

    An old folder that was moved aside for a new one, which then never took its place, is moved back.
    """
    for path in [*folder.rglob(".*.tmp.*"), *folder.rglob(".*.old.*")]:
        _remove_leftover(path)


def remove_leftovers_of(path: Path) -> None:
    """Remove what killed processes were writing to take the place of `path`, see `remove_leftovers`."""
    for kind in ("tmp", "old"):
        for found in [*path.parent.glob(f".*.{kind}.{glob.escape(path.name)}")]:
            _remove_leftover(found)


def _remove_leftover(path: Path) -> None:
    found = LEFTOVER.fullmatch(path.name)
    if not found or _is_written(int(found["pid"]), found["start"]):
        return
    target = path.with_name(found["name"])
    if found["kind"] == "old" and not target.exists():
        os.replace(path, target)
    else:
        _remove(path)


def _is_written(pid: int, start: str | None) -> bool:
    """Whether the process that made a temporary name lives; names without a start are those of earlier versions."""
    if start is None:
        return pid != os.getpid() and bool(_start_of(pid))
    return bool(start) and _start_of(pid) == start


def flat_names(names: Iterable[str], suffixes: bool = False) -> dict[str, str]:
    """Name a file after each image, so that all can lie in one folder whatever subfolders the images lie in.

    `sub/photo.png` gives `sub__photo`. Images that would be alike keep their suffix, and get a number where that is not
    enough; capital and small letters count as alike. Names that are too long for a disk lose their beginning.

    Args:
        names: of images, with `/` between folders.
        suffixes: whether all keep their suffix.

    Returns:
        For each name that of its file, no two alike.
    """
    flat = {name: name.replace("/", "__") for name in sorted(set(names))}
    stems = {name: _short(text if suffixes else Path(text).stem) for name, text in flat.items()}
    counts = Counter(stem.casefold() for stem in stems.values())
    taken = {stem for stem, count in counts.items() if count == 1}
    for name, stem in stems.items():
        if counts[stem.casefold()] > 1:
            wanted = stems[name] = _short(flat[name])
            number = 1
            while stems[name].casefold() in taken:
                number += 1
                stems[name] = f"{wanted}_{number}"
            taken.add(stems[name].casefold())
    return stems


def _short(name: str) -> str:
    return os.fsencode(name)[-LONGEST_NAME:].decode("utf-8", "ignore")


def write_text(path: Path, text: str) -> None:
    """Write text (UTF-8), whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write json, whole or not at all; NaN becomes null."""
    write_text(path, _json(value) + "\n")


def write_long_json(path: Path, lists: Mapping[str, Iterable[Any]]) -> None:
    """Write a json object of lists as `write_json` does, one item after the other: never all in memory."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        before = "{"
        for name, items in lists.items():
            file.write(f"{before}\n {_json(name)}: [")
            count = 0
            for count, item in enumerate(items, start=1):
                file.write((",\n  " if count > 1 else "\n  ") + _json(item).replace("\n", "\n  "))
            file.write("\n ]" if count else "]")
            before = ","
        file.write("\n}\n" if lists else "{}\n")


def _json(value: Any) -> str:
    return json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value != value:
        return None
    return value


def read_json(path: Path) -> Any:
    """Read json.

    Raises:
        ArtifactError: the file is missing, is no json, or is larger than LARGEST_JSON.
    """
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ArtifactError(f"{path} has {path.stat().st_size / 1e9:.1f} GB", f"a json of at most "
                                f"{LARGEST_JSON / 1e9:g} GB: it would take several times as much memory",
                                "export it in parts, a folder for each")
        return json.loads(path.read_bytes())  # tells UTF-8, with a mark or without, from UTF-16 and UTF-32
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing", "a json file", "run the stage that writes it first") from None
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path} is not written in UTF-8: {error.reason} at byte {error.start}", "UTF-8 or UTF-16",
                            "open it in an editor and save it as UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is no json: {error}", "a whole json file",
                            "write it again; it may have been cut off") from None


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]], delimiter: str = ",") -> None:
    """Write a csv with its header first, whole or not at all; floats keep 6 decimals."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([f"{item:.6f}" if isinstance(item, float) else item for item in row])


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a csv whose header must be `columns`.

    Raises:
        ArtifactError: the file is missing or has another header.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} is missing", f"a csv with {','.join(columns)}",
                            "run the stage that writes it first")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets put a mark in front
            reader = csv.DictReader(file)
            if list(reader.fieldnames or ()) != list(columns):
                raise ArtifactError(f"{path} starts with {reader.fieldnames}", f"the columns {','.join(columns)}")
            return list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(f"{path} is no csv: {error}", "a csv in UTF-8", "save it as CSV UTF-8") from None


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
