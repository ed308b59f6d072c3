"""What a check says of values and of EXIF: nothing is wrong, but something was found out or assumed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from ..core.bit_depth import Values, range_warnings
from ..core.model_spec import FULL_DEPTH
from ..formats.coco_rules import Finding, finding

if TYPE_CHECKING:
    from .dataset import Sample

__all__ = ["note_exif", "note_values"]


def note_values(where: str, wide: Mapping[str, Values], bit_depth: int) -> list[Finding]:
    """Say which bits of files of 16 bits are used, and which photographs hardly use their range.

    Args:
        where: name of the data set.
        wide: values of each file of 16 bits, by its name.
        bit_depth: bits that are used.
    """
    found = []
    if wide and bit_depth < FULL_DEPTH:
        most = max(values.most for values in wide.values())
        found.append(finding("bit-depth", where, f"{len(wide)} file(s) of 16 bits, the highest value is {most}: "
                                                 f"{bit_depth} bits are used"))
    return found + [finding("range-unused", name, said) for name in sorted(wide)
                    for said in range_warnings(wide[name], bit_depth)]


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
