"""What every writer gets, and what it says that its format cannot hold."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..labelled import Image, Labels

__all__ = ["Labelled", "Losses", "write_file", "write_json"]


@dataclass(frozen=True)
class Labelled:
    """What is to be written.

    Attributes:
        labels: all classes, those without a region too.
        images: by the names that their photographs have in the folder of the photographs.
        place: name of that folder, or a path to it from the one above the target.
    """

    labels: Labels
    images: tuple[Image, ...]
    place: str


@dataclass
class Losses:
    """What the format cannot hold: by a sentence on what is lost, for each photograph what it loses."""

    found: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, what: str, name: str, how_much: str) -> None:
        """Note a loss.

        Args:
            what: a sentence that is the same for all photographs.
            name: of the photograph.
            how_much: what it loses, with a count.
        """
        self.found.setdefault(what, {})[name] = how_much


def write_file(path: Path, text: str) -> None:
    """Write text (UTF-8), and the folders that it lies in. The whole target is put in its place at once later."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write json as `write_file` writes text."""
    write_file(path, json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
