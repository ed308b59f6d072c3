"""What a check says of values, EXIF, copies and classes: nothing is refused for it, but it is worth knowing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ..core.bit_depth import Values, range_warnings, spanned
from ..core.levels import FULL_DEPTH, Levels
from ..formats.coco import Coco
from ..formats.coco_rules import Finding, finding

if TYPE_CHECKING:
    from .dataset import Sample

__all__ = ["note_exif", "note_samples", "note_values"]


def note_values(where: str, wide: Mapping[str, Values], levels: Levels) -> list[Finding]:
    """Say which bits of files of 16 bits are used, which range of others, and which photographs hardly use it.

    Args:
        where: name of the data set.
        wide: values of each file with more than 8 bits a value, by its name.
        levels: of the data set.
    """
    found = []
    by_span = [values for values in wide.values() if spanned(values, levels)]
    by_depth = [values for values in wide.values() if not spanned(values, levels)]
    if by_depth and levels.bit_depth < FULL_DEPTH:
        most = max(values.most for values in by_depth)
        found.append(finding("bit-depth", where, f"{len(by_depth)} file(s) of 16 bits, the highest value is {most}: "
                                                 f"{levels.bit_depth} bits are used"))
    if by_span and levels.span:
        least, most = min(values.least for values in by_span), max(values.most for values in by_span)
        found.append(finding("value-range", where, f"{len(by_span)} file(s) with values {least:g} to {most:g}: "
                                                   f"{levels.span[0]:g} to {levels.span[1]:g} become black to white"))
    return found + [finding("range-unused", name, said) for name in sorted(wide)
                    for said in range_warnings(wide[name], levels)]


def note_exif(where: str, samples: Sequence[Sample], unsure: Collection[str]) -> list[Finding]:
    """Say of how many labelled photographs size cannot tell whether labels refer to them as shown or as stored.

    Args:
        where: name of the json.
        samples: all of the data set.
        unsure: names of the photographs of which size cannot tell, with labels or without.
    """
    turned = [sample for sample in samples if sample.orientation > 1 and sample.regions]
    meant = [sample for sample in turned if sample.name in unsure]
    if not meant:
        return []
    told = [sample.frame for sample in turned if sample.name not in unsure]
    others = f"; size tells of {len(told)} others, {told.count('stored')} of them as stored" * bool(told)
    return [finding("exif-unsure", where, f"{len(meant)} photograph(s), such as {meant[0].name}: labels are taken as "
                                          f"drawn on them as shown{others}. --exif_labels shown or stored decides")]


def note_samples(samples: Sequence[Sample], labels: Sequence[str], coco: Coco, used: set[int]) -> list[Finding]:
    """Say of copies, and of classes that are rare or not used at all.

    Args:
        samples: all of the data set.
        labels: its classes, by channel.
        coco: what its labels were read as.
        used: ids of the categories that have a region.
    """
    found = []
    copies: dict[str, list[Sample]] = {}
    for sample in samples:
        copies.setdefault(sample.digest, []).append(sample)
    for group in copies.values():
        if len(group) > 1:
            differ = len({sample.regions_key for sample in group}) > 1
            found.append(finding("copies-differ" if differ else "identical-copies", group[0].name,
                                 f"same bytes as {', '.join(sample.name for sample in group[1:])}; expected one file"))
    for channel, label in enumerate(labels):
        count = sum(any(channel in sample.classes for sample in group) for group in copies.values())
        if count < 2:
            found.append(finding("class-rare", label, f"annotated in {count} image; expected at least 2"))
    for category in coco.categories:
        if category.id not in used:
            count = sum(annotation.category_id == category.id for annotation in coco.annotations)
            found.append(finding("category-unused", category.name, f"category {category.id} has {count} annotation(s)"
                                                                   + ", none of them usable" * bool(count)))
    return found
