"""The other door: labels and their photographs go to a new folder, in any format that can be written.

A new format is a file in `writers`, and a row of `WRITERS` here.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..core.errors import ArtifactError, DataError
from ..core.files import atomic_path, remove_leftovers_of
from .find_file import PHOTO_FOLDERS
from .labelled import Image, Labels
from .writers.coco import write_coco
from .writers.job import Labelled, Losses
from .writers.label_studio import write_label_studio
from .writers.labelme import write_labelme
from .writers.voc import write_voc
from .writers.yolo import write_yolo

__all__ = ["WRITERS", "Writer", "require_new", "write_labels"]


@dataclass(frozen=True)
class Writer:
    """How a format is written.

    Attributes:
        write: writes the label files into a folder.
        photos: folder in the target that the photographs are copied to; "" for the target itself.
        steps: names of folders that mean something in this format: photographs lie in none of these.
        by_stem: whether a photograph is known by its name without ending, so that no two may share it.
        one_line: whether a label must be one line of text.
    """

    write: Callable[[Path, Labelled, Losses], None]
    photos: str = ""
    steps: tuple[str, ...] = ()
    by_stem: bool = True
    one_line: bool = True


WRITERS: dict[str, Writer] = {
    "coco": Writer(write_coco, by_stem=False, one_line=False),
    "yolo": Writer(write_yolo, "images", ("images", "labels"), one_line=False),
    "labelme": Writer(write_labelme, one_line=False),
    "voc": Writer(write_voc, "JPEGImages", ("JPEGImages", "SegmentationClass")),
    "label-studio": Writer(write_label_studio, by_stem=False)}


def require_new(target: Path) -> None:
    """Raise ArtifactError where something is at `target` that is no empty folder."""
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ArtifactError(f"{target} is there already", "a new folder", "name another one, or move it away")


def write_labels(target: Path, to: str, labels: Labels, images: Iterable[Image], photos: Path,
                 copy: bool = True) -> tuple[Losses, dict[str, str]]:
    """Write labels and their photographs to a new folder, which appears whole or not at all.

    Args:
        target: the folder; it must not be there, or be empty.
        to: key of WRITERS.
        labels: all classes in their order; each has its colour, or "".
        images: with their regions; named by the paths of their photographs in `photos`.
        photos: folder of the photographs.
        copy: copy the photographs, whose names may change; else labels alone are written, and names stay.

    Returns:
        What the format cannot hold, by the old names of the photographs; and their new names by the old ones.

    Raises:
        ArtifactError: something is there already, or photographs that stay where they are need other names.
        DataError: the format cannot hold such labels at all.
    """
    writer, images = WRITERS[to], list(images)
    require_new(target)
    broken = [label for label in labels if re.search(r"[\x00-\x1f\x7f\u2028\u2029]", label)]
    if writer.one_line and broken:
        raise DataError(f"the label {broken[0]!r} is not one line of text", "letters, digits, spaces and signs",
                        "rename it where it was drawn, or choose another format")
    names = _names([image.name for image in images], writer, copy)
    place = (PurePosixPath(target.resolve().name) / writer.photos).as_posix() if copy else photos.resolve().name
    renamed = tuple(replace(image, name=names[image.name]) for image in images)
    losses = Losses()
    remove_leftovers_of(target)
    with atomic_path(target) as folder:
        folder.mkdir()
        writer.write(folder, Labelled(labels, renamed, place), losses)
        for old, new in names.items() if copy else ():
            path = folder / writer.photos / new
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(photos / old, path)
    before = {new: old for old, new in names.items()}
    return Losses({what: {before[name]: how_much for name, how_much in lost.items()}
                   for what, lost in losses.found.items()}), names


def _names(names: list[str], writer: Writer, copy: bool) -> dict[str, str]:
    """Name of each photograph in the target."""
    first = {PurePosixPath(name).parts[0] if "/" in name else "" for name in names}
    shared = next(iter(first)) if len(first) == 1 else ""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        steps = [step for step in PurePosixPath(name).parts[:-1] if step not in writer.steps]
        if copy and shared in PHOTO_FOLDERS and steps[:1] == [shared]:
            steps = steps[1:]
        found[name] = _free("/".join([*steps, PurePosixPath(name).name]), writer.by_stem, taken)
    moved = [name for name, new in found.items() if PurePosixPath(new).name != PurePosixPath(name).name]
    if moved and not copy:
        raise ArtifactError(f"{moved[0]} has the name of another photograph but for its ending",
                            "a name of its own for each photograph",
                            "leave out --no_photos: copies get names of their own")
    return found


def _free(name: str, by_stem: bool, taken: set[str]) -> str:
    """The name, with a number where another photograph has it; capital and small letters count as alike."""
    path, number = PurePosixPath(name), 1
    while True:
        tried = path if number == 1 else path.with_name(f"{path.stem}_{number}{path.suffix}")
        key = (tried.with_suffix("") if by_stem else tried).as_posix().casefold()
        if key not in taken:
            taken.add(key)
            return tried.as_posix()
        number += 1
