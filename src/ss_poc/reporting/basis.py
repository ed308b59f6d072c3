"""What the scores of a run stand for: workpieces that the training never saw, or other photographs of those it saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.images import encode_image
from ..core.run import Run
from ..core.text_table import counted
from ..data.dataset import Dataset
from ..data.sheet import draw_workpieces
from ..data.split import workpiece_of
from ..data.workpieces import Repeated, find_repeated

__all__ = ["Basis", "basis_of"]

# Workpieces in the picture, and the height of its rows in pixels.
SHOWN, ROW_HEIGHT = 3, 80


@dataclass(frozen=True)
class Basis:
    """What the report says of workpieces.

    Attributes:
        label: what the scores are measured on, in a few words.
        says: the same in a sentence; "" where there is a warning instead.
        repeated: photographs that seem to show the same workpieces, though nothing keeps them together.
        picture: JPEG of some of them, a row for each workpiece; empty where there are none.
        against: what speaks against the expression that finds workpieces, a sentence each.
    """

    label: str
    says: str = ""
    repeated: Repeated | None = None
    picture: bytes = b""
    against: Sequence[str] = ()


def basis_of(run: Run, dataset: Dataset) -> Basis:
    """Find out what the scores of a run stand for."""
    if run.config.good_only:
        return Basis("")
    if run.config.group:
        return _grouped(run, run.config.group)
    if "repeated" in run.workpieces:
        stored = run.workpieces["repeated"]
        repeated = Repeated.of(stored) if stored else None
    else:  # a run of an earlier version, which did not look
        repeated = find_repeated(dataset)
    if repeated is None:
        return Basis("on other photographs", "Scores are for photographs like these: nothing hints at a workpiece that "
                                             "several of them show.")
    picture = draw_workpieces(dataset, repeated.examples[:SHOWN], ROW_HEIGHT)
    return Basis("on other photographs, perhaps of the same workpieces", "", repeated, encode_image(picture))


def _grouped(run: Run, pattern: str) -> Basis:
    """Of a run whose photographs of a workpiece were kept together."""
    train, valid = ({workpiece_of(name, pattern) for name in names} for names in (run.split.train, run.split.valid))
    against = run.workpieces.get("against_group", ())
    pieces = valid - {""}
    alone = sum(not workpiece_of(name, pattern) for name in run.split.valid)
    if not pieces or pieces & train:
        return Basis("on other photographs", f"Of {counted(len(pieces), 'workpiece')} in validation, "
                     f"{len(pieces & train)} also trained.", against=against)
    beside = f", and {counted(alone, 'photograph')} whose names tell no workpiece" * bool(alone)
    return Basis("on workpieces that the training never saw",
                 f"Scores are for the next workpiece: {counted(len(pieces), 'workpiece')} validated that the training "
                 f"never saw{beside}.", against=against)
