"""A deterministic, stratified split of samples into those that train and those that validate."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core.errors import ConfigError, DataError
from ..core.text_table import counted

__all__ = ["SPLIT_FILE", "split_samples", "thinned", "together", "valid_fraction_for", "workpiece_of", "workpieces"]


# In the folder of a data set that was made: names that train and names that validate, whatever the draw.
SPLIT_FILE = "split.json"


class Splittable(Protocol):
    """What the split must know of a sample."""

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def classes(self) -> frozenset[int]: ...


@dataclass(frozen=True)
class _Group:
    """Samples that are byte-identical or show one workpiece: they stay on one side of the split."""

    order: str
    names: tuple[str, ...]
    classes: frozenset[int]


# The fraction that validates. Of many large photographs it is less: ENOUGH_IMAGES, or as many as have ENOUGH_PIXELS. To
# go through them takes a long time after every training, and more of them would change the scores little.
VALID, ENOUGH_IMAGES, ENOUGH_PIXELS = 0.2, 60, 500_000_000
NOBODY = _Group("", (), frozenset())
STARTS = 16


def workpiece_of(name: str, pattern: str) -> str:
    """Tell from the name of a photograph which workpiece it shows.

    Args:
        name: of the photograph, relative to the data set's folder.
        pattern: regular expression; "" for none.

    Returns:
        What the pattern's group matches, or all of the pattern where it has no group; "" for no match.
    """
    found = re.search(pattern, name) if pattern else None
    return (found[1] if found.re.groups else found[0]) or "" if found else ""


def workpieces(names: Sequence[str], pattern: str | None) -> list[str]:
    """Return of each photograph its workpiece, see `workpiece_of`; its own name where it is one by itself."""
    return [workpiece_of(name, pattern or "") or name for name in names]


def valid_fraction_for(sizes_hw: Sequence[tuple[int, int]]) -> float:
    """Choose the fraction, 0 to 1, of images of these sizes, (height, width) each, that validates: a fifth, or less of
    many large ones."""
    pixels = sum(height * width for height, width in sizes_hw)
    return min(VALID, max(ENOUGH_IMAGES / len(sizes_hw), ENOUGH_PIXELS / pixels)) if sizes_hw else VALID


def split_samples(samples: Sequence[Splittable], valid_fraction: float, seed: int,
                  pattern: str = "") -> tuple[list[str], list[str]]:
    """Split samples by the set of classes in an image; negatives are such a set too.

    It depends on contents, classes, workpieces and seed alone, not on order or machine. Byte-identical files, and
    photographs of one workpiece, are one group and stay together; a class in 2 groups or more is on both sides wherever
    that can be, one in a single group is in training. `valid_fraction` of the groups validate, rounded, unless classes
    need more.

    Args:
        samples: to split.
        valid_fraction: fraction of the groups that validates, above 0 and below 1.
        seed: of the draw.
        pattern: regular expression that finds the workpiece in a sample's name, see `workpiece_of`.

    Returns:
        Names that train and names that validate, sorted.

    Raises:
        ConfigError: `valid_fraction` is not between 0 and 1.
        DataError: fewer than 2 different images.
    """
    if not 0 < valid_fraction < 1:
        raise ConfigError(f"valid is {valid_fraction}", "a fraction between 0 and 1")
    groups = _stratified(together(samples, pattern), seed)
    if len(groups) < 2:
        what = "different workpiece" if pattern else "different image"
        raise DataError(f"the data set has {counted(len(groups), what)}",
                        "at least 2, one to train and one to validate",
                        "--group finds one workpiece in all names" if pattern and samples else "label more images")
    total = len(groups)
    count = min(max(round(total * valid_fraction), 1), total - 1)
    # Exchanges can end before every class is covered; another start may get there.
    train, valid = _attempt(groups, count, 0)
    for start in range(1, min(total, STARTS)):
        if not _missing(train, valid):
            break
        train, valid = min((train, valid), _attempt(groups, count, start), key=lambda sides: _missing(*sides))
    return (sorted(name for group in train for name in group.names),
            sorted(name for group in valid for name in group.names))


def thinned(samples: Sequence[Splittable], fraction: float, seed: int, pattern: str = "") -> list[str]:
    """Choose a fraction of samples, evenly over sets of classes; photographs of one workpiece come together.

    A half of that fraction is a subset of it, as is a quarter.

    Args:
        samples: to choose from.
        fraction: above 0, at most 1.
        seed: of the draw.
        pattern: regular expression that finds the workpiece in a sample's name, see `workpiece_of`.

    Returns:
        Names, sorted; at least those of one workpiece.
    """
    groups = _stratified(together(samples, pattern), seed)
    chosen = [group for index, group in enumerate(groups) if int((index + 1) * fraction) > int(index * fraction)]
    return sorted(name for group in chosen or groups[:1] for name in group.names)


def _attempt(groups: Sequence[_Group], count: int, start: int) -> tuple[list[_Group], list[_Group]]:
    """Let `count` groups, evenly spaced along the strata, validate: each stratum gives its share, give or take one."""
    total = len(groups)
    phase = (total // 2 + start) % total
    steps = [(index * count + phase) // total for index in range(total + 1)]
    train = [group for index, group in enumerate(groups) if steps[index + 1] == steps[index]]
    valid = [group for index, group in enumerate(groups) if steps[index + 1] > steps[index]]
    _cover_classes(train, valid)
    return train, valid


def together(samples: Iterable[Splittable], pattern: str) -> list[list[Splittable]]:
    """Group samples of the same content or workpiece, also by way of other samples, in one list each."""
    owner: dict[tuple[str, str], list[Splittable]] = {}
    for sample in samples:
        keys = _keys(sample, pattern)
        merged = [sample, *(one for known in {id(owner[key]): owner[key] for key in keys if key in owner}.values()
                            for one in known)]
        owner |= {key: merged for one in merged for key in _keys(one, pattern)}
    return list({id(members): members for members in owner.values()}.values())


def _keys(sample: Splittable, pattern: str) -> list[tuple[str, str]]:
    workpiece = workpiece_of(sample.name, pattern)
    return [("content", sample.digest), *([("workpiece", workpiece)] if workpiece else [])]


def _stratified(members: Iterable[Sequence[Splittable]], seed: int) -> list[_Group]:
    """Groups, stratum after stratum, shuffled by `seed` inside each; those alone in their stratum form the last one."""
    groups = [_Group(hashlib.sha256(f"{seed}:{min(item.digest for item in found)}".encode()).hexdigest(),
                     tuple(item.name for item in found),
                     frozenset().union(*(item.classes for item in found))) for found in members]
    sizes = Counter(group.classes for group in groups)
    return sorted(groups, key=lambda group: (sizes[group.classes] == 1,
                                             sorted(group.classes) if sizes[group.classes] > 1 else [], group.order))


def _cover_classes(train: list[_Group], valid: list[_Group]) -> None:
    """Exchange groups, or move one where no exchange helps, until nothing brings a class to a side it lacks."""
    improved = True
    while improved:
        improved = False
        in_train, in_valid = _count(train), _count(valid)
        totals = in_train + in_valid
        for channel in sorted(totals, key=lambda item: (totals[item], item)):
            pairs = _exchanges(channel, train, valid) if _penalty(in_train[channel], in_valid[channel]) else []
            ranks = [(_change(out, back, in_train, in_valid), NOBODY in (out, back), len(out.classes ^ back.classes),
                      out.order, back.order) for out, back in pairs]
            if ranks and min(ranks)[0] < 0:
                out, back = pairs[ranks.index(min(ranks))]
                train[:] = [group for group in (*train, back) if group not in (out, NOBODY)]
                valid[:] = [group for group in (*valid, out) if group not in (back, NOBODY)]
                improved = True
                break


def _exchanges(channel: int, train: list[_Group], valid: list[_Group]) -> list[tuple[_Group, _Group]]:
    """Pairs (leaves training, comes to it) that bring a class to the side that lacks it; none becomes empty."""
    owners = [group for group in (*train, *valid) if channel in group.classes]
    if owners[0] in train:
        return [(out, back) for out in owners for back in (*valid, NOBODY)]
    return [(out, back) for back in owners for out in (*train, NOBODY) if out is not NOBODY or len(valid) > 1]


def _count(groups: Iterable[_Group]) -> Counter[int]:
    return Counter(channel for group in groups for channel in group.classes)


def _missing(train: list[_Group], valid: list[_Group]) -> int:
    in_train, in_valid = _count(train), _count(valid)
    return sum(_penalty(in_train[channel], in_valid[channel]) for channel in in_train | in_valid)


def _penalty(in_train: int, in_valid: int) -> int:
    # A class that cannot be on both sides is worth more in training: a thousand outweighs all others.
    return 1000 * (not in_train) + (not in_valid and in_train > 1)


def _change(out: _Group, back: _Group, in_train: Counter[int], in_valid: Counter[int]) -> int:
    """By how much an exchange changes the sum of penalties."""
    change = 0
    for channel in out.classes ^ back.classes:
        step = -1 if channel in out.classes else 1
        change += _penalty(in_train[channel] + step, in_valid[channel] - step)
        change -= _penalty(in_train[channel], in_valid[channel])
    return change
