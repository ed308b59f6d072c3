"""Labels from elsewhere, as images and regions of ours: whatever training reads (`formats.labels`) comes in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from ...core.errors import ArtifactError, DataError
from ...core.images import images_below
from ...data.dataset import Dataset, inspect_coco
from ...data.upright import labelled_image
from ...formats.archives import as_given, opened, photo_folder
from ...formats.coco_rules import Finding, Problem, refusal
from ...formats.find_file import Photographs
from ...formats.labels import MASKS, LabelSource, find_labels, read_labels
from ..model import Image, Labels
from .moved import Copier, Moved

__all__ = ["Moved", "move_in"]

# What was assumed, and is said; one line for each kind.
NOTED = ("exif-unsure", "bit-depth", "value-range", "void-pixels", "taken-as-clean", "name-spelt", "path-shortened",
         "stray-point")


def move_in(source: Path, folder: Path, labels: Labels, photos: Path | None = None, exif_labels: str = "auto",
            ready: Callable[[Labels], object] = lambda labels: None) -> Moved:
    """Read labels from elsewhere, and copy the photographs they belong to into the folder of a data set.

    Photographs that no browser shows are converted. If anything is refused, none is copied.

    Args:
        source: labels of any format that training reads: a file, a folder or a zip; or a folder of masks.
        folder: of the data set.
        labels: of masks, in the order of their pixel values, or names of the folders of their masks.
        photos: where the photographs are (default: beside the labels, else in `folder`).
        exif_labels: one of EXIF_LABELS of `core.config`.
        ready: is told the labels once all is read, before anything is copied; what it raises ends the import.

    Raises:
        ArtifactError, DataError: nothing in `source` can be used.
    """
    with opened(source) as place:
        found = _find(place, labels)
        home = photo_folder(photos) if photos else _home(found, place, folder)
        dataset, findings = inspect_coco(found, home, exif_labels=exif_labels)
        if dataset is None:
            skipped = [item for item in findings if item.action.startswith("skip")]
            raise refusal(f"{source} cannot be imported", findings,
                          "--photos names the folder of the photographs; nothing was copied", skipped[:3])
        colors = {**dict(zip(dataset.labels, dataset.colors, strict=True)), **(labels if found.kind == MASKS else {})}
        ready(colors)
        images, copier = _copied(dataset, folder)
        left_out = [as_given(f"{item.where}: {item.detail}") for item in findings if item.action.startswith("skip")]
        return Moved(colors, images, copier.copied, left_out, [*_notes(findings), *copier.notes])


def _find(place: Path, labels: Labels) -> LabelSource:
    """What labels there are. Any folder of pictures may be one of masks where labels are named."""
    try:
        found = find_labels(place)
    except ArtifactError as error:
        if not place.is_dir() or not images_below(place):
            raise
        if not labels:
            raise DataError(error.what, f"{error.expected}; or masks and the names of their values",
                            "--labels scratch,pit for masks in which 1 is scratch and 2 is pit") from None
        return LabelSource(MASKS, place, "--labels", tuple(labels))
    return LabelSource(MASKS, found.path, found.why, tuple(labels)) if found.kind == MASKS else found


def _home(found: LabelSource, place: Path, folder: Path) -> Path:
    """Return the folder of the photographs: that of the labels or that of the data set, whichever has more of them."""
    beside = place if place.is_dir() else place.parent
    masks = found.path if found.kind == MASKS else None
    places = [home for home in (beside, folder)
              if any(masks not in (path, *path.parents) for path in images_below(home))]
    return max(places, key=lambda home: _known(found, home)) if len(places) > 1 else [*places, folder][0]


def _known(found: LabelSource, home: Path) -> tuple[int, int]:
    """Number of the photographs in a folder that have regions, and of all that the labels name."""
    coco, photographs = read_labels(found, home, []), Photographs(home)
    there = set()
    for entry in coco.images:
        try:
            photographs.find(entry)
        except Problem:
            continue
        there.add(entry.id)
    return len(there & {item.image_id for item in coco.annotations}), len(there)


def _copied(dataset: Dataset, folder: Path) -> tuple[list[Image], Copier]:
    copier = Copier(folder)
    with copier:
        return [labelled_image(sample, dataset.labels, copier.take(sample.path, sample.image))
                for sample in dataset.samples], copier


def _notes(findings: Iterable[Finding]) -> list[str]:
    kinds: dict[str, list[Finding]] = {}
    for item in findings:
        if item.code in NOTED:
            kinds.setdefault(item.code, []).append(item)
    return [as_given(f"{found[0].where}: {found[0].detail}") + f" ({len(found) - 1} more)" * (len(found) > 1)
            for found in kinds.values()]
