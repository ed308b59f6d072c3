"""Folds: every photograph validates once, so that all of a data set says how good a recipe is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..core.config import parse_nth
from ..core.errors import DataError
from ..core.text_table import counted
from .split import Splittable, together

__all__ = ["folds_of", "split_fold"]

Group = list[Splittable]


def folds_of(samples: Sequence[Splittable], count: int, pattern: str = "") -> list[list[str]]:
    """Divide samples into folds of which each validates once, while the others train.

    Byte-identical files, and photographs of one workpiece, are one group and stay together. Groups are dealt out, those
    of the rarest class first, each to the fold that has the fewest of its classes (after Sechidis et al. 2011). Folds
    depend on contents, classes and workpieces alone: not on order, machine or seed.

    Args:
        samples: to divide.
        count: of folds, at least 2.
        pattern: regular expression that finds the workpiece in a sample's name, see `workpiece_of`.

    Returns:
        For each fold the names that validate in it, sorted; each name is in one fold.

    Raises:
        DataError: there are fewer groups than folds.
    """
    groups = together(samples, pattern)
    if len(groups) < count:
        what = "different workpiece" if pattern else "different image"
        raise DataError(f"the data set has {counted(len(groups), what)}, and {counted(count, 'fold')} are asked for",
                        f"at least {count}", "ask for fewer folds, or label more images")
    classes = [frozenset[int]().union(*(item.classes for item in members)) for members in groups]
    totals = Counter(channel for found in classes for channel in found)
    ranks = [sorted((totals[channel], channel) for channel in found) or [(len(groups) + 1, 0)] for found in classes]
    inside, folds = [Counter[int]() for _ in range(count)], [list[Group]() for _ in range(count)]
    for index in sorted(range(len(groups)), key=lambda index: (ranks[index], _order(groups[index]))):
        chosen = min(range(count), key=lambda fold: ([inside[fold][channel] for _, channel in ranks[index]],
                                                     len(folds[fold])))
        inside[chosen].update(classes[index])
        folds[chosen].append(groups[index])
    return [sorted(item.name for members in found for item in members) for found in folds]


def _order(members: Group) -> str:
    """By contents alone; two groups have none in common."""
    return min(item.digest for item in members)


def split_fold(samples: Sequence[Splittable], fold: str, pattern: str = "") -> tuple[list[str], list[str]]:
    """Names that train and names that validate in a fold such as `"2/5"`, sorted; see `folds_of`."""
    number, count = parse_nth("fold", fold, 2)
    folds = folds_of(samples, count, pattern)
    return sorted(name for index, names in enumerate(folds, 1) if index != number for name in names), folds[number - 1]
