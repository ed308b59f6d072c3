"""Files that are whole or not there: text, json and csv, written aside and then put in place."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import ArtifactError

__all__ = ["atomic_path", "read_csv", "read_json", "remove_leftovers", "replace_folder", "sha256_file", "write_csv",
           "write_json", "write_text"]


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to (file or folder); takes its place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.tmp.{path.name}")
    _remove(temporary)  # of a killed process with our number: in containers numbers start anew
    try:
        yield temporary
        if temporary.is_file():
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        if temporary.is_dir():
            replace_folder(temporary, path, path.with_name(f".{os.getpid()}.tmp.old.{path.name}"))
        else:
            os.replace(temporary, path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


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


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing below `folder`; what living ones write stays."""
    for path in [*folder.rglob(".*.tmp.*")]:
        pid = path.name.split(".")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            _remove(path)


def write_text(path: Path, text: str) -> None:
    """Write text (UTF-8), whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write json, whole or not at all; NaN becomes null."""
    write_text(path, json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


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
        ArtifactError: the file is missing or is no json.
    """
    try:
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
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([f"{item:.6f}" if isinstance(item, float) else item for item in row])
    write_text(path, buffer.getvalue())


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
