"""The folder of a data set: its photographs, and its labels, which keep their ids.

    datasets/photos/                  the photographs
    datasets/photos/.labels.json      labels: id, name, colour; the id of a label is never given to another one
    datasets/photos/.exports/         see `exports`
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..core.config import NAME_PATTERN
from ..core.drawing import palette
from ..core.errors import ConfigError
from ..core.files import read_json, write_json
from ..core.images import open_image
from .model import Labels

__all__ = ["EXPORTS", "SHOWN", "keep_labels", "new_folder", "parse_labels", "photographs_of", "upright_size"]

EXPORTS = ".exports"
LABELS_FILE = ".labels.json"
# Every browser shows these; TIFF it does not.
SHOWN = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif")


def new_folder(datasets: Path, name: str) -> Path:
    """Make the folder of a data set where it is missing, and return it.

    Raises:
        ConfigError: the name cannot be that of a folder.
    """
    if not NAME_PATTERN.fullmatch(name):
        raise ConfigError(f"NAME is {name!r}", "letters, digits, '.', '_' and '-', at most 100 of them",
                          "choose another name; it becomes a folder name")
    folder = datasets / name
    (folder / EXPORTS).mkdir(parents=True, exist_ok=True)
    return folder


def parse_labels(text: str) -> dict[str, str]:
    """Read labels as a user types them, `scratch,pit:#00ff00`; the others get their colours from the palette.

    Raises:
        ConfigError: no label, a label without a name, a label twice, or a colour that is not written as #rrggbb.
    """
    found: dict[str, str] = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        label, _, color = map(str.strip, item.partition(":"))
        if not label or label in found or (color and not re.fullmatch(r"#[0-9a-fA-F]{6}", color)):
            raise ConfigError(f"--labels has {item!r}", "each label once, by a name, with a colour such as #00ff00 or "
                              "without", "--labels scratch,pit:#00ff00")
        found[label] = color.lower()
    if not found:
        raise ConfigError("--labels is empty", "at least one label", "--labels scratch,pit")
    spare = iter(color for color in palette(len(found)) if color not in found.values())
    return {label: color or next(spare) for label, color in found.items()}


def keep_labels(folder: Path, labels: Labels) -> list[dict[str, Any]]:
    """Write the labels to the folder's list, and return them as COCO categories.

    A label that was on the list before keeps its id, and its colour where the new one is "". A new label gets the next
    id that no label ever had.
    """
    path = folder / LABELS_FILE
    known: list[dict[str, Any]] = read_json(path) if path.is_file() else []
    by_name = {item["name"]: item for item in known}
    for label, color in labels.items():
        if label in by_name:
            by_name[label]["color"] = color or by_name[label]["color"]
        else:
            by_name[label] = {"id": 1 + max((item["id"] for item in by_name.values()), default=0), "name": label,
                              "color": color or palette(12)[len(by_name) % 12]}
    if [*by_name.values()] != (read_json(path) if path.is_file() else None):
        write_json(path, [*by_name.values()])
    return [{**by_name[label], "supercategory": "", "metadata": {}} for label in labels]


def photographs_of(folder: Path) -> dict[str, Path]:
    """Find the photographs of a data set that a browser can show, in subfolders too, by their posix path in the folder.

    Hidden files and folders are left out.
    """
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*"))
             if path.suffix.lower() in SHOWN and path.is_file()}
    return {name.as_posix(): path for name, path in found.items()
            if not any(step.startswith(".") for step in name.parts)}


def upright_size(path: Path) -> tuple[int, int]:
    """Return (height, width) in pixels of a photograph as a browser shows it, turned as its EXIF says.

    Raises:
        ImageError: the file cannot be read.
    """
    return open_image(path).upright_hw
