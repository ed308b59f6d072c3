"""Which workpieces the names of photographs tell: expressions that near-copies confirm, or that leave no doubt."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from .dataset import Dataset, Sample
from .likeness import FEWEST_COPIES, LEAST_KEPT, MOST_OF_ONE, confirmed, kept
from .name_expressions import Expression, expressions, shortened
from .split import workpiece_of

__all__ = ["Named", "named_workpieces"]

# Of expressions that keep nearly as many near-copies together, the one that joins the fewest photographs is taken. Of
# magnetic tiles, numbers without their last 3 digits keep 0.89, without 4 all: the tiles of 14 to 24 of 100 photographs
# that validate are then also trained on, with 4 those of none.
NEARLY = 0.05
# Fraction of the photographs that share a workpiece with another one. Numbers without their last digits must leave so
# many workpieces: fewer are hardly a split.
LEAST_SHARED, FEWEST_NUMBERS = 0.3, 10
# Keys tell the class where this fraction of the photographs has the classes that are usual for its key, and so many of
# the keys have classes of their own.
PURE, OWN = 0.9, 0.75
# Names alone are believed of so many workpieces, which most photographs belong to, most of them seen in the same views.
FEWEST_PIECES, MOST_VIEWS, MOST_SHARED, SAME_VIEWS = 4, 8, 0.8, 0.6
# Words of names that tell of labels, not of views.
VERDICTS = {"ok", "ng", "good", "bad", "defect", "defective", "normal", "mask", "label", "labels", "train", "val",
            "valid", "test"}
WORDS = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Named:
    """Workpieces that names tell.

    Attributes:
        source: `names`, `folders`, or `numbers` in names that are near each other.
        group: expression for `--group`.
        workpieces: of each photograph, by name; "" where its name tells none.
    """

    source: str
    group: str
    workpieces: Mapping[str, str]


@dataclass(frozen=True)
class _Reading:
    """A way to read names: the workpiece of each photograph, by name, and the expressions that find it."""

    workpieces: dict[str, str]
    expressions: list[Expression]

    @property
    def of_fields(self) -> bool:
        return any(expression.whole for expression in self.expressions)

    @property
    def size(self) -> int:
        return len({*self.workpieces.values()} - {""})


def named_workpieces(dataset: Dataset, copies: Mapping[str, str]) -> Named | None:
    """Find the expression that tells the workpiece in names; None where nothing speaks for one clearly enough.

    Args:
        dataset: whose photographs may show the same workpieces.
        copies: near-copies of photographs, as of `likeness.near_copies`.
    """
    names = [sample.name for sample in dataset.samples]
    found = _readings(names)
    fields = [reading for reading in found if reading.of_fields]
    right = [reading for reading in found if not _is_class(reading.workpieces, dataset.samples)
             and not any(_are_views(reading, other) for other in fields)]
    sure = [(kept(reading.workpieces, copies), reading) for reading in right if confirmed(reading.workpieces, copies)]
    best = max((part for part, _ in sure), default=0.0)
    nearly = [reading for part, reading in sure if part >= best - NEARLY]
    doubtless = [reading for reading in right if _leaves_no_doubt(reading, dataset, copies)]
    if not nearly and not doubtless:
        return None
    chosen = max(nearly, key=lambda reading: reading.size) if nearly else doubtless[0]
    group = min((shortened(expression, names) for expression in chosen.expressions), key=len)
    in_folders = all("/" in name and workpiece_of(name, group) in name.rpartition("/")[0] for name in names)
    source = "folders" if in_folders else "names" if chosen.of_fields else "numbers"
    return Named(source, group, chosen.workpieces)


def _readings(names: Sequence[str]) -> list[_Reading]:
    """Ways to read names, each once, in which enough photographs share a workpiece, and not too many the same."""
    found: dict[tuple[int, ...], _Reading] = {}
    for expression in expressions(names):
        workpieces = {name: workpiece_of(name, expression.pattern) for name in names}
        counts = Counter(filter(None, workpieces.values()))
        shared = sum(count for count in counts.values() if count > 1)
        if (counts and max(counts.values()) <= MOST_OF_ONE * len(names) and shared >= LEAST_SHARED * len(names)
                and (expression.whole or len(counts) >= FEWEST_NUMBERS)):
            numbers: dict[str, int] = {}
            same = tuple(numbers.setdefault(piece or f"/{name}", len(numbers)) for name, piece in workpieces.items())
            found.setdefault(same, _Reading(workpieces, [])).expressions.append(expression)
    return [*found.values()]


def _are_views(reading: _Reading, other: _Reading) -> bool:
    """Whether what is read are more likely views, such as places of cameras, of the workpieces of another reading:
    those are as many or more, and most of them are seen in several views."""
    views: dict[str, set[str]] = {}
    for name, piece in other.workpieces.items():
        if piece and reading.workpieces[name]:
            views.setdefault(piece, set()).add(reading.workpieces[name])
    crossed = sum(len(found) > 1 for found in views.values())
    return len(views) >= reading.size and crossed > len(views) / 2


def _is_class(keys: Mapping[str, str], samples: Iterable[Sample]) -> bool:
    """Whether keys tell the class, as in crack_001: each has a set of classes that nearly no other has."""
    classes: dict[str, Counter[frozenset[int]]] = {}
    for sample in samples:
        classes.setdefault(keys.get(sample.name, ""), Counter())[sample.classes] += 1
    classes.pop("", None)
    usual = [found.most_common(1)[0] for found in classes.values()]
    pure = sum(count for _, count in usual) >= PURE * sum(found.total() for found in classes.values())
    return pure and len({found for found, _ in usual}) > OWN * len(usual)


def _leaves_no_doubt(reading: _Reading, dataset: Dataset, copies: Mapping[str, str]) -> bool:
    """Whether names alone tell workpieces in views, as in P1234_top and P1234_side: a number first, a word last.

    Near-copies in other views must show the same workpiece, where there are some.
    """
    view = next((expression.view for expression in reading.expressions if expression.view), {})
    if not _are_words({*view.values()}, dataset.labels) or _is_class(view, dataset.samples):
        return False
    views: dict[str, list[str]] = {}
    for name, piece in reading.workpieces.items():
        views.setdefault(piece, []).append(view.get(name, ""))
    views.pop("", None)
    (_, same), = Counter(frozenset(found) for found in views.values()).most_common(1)
    shared = sum(len(found) for found in views.values() if len(found) > 1)
    across = {name: copy for name, copy in copies.items() if view.get(name) != view.get(copy)}
    return (len(views) >= FEWEST_PIECES and shared >= MOST_SHARED * len(reading.workpieces)
            and same >= SAME_VIEWS * len(views) and all(len({*found}) == len(found) for found in views.values())
            and all(any(map(str.isdigit, piece)) for piece in views)
            and (len(across) < FEWEST_COPIES or kept(reading.workpieces, across) >= LEAST_KEPT))


def _are_words(views: Collection[str], labels: Iterable[str]) -> bool:
    """Whether views are a few words, such as cam1 and top, and none tells of labels."""
    known = VERDICTS | {word for label in labels for word in WORDS.findall(label.lower())}
    return 2 <= len(views) <= MOST_VIEWS and all(
        any(map(str.isalpha, view)) and not known & {*WORDS.findall(view.lower())} for view in views)
