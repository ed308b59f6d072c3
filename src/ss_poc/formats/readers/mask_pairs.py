"""Which photograph a mask belongs to, by their names and folders."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath

from ..coco_rules import Finding, Problem, finding
from ..find_file import PHOTO_FOLDERS

__all__ = ["FOLDERS", "label_folders", "pair_masks"]

FOLDERS = ("SegmentationClass", "ground_truth", "masks", "Masks", "mask", "annotations", "labels")
# Names of folders that say what is in them, not which photograph.
KINDS = {*FOLDERS, *PHOTO_FOLDERS}
PLACES = {*KINDS, "test", "train", "val", "valid"}
ENDINGS = ("_mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation")

Key = tuple[str, ...]


def label_folders(source: str, masks: Collection[str], photos: Iterable[str], labels: Sequence[str]) -> list[str]:
    """Return the folders of masks that are named for a label; none where folders mean something else.

    Args:
        source: name of the folder that holds all masks.
        masks: posix paths in it.
        photos: posix paths of the photographs.
        labels: names of the labels, where they are known.
    """
    found = sorted({_top(name) for name in masks} - {""})
    if source == "ground_truth":
        return found
    if labels:
        return [label for label in labels if label in found]
    met = {step for name in photos for step in PurePosixPath(name).parts[:-1]}
    alone = len(found) > 1 and not any("/" not in name for name in masks)
    return found if alone and not met.intersection(found) and not PLACES.intersection(found) else []


def pair_masks(masks: Sequence[str], photos: Sequence[str], folders: Sequence[str],
               findings: list[Finding]) -> dict[str, list[str]]:
    """Return the masks of each photograph that has some.

    A mask of the same path comes first. One that is left belongs to the photograph of the same name that is left, if
    the folders of one are the last ones of the other.

    Args:
        masks: posix paths of the masks.
        photos: posix paths of the photographs.
        folders: names of the folders of masks that are named for a label.
        findings: gets masks without a photograph, with several, and those in a folder of no label.
    """
    found: dict[str, list[str]] = {}
    tops = {top: [name for name in masks if _top(name) == top] for top in sorted({_top(name) for name in masks})}
    for top in tops if folders else ():
        if top not in folders:
            where = f"the masks in {top}/" if top else "masks in no folder"
            findings.append(finding("label-unknown", where, "no label is called so"))
    for group in [tops[top] for top in folders if top in tops] if folders else [masks]:
        for mask, photo in _pairs(group, photos, bool(folders), findings).items():
            found.setdefault(photo, []).append(mask)
    return found


def _pairs(masks: Sequence[str], photos: Sequence[str], by_label: bool, findings: list[Finding]) -> dict[str, str]:
    paths: dict[Key, list[str]] = {}
    for photo in photos:
        paths.setdefault(_steps(photo, KINDS), []).append(photo)
    found = {}
    for mask in masks:
        same = paths.get(_steps(mask, KINDS)[by_label:], [])
        if len(same) == 1:
            found[mask] = same[0]
    taken = set(found.values())
    keys = {photo: _key(photo) for photo in photos}
    free = {photo: key for photo, key in keys.items() if photo not in taken}
    for mask in masks:
        if mask not in found:
            try:
                found[mask] = _photo_of(mask, [free, keys], by_label)
            except Problem as problem:
                findings.append(finding(problem.code, mask, problem.detail))
    return found


def _photo_of(mask: str, albums: Sequence[dict[str, Key]], by_label: bool) -> str:
    """Name of the photograph of a mask: the one whose last folders and stem are the same, as many as there are."""
    whole = _key(mask)
    # The folder of a label may be one of the photographs too, as MVTec has it, or not.
    for asked in (whole, whole[1:]) if by_label and len(whole) > 1 else (whole,):
        for album in albums:
            shared = {photo: len(os.path.commonprefix([asked[::-1], key[::-1]])) for photo, key in album.items()}
            # Folders that differ are those of another photograph.
            fits = [photo for photo, count in shared.items() if count == min(len(asked), len(album[photo]))]
            best = [photo for photo in fits if shared[photo] == max(shared[other] for other in fits)]
            if len(best) > 1:
                raise Problem("file-ambiguous", f"the mask {mask} may be that of {', '.join(best[:5])}")
            if best:
                return best[0]
    raise Problem("file-missing", f"there is no photograph for the mask {mask}")


def _top(name: str) -> str:
    return PurePosixPath(name).parts[0] if "/" in name else ""


def _steps(name: str, unsaid: Collection[str]) -> Key:
    """Folders of a path, less those that say what is in them, and its stem."""
    path = PurePosixPath(name)
    return (*(step for step in path.parts[:-1] if step not in unsaid), path.stem)


def _key(name: str) -> Key:
    """What a mask and its photograph share at least: `_steps`, without the ending of the stem that says "mask"."""
    *steps, stem = _steps(name, PLACES)
    return (*steps, next((stem.removesuffix(ending) for ending in ENDINGS if stem.endswith(ending)), stem))
