"""What a run's recipe brings on the next workpiece, and with more labels: trained anew on folds, and on fewer labels.

    python -m ss_poc.expect --img_dir_name photos --model_name v_1
    python -m ss_poc.expect --img_dir_name photos --model_name v_1 --folds 3 --curve 0

Each training takes as long as the run did. Those that are done are used; the same command goes on with the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.config import RunConfig, TrainConfig
from ..core.errors import ConfigError, ModelError
from ..core.run import Run, RunPaths, update_run
from ..core.scores import interval_of
from ..core.settings import from_flags, setting
from ..core.text_table import counted, text_table
from ..data.split import workpieces
from ..reporting.expectation import drawn_ious, expectation_of, read_pixels
from ..reporting.page import report
from .plan import PlannedRun
from .work import run_here

__all__ = ["ExpectConfig", "expect", "learning_curve", "main"]

# Labels whose gain is foretold.
MORE = 20


@dataclass(frozen=True)
class ExpectConfig(RunConfig):
    """Settings of `python -m ss_poc.expect`."""

    folds: int = setting(5, "trainings in which each workpiece validates once; 0: none", least=0, most=99)
    curve: int = setting(2, "trainings on fewer labels: half of them, a quarter, and so on; 0: none", least=0, most=4)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folds == 1 or not self.folds + self.curve:
            raise ConfigError(f"folds is {self.folds} and curve is {self.curve}", "2 folds or more, or 0 and a curve",
                              "leave them out: 5 folds and 2 points of the curve")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = from_flags(ExpectConfig, argv, "What a recipe brings on the next workpiece, and with more labels.",
                        examples=__doc__)
    expect(RunPaths(Path(config.result), config.data_set, config.model_name).require(), config)


def expect(paths: RunPaths, config: ExpectConfig) -> None:
    """Train on folds and on fewer labels, and write what they tell into the run and its report.

    Raises:
        ConfigError: the run goes on from a model that knows the photographs.
        ModelError: a training failed.
    """
    run = Run.read(paths)
    if (run.config.weights or "").endswith(".keras"):
        raise ConfigError(f"{paths.folder} goes on from {run.config.weights}, which may know what is to validate",
                          "a run that started from other weights", "train one from the start, with all labels")
    folds = [_planned(paths, run, f"fold-{number}of{config.folds}", fold=f"{number}/{config.folds}", valid=None)
             for number in range(1, config.folds + 1)]
    fewer = [_planned(paths, run, f"labels-1of{2**power}", train_fraction=0.5**power)
             for power in range(1, config.curve + 1)]
    failed = [f"{of.name}: {wrong}" for of, wrong in run_here([*folds, *fewer]) if wrong]
    if failed:
        raise ModelError("; ".join(failed), "trainings that end", "their own words are above; the same command goes on")
    expected = dict(run.expected)
    if folds:
        expected["folds"] = _folds([of.paths for of in folds], run.config.group)
    if fewer:
        expected["curve"] = learning_curve([*(of.paths for of in reversed(fewer)), paths], run.config.group)
    update_run(paths, expected=expected)
    print(_table(expected), flush=True)
    report(paths)


def _planned(paths: RunPaths, run: Run, name: str, **changes: Any) -> PlannedRun:
    """The same recipe with some settings changed."""
    known = {item.name for item in dataclasses.fields(TrainConfig)}
    settings = {name: value for name, value in dataclasses.asdict(run.config).items() if name in known}
    settings |= {"result": str(paths.result), "img_dir_name": paths.img_dir_name, "img_path": run.data.img_path,
                 "json_path": run.data.json_path, "model_name": f"{paths.model_name}_{name}", "resume": False,
                 "reuse": True, "overwrite": False, **changes}
    return PlannedRun(name, TrainConfig(**settings))


def _folds(folds: Sequence[RunPaths], group: str | None) -> dict[str, Any]:
    """Each fold, and all workpieces together: each validated once."""
    pixels = [read_pixels(paths.valid) for paths in folds]
    alone = [_row(len(one), len({*workpieces(list(one), group)}), *drawn_ious(one, group)) for one in pixels]
    together = expectation_of({name: found for one in pixels for name, found in one.items()}, group)
    return {"rows": alone, "iou": together.iou, "low": together.iou_range[0], "high": together.iou_range[1],
            "workpieces": together.count}


def _row(images: int, pieces: int, iou: float, drawn: np.ndarray) -> dict[str, Any]:
    low, high = interval_of(drawn)
    return {"images": images, "workpieces": pieces, "iou": iou, "low": low, "high": high}


def learning_curve(runs: Sequence[RunPaths], group: str | None) -> dict[str, Any]:
    """Scores by number of labels, and what MORE labels are likely to bring.

    1 - IoU is taken to fall as a power of the number of labelled photographs (Hestness et al. 2017, arXiv 1712.00409),
    by a straight line through the logarithms.

    Args:
        runs: on the same validation images, by rising number of those that train.
        group: regular expression that finds the workpiece.

    Returns:
        `rows` of each run, and `more` labels with their `gain` in IoU, from `low` to `high` with 95 % (bootstrap over
        the workpieces that validate; chance in training is not in it).
    """
    images = [len(Run.read(paths).split.train) for paths in runs]
    found = [drawn_ious(read_pixels(paths.valid), group) for paths in runs]
    rows = [{**_row(count, 0, *one), "workpieces": None} for count, one in zip(images, found, strict=True)]
    gain = _gain(images, np.array([[iou] for iou, _ in found]))[0]
    low, high = interval_of(_gain(images, np.stack([drawn for _, drawn in found])))
    return {"rows": rows, "more": MORE, "gain": float(gain), "low": low, "high": high}


def _gain(images: Sequence[int], ious: np.ndarray) -> np.ndarray:
    """Of (runs, B) IoU on that many images each: what MORE images add to the last, (B,)."""
    error = np.log(np.clip(1 - ious, 1e-6, 1))
    slope = np.polyfit(np.log(images), error, 1)[0]
    return (1 - ious[-1]) * (1 - (1 + MORE / images[-1]) ** slope)


def _table(expected: dict[str, Any]) -> str:
    text = []
    if "folds" in expected:
        found = expected["folds"]
        rows = [["fold", "images", "workpieces", "mean IoU"]]
        rows += [[str(number), str(row["images"]), str(row["workpieces"]), _bounds(row)]
                 for number, row in enumerate(found["rows"], 1)]
        text += [text_table([*rows, ["all", "", str(found["workpieces"]), _bounds(found)]], left=(0,))]
    if "curve" in expected:
        found = expected["curve"]
        text += [text_table([["images that train", "mean IoU"],
                             *([str(row["images"]), _bounds(row)] for row in found["rows"])], left=()),
                 f"{counted(found['more'], 'more label')} like these are likely to bring {found['gain']:+.3f} IoU "
                 f"({found['low']:+.3f} to {found['high']:+.3f})"]
    return "\n\n".join(text)


def _bounds(row: dict[str, Any]) -> str:
    return f"{row['iou']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
