"""A csv of run lengths, as Kaggle's competitions have it: start and length of each run, down the columns, from 1."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...core.errors import ArtifactError, ImageError
from ...core.images import header
from ..coco import Coco, ImageEntry
from ..coco_rules import Finding, Problem, finding
from ..collect import Collected
from ..find_file import Photographs

__all__ = ["is_run_lengths", "read_run_lengths"]

RUNS = "EncodedPixels"


def is_run_lengths(path: Path) -> bool:
    """Whether a csv has a column of run lengths."""
    if path.suffix.lower() != ".csv":
        return False
    with path.open("rb") as file:
        start = file.read(4000).split(b"\n")[0]
    return RUNS.encode() in start or RUNS.encode("utf-16-le") in start or RUNS.encode("utf-16-be") in start


def read_run_lengths(source: Path, photos: Path, findings: list[Finding]) -> Coco:
    """Read a csv with the columns ImageId, ClassId and EncodedPixels, or with ImageId_ClassId. No runs: clean.

    Args:
        source: the csv.
        photos: folder of the photographs, which tell their sizes.
        findings: gets photographs that cannot be found or read.

    Raises:
        ArtifactError: the csv has other columns.
    """
    found, files = Collected(), Photographs(photos)
    images: dict[str, tuple[int, tuple[int, int]] | None] = {}
    for name, label, runs in _rows(source):
        if name not in images:
            images[name] = _image(name, found, files, findings)
        image = images[name]
        if image and runs:
            found.region(image[0], label, **_values(runs, image[1]))
    named = {files.find(ImageEntry(0, name, None, None)).name for name, image in images.items() if image}
    for name in files.names:
        if name not in named and _image(name, found, files, findings):
            findings.append(finding("taken-as-clean", name, f"{source.name} does not name it; expected a row"))
    return found.coco()


def _rows(source: Path) -> Iterator[tuple[str, str, str]]:
    """Name, label and runs of each row."""
    csv.field_size_limit(1 << 27)  # one cell holds all runs of a photograph
    with _told(source), source.open(encoding=_coding(source), newline="") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or ())
        first = columns[0] if columns else ""
        if RUNS not in columns or first == RUNS:
            raise ArtifactError(f"{source} has the columns {', '.join(columns)}", f"ImageId, ClassId, {RUNS}")
        for row in reader:
            name, label = row[first], row.get("ClassId") or row.get("label") or ""
            if first.endswith("_ClassId"):
                name, _, label = name.rpartition("_")
            runs = (row[RUNS] or "").strip()
            label = f"class {label}" if label.isdigit() else label or "defect"
            yield name, label, "" if runs in ("-1", "nan") else runs


@contextmanager
def _told(source: Path) -> Iterator[None]:
    try:
        yield
    except (UnicodeError, csv.Error) as error:
        raise ArtifactError(f"{source} is no csv in UTF-8: {error}", f"ImageId, ClassId, {RUNS}",
                            "open it in an editor and save it as CSV UTF-8") from error


def _coding(source: Path) -> str:
    """UTF-16 where a spreadsheet put its mark in front, else UTF-8."""
    with source.open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _image(name: str, found: Collected, files: Photographs,
           findings: list[Finding]) -> tuple[int, tuple[int, int]] | None:
    try:
        size_hw = header(files.root / files.find(ImageEntry(0, name, None, None)).name)[0]
    except Problem as problem:
        findings.append(finding(problem.code, name, problem.detail))
        return None
    except ImageError as error:
        findings.append(finding("image-unreadable", name, error.what))
        return None
    return found.image(name, size_hw), size_hw


def _values(text: str, size_hw: tuple[int, int]) -> dict[str, Any]:
    """Runs as an RLE of COCO, which goes down the columns too and names every run, background first."""
    try:
        numbers = [int(word) for word in text.split()]
    except ValueError:
        return {"segmentation": text[:60]}
    counts, end = [], 0
    for start, length in zip(numbers[::2], numbers[1::2], strict=False):
        counts += [start - 1 - end, length]
        end = start - 1 + length
    return {"segmentation": {"size": list(size_hw), "counts": [*counts, size_hw[0] * size_hw[1] - end]}}
