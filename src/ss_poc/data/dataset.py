"""A labelled folder: COCO json and photographs to checked samples.

`python -m ss_poc.data check JSON IMG_PATH` shows what is in a data set and what is wrong with it.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..core import images
from ..core.bit_depth import Values, find_levels, spanned
from ..core.errors import DataError, ImageError
from ..core.levels import Levels
from ..core.masks import decode_rle, polygons_to_mask
from ..core.run import Run
from ..core.text_table import counted
from ..formats.archives import as_given, findings_as_given, is_zip, photo_folder
from ..formats.coco import Annotation, Category, Coco, ImageEntry, choose_colors
from ..formats.coco_rules import RULES, Finding, Problem, finding, refusal
from ..formats.find_file import Photographs
from ..formats.labels import LabelSource, read_labels
from ..formats.regions import Shape, read_shape
from .notes import note_exif, note_samples, note_values
from .packed import bit, bytes_a_pixel

__all__ = ["RULES", "Dataset", "Finding", "Region", "Sample", "inspect_coco", "load_coco", "load_trained"]

# What labelme's converter lists beside the classes.
BACKGROUND = ("_background_", "__ignore__")


@dataclass(frozen=True)
class Region:
    """One annotation: its channel, and its outline as polygons or RLE; `area` is in pixels."""

    channel: int
    annotation_id: int
    polygons: tuple[array[float], ...] | None
    rle: dict[str, Any] | None
    area: int


@dataclass(frozen=True)
class Sample:
    """One photograph with its regions.

    Attributes:
        name: posix path relative to the data set's folder, unique in it.
        path: where the file is.
        size_hw: (height, width) upright, as a viewer shows the image.
        stored_size_hw: (height, width) before its EXIF orientation is obeyed.
        orientation: EXIF, 1..8.
        frame: "upright" or "stored": what the coordinates of the regions refer to.
        regions: by annotation id.
        digest: SHA-256 of the file.
        levels: of all photographs of the data set with more than 8 bits a value.
        glance: what it looks like, and when it was taken; None where nobody looked.
    """

    name: str
    path: Path
    size_hw: tuple[int, int]
    stored_size_hw: tuple[int, int]
    orientation: int
    frame: str
    regions: tuple[Region, ...]
    digest: str
    levels: Levels = images.PLAIN
    glance: images.Glance | None = field(default=None, compare=False, repr=False)

    @property
    def classes(self) -> frozenset[int]:
        """Channels that have a region here; empty for a negative."""
        return frozenset(region.channel for region in self.regions)

    def image(self) -> np.ndarray:
        """Decode the photograph: (H, W, 3) uint8 RGB, upright. Raises ImageError."""
        return images.decode_image(self.path, levels=self.levels)

    def mask(self, classes: int) -> np.ndarray:
        """Rasterise the regions: (H, W, classes) bool, upright, one channel a class. IndexError: too few classes."""
        mask = np.zeros((*self.size_hw, classes), bool)
        for channel in self.classes:
            mask[..., channel] = self._plane(channel)
        return mask

    def bits(self, classes: int) -> np.ndarray:
        """`mask`, packed without ever being whole: (H, W, ceil(classes / 8)) uint8. IndexError: too few classes."""
        if max(self.classes, default=0) >= classes:
            raise IndexError(f"{self.name} has a region of class {max(self.classes)}, of {classes} in all")
        bits = np.zeros((*self.size_hw, bytes_a_pixel(classes)), np.uint8)
        for channel in self.classes:
            byte, alone = bit(channel)
            bits[..., byte] |= self._plane(channel) * alone
        return bits

    @property
    def regions_key(self) -> str:
        """The same text for samples with the same regions."""
        return json.dumps([self.frame, *sorted(json.dumps([region.channel, region.polygons, region.rle], sort_keys=True,
                                                          default=list) for region in self.regions)])

    def _plane(self, channel: int) -> np.ndarray:
        """The regions of one class: (H, W) bool, upright. Polygons and RLE become pixels nowhere else."""
        stored = self.frame == "stored"
        size_hw = self.stored_size_hw if stored else self.size_hw
        mine = [region for region in self.regions if region.channel == channel]
        plane = polygons_to_mask([item for region in mine for item in region.polygons or ()], size_hw)
        for region in mine:
            if region.rle:
                plane |= decode_rle(region.rle, size_hw)
        return images.turn(plane, self.orientation) if stored else plane


@dataclass(frozen=True)
class Dataset:
    """Checked samples, by name; labels, `#rrggbb` colours and category ids in channel order.

    `fingerprint` is a SHA-256 over labels, names, file contents and regions: the same on every machine. `levels`
    says what becomes black and white in files of more than 8 bits; `wide` counts those of 16 bits, `spanned` those of
    float, signed or 32-bit values. `unused` are categories without a region, which get no channel.
    """

    name: str
    samples: tuple[Sample, ...]
    labels: tuple[str, ...]
    colors: tuple[str, ...]
    category_ids: tuple[int, ...]
    findings: tuple[Finding, ...]
    fingerprint: str
    levels: Levels = images.PLAIN
    wide: int = 0
    spanned: int = 0
    unused: tuple[Category, ...] = ()

    @property
    def all_labels(self) -> dict[str, str]:
        """Labels with their `#rrggbb` colours, and those of `unused` (colour or ""), by category id."""
        found = [*zip(self.category_ids, self.labels, self.colors, strict=True),
                 *((item.id, item.name, item.color or "") for item in self.unused)]
        return {label: color for _, label, color in sorted(found)}

    def samples_of(self, names: Iterable[str]) -> list[Sample]:
        """Samples of those names, in the order of the names. Raises KeyError where there is no such sample."""
        by_name = {sample.name: sample for sample in self.samples}
        return [by_name[name] for name in names]


@dataclass(frozen=True)
class _File:
    """What a read of an image file found.

    `frame_hw` is the size that its labels refer to, one of the two; `sized` says whether they name it; `values` are
    those of a file with more than 8 bits a value, else None.
    """

    digest: str
    size_hw: tuple[int, int]
    stored_size_hw: tuple[int, int]
    orientation: int
    frame_hw: tuple[int, int]
    sized: bool
    values: Values | None
    glance: images.Glance | None

    @property
    def two_frames(self) -> bool:
        """Whether size cannot tell labels drawn on the photograph as shown from those drawn on it as stored."""
        return self.orientation > 1 and (self.size_hw == self.stored_size_hw or not self.sized)

    def frame(self, exif_labels: str) -> str:
        """What its labels refer to, see `Sample`; `exif_labels` decides where size cannot tell."""
        stored = exif_labels == "stored" if self.two_frames else self.frame_hw != self.size_hw
        return "stored" if stored else "upright"


def load_coco(json_path: Path | LabelSource, img_path: Path, progress: bool = False, exif_labels: str = "auto",
              levels: Levels | None = None) -> Dataset:
    """Read and check a data set.

    Args:
        json_path: labels of any format that `formats.labels` knows: a file, their folder, or a zip; or what it found.
        img_path: folder of the photographs, or a zip; nothing outside of it is read.
        progress: show a bar while the files are read.
        exif_labels: one of EXIF_LABELS of `core.config`.
        levels: what becomes black and white in files of more than 8 bits; None to find out.

    Raises:
        DataError: it cannot be trained on; every reason is in it. What was left out or kept is in `findings`.
    """
    dataset, findings = inspect_coco(json_path, img_path, progress, exif_labels, levels)
    if dataset is None:
        source = as_given(str(json_path.path if isinstance(json_path, LabelSource) else json_path))
        raise refusal(f"{source} cannot be trained on", findings,
                      f"see python -m ss_poc.data check '{source}' '{img_path}'")
    return dataset


def load_trained(run: Run) -> Dataset:
    """The data set that a run was trained on, its labels and values read as they were then. Raises as `load_coco`."""
    return load_coco(Path(run.data.json_path), Path(run.data.img_path), exif_labels=run.config.exif_labels,
                     levels=run.data.levels)


def inspect_coco(json_path: Path | LabelSource, img_path: Path, progress: bool = False, exif_labels: str = "auto",
                 levels: Levels | None = None) -> tuple[Dataset | None, tuple[Finding, ...]]:
    """`load_coco` that does not raise: the data set, or None where it must be refused; and all findings, by rule."""
    findings: list[Finding] = []
    try:
        folder = photo_folder(img_path)
        coco = read_labels(json_path, folder, findings)
    except DataError as error:
        folder, coco = img_path, Coco()
        findings.append(finding("folder-missing", img_path.name, f"{error.what}; expected {error.expected}"))
    if not folder.exists():
        findings.append(finding("folder-missing", str(img_path), "there is no such folder; expected the images'"))
    if not folder.is_dir():
        return None, tuple(findings_as_given(findings))
    if not coco.images and not any(item.action == "refuse" for item in findings):
        findings.append(finding("no-images", img_path.name, "the labels name no photograph; expected one at least"))
    named = _name_files(coco.images, folder, findings)
    files = _read_files(named, folder, findings, progress, exif_labels)
    shapes = _read_shapes(coco, named, files, findings)
    used = {annotation.category_id for found in shapes.values() for annotation, _ in found}
    categories = sorted((item for item in coco.categories if item.id in used), key=lambda item: item.id)
    wide = {name: file.values for name, file in files.items() if file.values}
    levels = levels or find_levels(wide.values())
    samples = _samples(folder, files, shapes, [item.id for item in categories], exif_labels, levels)
    labels = tuple(item.name for item in categories)
    source = json_path.path if isinstance(json_path, LabelSource) else json_path
    if coco.images and coco.categories and not categories:
        findings.append(finding("no-regions", source.name, _why_empty(coco, findings)))
    findings.extend(note_samples(samples, labels, coco, used))
    findings.extend(note_values(img_path.name, wide, levels))
    unsure = {name for name, file in files.items() if file.two_frames}
    findings.extend(note_exif(source.name, samples, unsure) if exif_labels == "auto" else [])
    findings.extend(_unlisted(folder, {*named, *_inside(coco.masks, folder)}) if coco.images else [])
    order = list(RULES)
    findings = sorted(findings_as_given(findings), key=lambda item: order.index(item.code))
    if any(item.action == "refuse" for item in findings):
        return None, tuple(findings)
    name, by_span = Path(os.path.abspath(img_path)).name, sum(spanned(values, levels) for values in wide.values())
    dataset = Dataset(Path(name).stem if is_zip(img_path) else name, samples, labels, choose_colors(categories),
                      tuple(item.id for item in categories), tuple(findings), _fingerprint(labels, samples),
                      levels, len(wide) - by_span, by_span,
                      tuple(item for item in coco.categories if item.id not in used and not item.is_placeholder
                            and item.name not in BACKGROUND))
    return dataset, dataset.findings


def _name_files(entries: Iterable[ImageEntry], root: Path, findings: list[Finding]) -> dict[str, list[ImageEntry]]:
    """Entries of each file of the folder, by its posix path; entries that have none are found out."""
    claims: dict[str, list[tuple[ImageEntry, str, int]]] = {}
    photographs = Photographs(root)
    for entry in entries:
        try:
            found = photographs.find(entry)
        except Problem as problem:
            findings.append(finding(problem.code, entry.file_name, problem.detail))
            continue
        claims.setdefault(found.name, []).append((entry, found.asked, found.dropped))
        if found.spelling:
            findings.append(finding("name-spelt", entry.file_name, f"taken to be {found.name}, {found.spelling}"))
        elif found.dropped and found.by_file_name:
            findings.append(finding("path-shortened", entry.file_name, f"taken to be {found.name}"))
    named: dict[str, list[ImageEntry]] = {}
    for name, claim in claims.items():
        closest = min(dropped for _, _, dropped in claim)
        asked = {path for _, path, dropped in claim if dropped == closest}
        named[name] = [entry for entry, path, _ in claim if asked == {path}]
        findings.extend(finding("path-ambiguous", entry.file_name, f"{path} is not there, only {name}, which is also "
                                "meant by another image") for entry, path, _ in claim if asked != {path})
        if len(named[name]) > 1:
            findings.append(finding("same-file", name, f"{len(named[name])} images of the json; expected 1"))
    return named


def _read_files(named: dict[str, list[ImageEntry]], root: Path, findings: list[Finding], progress: bool,
                exif_labels: str) -> dict[str, _File]:
    """Read every named file once, several at a time; damaged ones and those of another size are found out."""
    def read(name: str) -> _File | Finding:
        try:
            return _read_file(root / name, named[name], exif_labels)
        except Problem as problem:
            return finding(problem.code, name, problem.detail)

    names = [name for name, entries in named.items() if entries]
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        results = list(tqdm(pool.map(read, names), total=len(names), unit="image", desc="check",
                            disable=None if progress else True))
    findings.extend(result for result in results if isinstance(result, Finding))
    return {name: result for name, result in zip(names, results, strict=True) if isinstance(result, _File)}


def _read_file(path: Path, entries: Sequence[ImageEntry], exif_labels: str) -> _File:
    try:
        data = path.read_bytes()
        opened = images.open_image(data)
        opened.verify()
    except (ImageError, OSError) as error:
        too_large = isinstance(error, ImageError) and error.status == 413
        detail = f"{error.what}; expected {error.expected}" if isinstance(error, ImageError) else str(error)
        raise Problem("image-too-large" if too_large else "image-unreadable", detail) from None
    upright_hw = opened.upright_hw
    sizes = {entry.size_hw for entry in entries if entry.size_hw}
    unnamed_hw = opened.size_hw if exif_labels == "stored" else upright_hw
    frame_hw = next(iter(sizes), unnamed_hw)  # where the labels name no size, the file tells it
    if len(sizes) > 1 or frame_hw not in (upright_hw, opened.size_hw):
        met = " and ".join(f"{size[0]}x{size[1]}" for size in sorted(sizes))
        raise Problem("size-mismatch", f"the json says {met}, the file is {upright_hw[0]}x{upright_hw[1]} "
                                       "(height x width); expected the same")
    return _File(hashlib.sha256(data).hexdigest(), upright_hw, opened.size_hw, opened.orientation, frame_hw,
                 bool(sizes), opened.values, opened.glance)


def _read_shapes(coco: Coco, named: dict[str, list[ImageEntry]], files: dict[str, _File],
                 findings: list[Finding]) -> dict[str, list[tuple[Annotation, Shape]]]:
    """Regions of each good file; a file with a region that cannot be trusted is taken out of `files`."""
    places = {entry.id: name for name, entries in named.items() for entry in entries}
    known = {entry.id for entry in coco.images}
    shapes: dict[str, list[tuple[Annotation, Shape]]] = {name: [] for name in files}
    frames = {name: file.frame_hw for name, file in files.items()}
    for annotation in coco.annotations:
        name = places.get(annotation.image_id)
        if annotation.image_id not in known:
            findings.append(finding("unknown-image", f"annotation {annotation.id}",
                                    f"image_id is {annotation.image_id}; expected that of an image"))
        if name not in shapes:
            continue
        where = f"{name}, annotation {annotation.id}"
        try:
            shape = read_shape(annotation.values, frames[name])
        except Problem as problem:
            findings.append(finding(problem.code, where, problem.detail))
            if RULES[problem.code][0] == "skip image":
                files.pop(name, None)
            continue
        findings.extend(finding(code, where, detail) for code, detail in shape.notes)
        shapes[name].append((annotation, shape))
    return {name: found for name, found in shapes.items() if name in files}


def _samples(root: Path, files: dict[str, _File], shapes: dict[str, list[tuple[Annotation, Shape]]],
             category_ids: Sequence[int], exif_labels: str, levels: Levels) -> tuple[Sample, ...]:
    samples = []
    for name in sorted(files):
        file = files[name]
        regions = tuple(Region(category_ids.index(annotation.category_id), annotation.id, shape.polygons, shape.rle,
                               shape.area) for annotation, shape in sorted(shapes[name], key=lambda pair: pair[0].id))
        samples.append(Sample(name, root / name, file.size_hw, file.stored_size_hw, file.orientation,
                              file.frame(exif_labels), regions, file.digest, levels, file.glance))
    return tuple(samples)


def _why_empty(coco: Coco, findings: Iterable[Finding]) -> str:
    counts = Counter(item.code for item in findings if item.action in ("skip image", "skip region"))
    reasons = ", ".join(f"{count} x {code}" for code, count in counts.most_common()) or "there are no annotations"
    return (f"of {counted(len(coco.images), 'image')} and {counted(len(coco.annotations), 'annotation')} nothing is "
            f"usable: {reasons}")


def _inside(paths: Iterable[Path], root: Path) -> list[str]:
    """Posix paths in the folder of those that lie in it."""
    return [path.relative_to(root).as_posix() for path in paths if path.is_relative_to(root)]


def _unlisted(root: Path, named: Collection[str]) -> list[Finding]:
    there = images.images_below(root, (*images.SUFFIXES, *images.UNREAD_SUFFIXES))
    unlisted = [name for name in _inside(there, root) if name not in named]
    left = [name for name in unlisted if Path(name).suffix.lower() in images.SUFFIXES]
    unread = [name for name in unlisted if Path(name).suffix.lower() in images.UNREAD_SUFFIXES]
    found = [finding("unlisted-images", str(root), f"{len(left)} file(s), such as {left[0]}")] if left else []
    return found + [finding("image-unreadable", name, f"photographs that end in {Path(name).suffix} are not read; "
                                                      "expected JPEG or PNG") for name in unread]


def _fingerprint(labels: Sequence[str], samples: Iterable[Sample]) -> str:
    rows = [[sample.name, sample.digest, sample.regions_key] for sample in samples]
    return hashlib.sha256(json.dumps([labels, rows]).encode()).hexdigest()
