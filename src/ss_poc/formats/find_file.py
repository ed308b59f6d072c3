"""Where the photograph of a COCO image lies: in a folder, and never outside of it."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

from .coco import ImageEntry
from .coco_rules import Problem

__all__ = ["FoundFile", "find_file"]


@dataclass(frozen=True)
class FoundFile:
    """A file inside the folder.

    Attributes:
        name: its posix path in the folder.
        asked: the path that the json gives, with `/` between its steps.
        dropped: number of first folders of `asked` that were left out to find it.
        by_file_name: whether `asked` is the image's file_name (else coco-annotator's path).
    """

    name: str
    asked: str
    dropped: int
    by_file_name: bool


def find_file(entry: ImageEntry, root: Path) -> FoundFile:
    """Find the file of an image inside a folder: by its path or its file_name, whole or without their first folders.

    Args:
        entry: the image.
        root: the folder, resolved. No file outside of it is opened.

    Raises:
        Problem: file-missing, or path-outside.
    """
    leaves = False
    tails: list[tuple[list[str], FoundFile]] = []
    for given in (entry.path, entry.file_name):
        parts, leaves = _parts(given or "")
        least = 1 + max((index for index, part in enumerate(parts) if part == ".."), default=-1)
        tails += [(parts[dropped:], FoundFile("", "/".join(parts), dropped, given is entry.file_name))
                  for dropped in range(least, len(parts))]
    for tail, found in sorted(tails, key=lambda item: -len(item[0])):
        # A Mac names "é" by two characters, the rest of the world by one.
        plain = "/".join(tail)
        for name in dict.fromkeys((plain, *(unicodedata.normalize(form, plain) for form in ("NFC", "NFD")))):
            if os.path.isfile(root / name):
                if not (root / name).resolve().is_relative_to(root):
                    raise Problem("path-outside", f"{name} is a link to a file outside; expected a file in {root}")
                return replace(found, name=name)
    raise Problem("path-outside" if leaves else "file-missing", f"got {entry.file_name!r}; expected a file in {root}")


def _parts(given: str) -> tuple[list[str], bool]:
    """Split a path of any system into its steps, and tell whether it leaves its folder."""
    if "?d=" in given:  # Label Studio's local files: /data/local-files/?d=folder/photo.jpg
        given = unquote(given.partition("?d=")[2])
    text = given.replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    return parts, text.startswith("/") or ".." in parts or bool(re.match("[A-Za-z]:/", text))
