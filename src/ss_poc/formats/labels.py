"""The door to all label formats: which one a file or a folder holds, and its images and regions.

A new format is a file in `readers`, and a row of `READERS` here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import ArtifactError, DataError
from ..core.files import read_json
from ..core.run import exports_of, newest
from .archives import unpacked, zip_in
from .coco import Coco, read_coco
from .coco_rules import Finding, finding, sentence
from .coco_sets import find_coco_sets, is_coco, read_coco_sets
from .readers.cvat_xml import is_cvat_xml, read_cvat_xml
from .readers.kaggle_csv import is_run_lengths, read_run_lengths
from .readers.label_studio_json import is_label_studio, read_label_studio
from .readers.labelme import is_labelme, read_labelme
from .readers.masks import find_masks, read_masks
from .readers.supervisely import is_supervisely, read_supervisely
from .readers.via import is_via, read_via
from .readers.yolo import find_yolo, read_yolo

__all__ = ["MASKS", "READERS", "LabelSource", "find_labels", "read_labels"]

Read = Callable[[Path, Path, list[Finding]], Coco]

COCO, MASKS = "COCO json", "masks"
READERS: dict[str, Read] = {
    COCO: lambda path, _, findings: read_coco(path, findings),
    "labelme": read_labelme, "YOLO segmentation": read_yolo, "CVAT for images": read_cvat_xml,
    "Label Studio": read_label_studio, "VIA": read_via, "Supervisely": read_supervisely,
    "csv of run lengths": read_run_lengths, MASKS: read_masks}

# A json over this size is taken for COCO unread: the others write one for each photograph.
LARGEST_LOOK = 200_000_000


@dataclass(frozen=True)
class LabelSource:
    """Where labels are.

    Attributes:
        kind: key of READERS.
        path: the file, or the folder where there are several.
        why: what it was told by.
        value: what a json holds, read while its format was told; of several COCO files by path. Of masks their labels,
            where somebody named them, see `read_masks`.
    """

    kind: str
    path: Path
    why: str
    value: Any = field(default=None, repr=False, compare=False)


def find_labels(source: Path, store: Path | None = None) -> LabelSource:
    """Tell which labels a file, a folder or a zip holds.

    A folder's newest `.exports/*.json` comes first, as an annotator of ours writes it. In a folder without labels, its
    only zip is looked into, then its only folder.

    Args:
        source: file, folder or zip.
        store: folder to keep what is unpacked in; None: until this process ends.

    Raises:
        ArtifactError: there are none, or those of several formats.
        DataError: a zip cannot be unpacked.
    """
    found = _found(source, store)
    kinds = {item.kind for item in found}
    if len(kinds) > 1:
        raise ArtifactError(f"{source} holds labels of several formats: {', '.join(sorted(kinds))}", "one of them",
                            "--json_path names the file or the folder that counts")
    if not found:
        raise ArtifactError(f"no labels in {source}", ", ".join(READERS),
                            "export the labels in the annotator, or set --json_path")
    return found[0]


def read_labels(source: Path | LabelSource, photos: Path, findings: list[Finding]) -> Coco:
    """Read labels of any format as the entries of a COCO json.

    Args:
        source: file, folder or zip; or what `find_labels` found.
        photos: folder of the photographs.
        findings: gets what is left out; "json-unreadable" where nothing can be read.
    """
    path = source.path if isinstance(source, LabelSource) else source
    try:
        found = source if isinstance(source, LabelSource) else find_labels(source)
        if found.kind == COCO and found.path.is_file():
            return read_coco(found.path, findings, found.value)
        findings.append(finding("labels-read", found.path.name, f"{found.kind}, told by {found.why}"))
        if found.kind == COCO:
            return read_coco_sets(found.value, photos, findings)
        if found.kind == MASKS:
            return read_masks(found.path, photos, findings, found.value or ())
        return READERS[found.kind](found.path, photos, findings)
    except (ArtifactError, DataError, OSError) as error:
        findings.append(finding("json-unreadable", path.name, sentence(error)))
        return Coco()


def _found(given: Path, store: Path | None) -> list[LabelSource]:
    """Labels of each format that a file, a folder or a zip holds."""
    source = unpacked(given, store)
    if source.is_file():
        # A json that is none of the others is checked as COCO, which says what is wrong with it.
        return [item for item in (_file(source, COCO),) if item]
    export = newest(exports_of(source))
    if export:
        return [LabelSource(COCO, export, "the newest export of the annotator")]
    found = list(_folder(source))
    if found or not source.is_dir():
        return found
    zipped = zip_in(source)
    inner = [path for path in source.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return _found(zipped, store) if zipped else _found(inner[0], store) if len(inner) == 1 else []


def _folder(folder: Path) -> Iterator[LabelSource]:
    """Labels of a folder, told by what lies in it; COCO's files, of which a tool may write one a split, count once."""
    if found := find_yolo(folder):
        yield LabelSource("YOLO segmentation", found, "names of classes, and txt files in `labels`")
        return
    if found := find_masks(folder):
        yield LabelSource(MASKS, found, f"pictures in {found.name}")
        return
    if any(folder.glob("*/ann/*.json")) or any(folder.glob("ann/*.json")):
        yield LabelSource("Supervisely", folder, "json files in `ann`")
        return
    seen: set[str] = set()
    damaged: ArtifactError | None = None
    for path in _files(folder):
        try:
            item = _file(path)
        except ArtifactError as error:
            damaged = error
            continue  # one among many; its reader names it
        if item and item.kind == COCO and COCO not in seen and len(sets := find_coco_sets(folder, path)) > 1:
            item = LabelSource(COCO, folder, f"{len(sets)} files, such as {path.relative_to(folder)}", sets)
        if item and item.kind == "labelme":
            item = LabelSource("labelme", folder, f"json files such as {path.name}")
        if item and item.kind not in seen:
            seen.add(item.kind)
            yield item
    if damaged and not seen:
        raise damaged


def _files(folder: Path) -> Iterator[Path]:
    for pattern in ("_annotations.coco.json", "annotations/*.json", "*.xml", "*.csv", "*.json", "*/*.json"):
        found = [path for path in sorted(folder.glob(pattern)) if not path.name.startswith(".") and path.is_file()]
        yield from found[:3]  # the others are alike


def _file(path: Path, unknown: str = "") -> LabelSource | None:
    """What a file holds; None where it is none of ours. `unknown`: what a json is that is none of the others."""
    if is_cvat_xml(path):
        return LabelSource("CVAT for images", path, "an xml with annotations")
    if is_run_lengths(path):
        return LabelSource("csv of run lengths", path, "a csv with EncodedPixels")
    if path.suffix.lower() != ".json":
        return None
    if path.stat().st_size >= LARGEST_LOOK:
        return LabelSource(COCO, path, f"the size of {path.name}")
    value: Any = read_json(path)
    for kind, tells in (("labelme", is_labelme), ("Label Studio", is_label_studio), ("VIA", is_via),
                        ("Supervisely", is_supervisely)):
        if tells(value):
            return LabelSource(kind, path, f"what {path.name} holds")
    if unknown or is_coco(value):
        return LabelSource(COCO, path, f"what {path.name} holds", value)
    return None
