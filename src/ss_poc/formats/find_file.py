"""Where the photograph of a label file lies: in a folder, and never outside of it."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from ..core.images import SUFFIXES, UNREAD_SUFFIXES, images_below
from .coco import ImageEntry
from .coco_rules import Problem

__all__ = ["PHOTO_FOLDERS", "FoundFile", "Photographs"]

# Folders whose names say no more than that photographs are in them.
PHOTO_FOLDERS = ("images", "Images", "JPEGImages", "img", "imgs", "photos", "data")


@dataclass(frozen=True)
class FoundFile:
    """A file inside the folder.

    Attributes:
        name: its posix path in the folder.
        asked: the path that the label file gives, with `/` between its steps.
        dropped: number of first folders of `asked` that were left out to find it.
        by_file_name: whether `asked` is the image's file_name (else coco-annotator's path).
        spelling: how `name` differs from `asked` otherwise, as a sentence goes on; "" where it does not.
    """

    name: str
    asked: str
    dropped: int
    by_file_name: bool
    spelling: str = ""


def _plain(text: str) -> str:
    return text


def _case(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _decoded(text: str) -> str:
    return _case(unquote(text.partition("?")[0]))


def _unprefixed(text: str) -> str:
    # Label Studio puts eight characters of a hash in front of what is uploaded.
    return re.sub(r"^[0-9a-f]{8}-", "", _decoded(text))


def _stem(text: str) -> str:
    base, ending = os.path.splitext(_unprefixed(text))
    return base if ending in (*SUFFIXES, *UNREAD_SUFFIXES) else _unprefixed(text)


# How a name may be spelt another way, from the nearest to the farthest. Asked name and file name are compared by it.
SPELLINGS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("in another folder", _plain), ("in other capitals", _case), ("with percent signs or a query", _decoded),
    ("behind a prefix of Label Studio", _unprefixed), ("with another ending", _stem))


class Photographs:
    """The photographs of a folder, found by the names that label files give them.

    Args:
        root: the folder. No file outside of it is opened.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def find(self, entry: ImageEntry) -> FoundFile:
        """Find the file of an image: by its path or its file_name, whole or without their first folders, else by the
        spellings of its name.

        Raises:
            Problem: file-missing, file-ambiguous, or path-outside.
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
                if os.path.isfile(self.root / name):
                    if not (self.root / name).resolve().is_relative_to(self.root):
                        raise Problem("path-outside", f"{name} is a link to a file outside; expected a file in "
                                                      f"{self.root}")
                    return replace(found, name=name)
        return self._spelt(entry, "path-outside" if leaves else "file-missing")

    def _spelt(self, entry: ImageEntry, code: str) -> FoundFile:
        """Find the one file whose name is spelt nearly as asked; of several, the one that shares the most folders."""
        asked = _parts(entry.file_name)[0] or [""]
        for spelling, as_spelt in SPELLINGS:
            found = self._names[spelling].get(as_spelt(asked[-1]), [])
            shared = {name: _shared(asked, name.split("/")) for name in found}
            best = [name for name in found if shared[name] == max(shared.values())]
            if len(best) > 1:
                raise Problem("file-ambiguous", f"got {entry.file_name!r}; it may be {', '.join(best[:5])}")
            if best:
                return FoundFile(best[0], "/".join(asked), max(0, len(asked) - 1 - shared[best[0]]), True, spelling)
        near = difflib.get_close_matches(asked[-1], [PurePosixPath(name).name for name in self.names[:2000]], 3)
        raise Problem(code, f"got {entry.file_name!r}; expected a file in {self.root}"
                      + (f", which has {', '.join(near)}" if near else ""))

    @cached_property
    def names(self) -> list[str]:
        """Posix paths in the folder of all photographs, hidden ones left out."""
        # A link may lead out of the folder.
        return sorted(path.relative_to(self.root).as_posix() for path in images_below(self.root)
                      if not path.is_symlink())

    @cached_property
    def _names(self) -> dict[str, dict[str, list[str]]]:
        """For each spelling the files by their last step."""
        found: dict[str, dict[str, list[str]]] = {spelling: {} for spelling, _ in SPELLINGS}
        for name in self.names:
            for spelling, as_spelt in SPELLINGS:
                found[spelling].setdefault(as_spelt(PurePosixPath(name).name), []).append(name)
        return found


def _shared(asked: list[str], steps: list[str]) -> int:
    """Number of folders before the name that both paths end with."""
    count = 0
    for one, other in zip(asked[-2::-1], steps[-2::-1], strict=False):
        if _case(one) != _case(other):
            break
        count += 1
    return count


def _parts(given: str) -> tuple[list[str], bool]:
    """Split a path of any system into its steps, and tell whether it leaves its folder."""
    if "?d=" in given:  # Label Studio's local files: /data/local-files/?d=folder/photo.jpg
        given = unquote(given.partition("?d=")[2])
    address = re.match("[a-z][a-z0-9+]+://", given)  # of a server: its path alone says which photograph
    text = (given[address.end():].partition("?")[0] if address else given).replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    return parts, text.startswith("/") or ".." in parts or bool(re.match("[A-Za-z]:/", text))
