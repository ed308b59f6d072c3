"""Whether photographs show the same workpieces several times: what names, folders, times and near-copies tell of it.

Where they do, and nothing keeps the photographs of a workpiece in one split, the scores say how well a model remembers
workpieces. A wrong suspicion is worse than none: what the names suggest must be confirmed by photographs that look
nearly the same, or by names that leave little doubt.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..core.errors import ConfigError
from ..core.text_table import counted
from .dataset import Dataset, Sample
from .likeness import LEAST_KEPT, MOST_OF_ONE, OVER_CHANCE, confirmed, kept, near_copies
from .named_workpieces import named_workpieces
from .split import workpiece_of

__all__ = ["Repeated", "check_group", "find_repeated"]

# Photographs of a burst are this many times closer to each other than bursts are, and so large a fraction of all must
# tell their time.
BURST, LEAST_TIMED = 5.0, 0.5
# Workpieces shown as examples, and photographs of each.
EXAMPLES, OF_EACH = 4, 4
# An expression that joins more photographs than this fraction, or finds fewer workpieces, makes a poor split.
LARGEST, FEWEST = 0.5, 5


@dataclass(frozen=True)
class Repeated:
    """Photographs that seem to show the same workpieces.

    Attributes:
        source: what tells: `names`, `numbers` in names that are near each other, `folders`, `times` or `pictures`.
        group: expression for `--group`; "" where names do not tell the workpiece.
        alike: how many of the photographs look nearly like another one of the same workpiece.
        photographs: how many show a workpiece that another one shows too.
        images: of all.
        workpieces: how many are shown more than once.
        seconds: of `times`: how close photographs of a workpiece follow each other.
        examples: names of a few photographs of a few workpieces, a row for each workpiece.
    """

    source: str
    group: str
    alike: int
    photographs: int
    images: int
    workpieces: int
    seconds: float
    examples: Sequence[Sequence[str]]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Repeated:
        """As a run.json keeps it."""
        return cls(**{item.name: values[item.name] for item in fields(cls)})

    @property
    def flag(self) -> str:
        """`--group` for a shell; "" where there is none."""
        return f"--group {shlex.quote(self.group)}" if self.group else ""

    @property
    def says(self) -> str:
        """A sentence for people: what was seen."""
        if self.source == "numbers":
            return (f"Photographs with near numbers in their names seem to show the same workpiece: {self.alike} of "
                    f"{self.images} look nearly like another one with a near number.")
        tells = {"names": "By their names", "folders": "By their folders", "pictures": "By their looks",
                 "times": f"By their times, at most {self.seconds:.0f} s apart"}[self.source]
        alike = f"; {self.alike} of them look nearly like another one of the same" * bool(self.alike)
        return (f"{tells}, {self.photographs} of {counted(self.images, 'photograph')} seem to show "
                f"{counted(self.workpieces, 'workpiece')} more than once{alike}.")

    @property
    def advice(self) -> str:
        """What to do, as the end of a sentence."""
        if self.group:
            return f"train with {self.flag}"
        return ("give the photographs of each workpiece a folder of its own, such as P1234/top.jpg, and train with "
                "--group '^[^/]+'")


def find_repeated(dataset: Dataset) -> Repeated | None:
    """Say whether photographs seem to show the same workpieces, and by which `--group` they stay together."""
    return _found(dataset, near_copies(dataset.samples))


def _found(dataset: Dataset, copies: Mapping[str, str]) -> Repeated | None:
    """`find_repeated`, of photographs whose near-copies are known."""
    named = named_workpieces(dataset, copies)
    if named:
        return _repeated(named.source, named.group, named.workpieces, copies)
    return _by_times(dataset.samples, copies) or _by_pictures(dataset.samples, copies)


def check_group(dataset: Dataset, pattern: str) -> list[str]:
    """Say what speaks against an expression for `--group`, a sentence each; nothing where it makes a good split.

    Raises:
        ConfigError: it finds no workpiece in any name, or one in all.
    """
    names = [sample.name for sample in dataset.samples]
    flag, counts = f"--group {shlex.quote(pattern)}", Counter(workpiece_of(name, pattern) for name in names)
    alone = counts.pop("", 0)
    copies = near_copies(dataset.samples)
    proposed = _found(dataset, copies)
    instead = proposed.flag if proposed else ""
    expected = f"what names the workpiece in names such as {names[0]}"
    do = f"this may be right: {instead}" if instead else "see --group in docs/data.md"
    if not counts:
        raise ConfigError(f"{flag} finds no workpiece in any name", expected, do)
    (name, most), = counts.most_common(1)
    if len(counts) == 1 and not alone:
        raise ConfigError(f"{flag} finds {name!r} in all names: the data set has 1 different workpiece", expected, do)
    if most == 1:
        return [f"{flag} finds another workpiece in each name, such as {name!r}: it keeps no photographs together"
                + f"; {do}" * bool(instead)]
    said = []
    if most > LARGEST * len(names):
        said.append(f"{flag} finds {name!r} in {most} of {len(names)} names: is that one workpiece?")
    elif len(counts) + alone < FEWEST:
        said.append(f"{flag} finds {counted(len(counts), 'workpiece')} in all: scores of so few say little")
    if proposed and proposed.alike and instead:
        this, other = (kept({name: workpiece_of(name, each) for name in names}, copies)
                       for each in (pattern, proposed.group))
        if this < LEAST_KEPT and this + OVER_CHANCE < other:
            said.append(f"{flag} keeps {this:.0%} of the photographs that look nearly the same together; "
                        f"{instead} would keep {other:.0%}")
    return said


def _by_times(samples: Sequence[Sample], copies: Mapping[str, str]) -> Repeated | None:
    """What times tell: bursts of photographs that look nearly the same, with long breaks between the bursts."""
    timed = sorted((sample.glance.taken, sample.name) for sample in samples
                   if sample.glance and sample.glance.taken is not None)
    gaps = np.diff([taken for taken, _ in timed])
    lengths = np.unique(np.maximum(gaps, 1.0))
    if not copies or len(timed) < LEAST_TIMED * len(samples) or len(lengths) < 2:
        return None
    steps = lengths[1:] / lengths[:-1]
    seconds = float(lengths[steps.argmax()])
    numbers = np.cumsum([0, *(gaps > seconds)])
    bursts = {sample.name: "" for sample in samples} | {name: f"burst {number}" for (_, name), number
                                                       in zip(timed, numbers, strict=True)}
    longest = int(np.bincount(numbers).max())
    if steps.max() < BURST or longest > MOST_OF_ONE * len(samples) or not confirmed(bursts, copies):
        return None
    return _repeated("times", "", bursts, copies, seconds)


def _by_pictures(samples: Sequence[Sample], copies: Mapping[str, str]) -> Repeated | None:
    """What near-copies tell that nothing else explains."""
    joined = _joined(copies)
    return _repeated("pictures", "", {sample.name: min(joined.get(sample.name, {""})) for sample in samples},
                     copies) if copies else None


def _joined(copies: Mapping[str, str]) -> dict[str, set[str]]:
    """For each photograph those that are its near-copies, or near-copies of these, and itself."""
    joined: dict[str, set[str]] = {}
    for name, copy in copies.items():
        merged = joined.get(name, {name}) | joined.get(copy, {copy})
        joined |= dict.fromkeys(merged, merged)
    return joined


def _repeated(source: str, group: str, workpieces: Mapping[str, str], copies: Mapping[str, str],
              seconds: float = 0.0) -> Repeated:
    """Count the photographs of workpieces that several show, and choose examples: near-copies where there are some."""
    pieces: dict[str, list[str]] = {}
    for name, piece in workpieces.items():
        pieces.setdefault(piece, []).append(name)
    shown = {piece: names for piece, names in pieces.items() if piece and len(names) > 1}
    alike = {name: copy for name, copy in copies.items() if workpieces[name] and workpieces[name] == workpieces[copy]}
    rows = {tuple(sorted(names)) for names in _joined(alike).values()} or {tuple(names) for names in shown.values()}
    ranked = sorted(rows, key=lambda row: (-min(len(row), OF_EACH), row))
    examples = tuple(row[:OF_EACH] for row in ranked[:EXAMPLES])
    return Repeated(source, group, len(alike), sum(map(len, shown.values())), len(workpieces), len(shown), seconds,
                    examples)
