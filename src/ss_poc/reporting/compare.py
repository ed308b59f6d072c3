"""Runs side by side: what differs in settings and data, and whether their scores differ by more than chance.

    python -m ss_poc.report compare result/demo/segment/v_1 result/demo/segment/v_2
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import ArtifactError
from ..core.run import Run, RunPaths
from ..core.scores import bootstrap_weights
from ..core.text_table import counted
from .paired import RESAMPLES, change, dice_of_images, image_counts, iou_of_pixels

__all__ = ["NOT_REPEATED", "compare", "compare_command"]

# Settings that say how a run was started, not what it is.
NOT_REPEATED = ("resume", "reuse", "overwrite")


def compare_command(argv: Sequence[str]) -> None:
    """Run `python -m ss_poc.report compare`."""
    parser = argparse.ArgumentParser(prog="report compare", description="Runs side by side.", allow_abbrev=False)
    parser.add_argument("runs", nargs="+", help="folders of runs, the one to compare with first")
    print(compare([_paths(folder) for folder in parser.parse_args(argv).runs]))


def _paths(folder: str) -> RunPaths:
    path = Path(folder).resolve()
    if path.parent.name != "segment":
        raise ArtifactError(f"{folder} is no folder of a run", "result/<data set>/segment/<model name>")
    return RunPaths(path.parents[2], path.parents[1].name, path.name).require()


def compare(runs: Sequence[RunPaths]) -> str:
    """Runs side by side as text: what differs in settings and data, and scores on the images all of them validate.

    The first is what the others are compared with; whether a difference is more than chance is told by a paired
    bootstrap: the same images are drawn for both.

    Raises:
        ArtifactError: fewer than two runs, one not searched, or other classes.
    """
    if len(runs) < 2:
        raise ArtifactError(f"{counted(len(runs), 'run')} named", "two or more")
    facts = [Run.read(paths) for paths in runs]
    names = [f"{paths.img_dir_name}/{paths.model_name}" for paths in runs]
    if len({tuple(fact.data.labels) for fact in facts}) > 1:
        raise ArtifactError("the runs know other classes: " + "; ".join(
            f"{name}: {', '.join(fact.data.labels)}" for name, fact in zip(names, facts, strict=True)),
            "runs of the same classes")
    lines = ["runs: " + ", ".join(names), "", "what differs"]
    lines += _differences([_flat(fact) for fact in facts], names) or ["  nothing"]
    scores = [image_counts(paths, fact.data.labels) for paths, fact in zip(runs, facts, strict=True)]
    shared = sorted(set.intersection(*(set(score) for score in scores)))
    lines += ["", f"scores on the {counted(len(shared), 'image')} that all of them validate"
              + ("" if shared else ": none, so nothing can be compared; train with the same --seed")]
    if shared:
        lines += _score_lines([{name: score[name] for name in shared} for score in scores], names,
                              facts[0].data.labels)
    return "\n".join(lines)


def _flat(run: Run) -> dict[str, Any]:
    engine = {"engine": run.engine} if run.engine else {}
    settings = {name: "-" if value is None else value for name, value in dataclasses.asdict(run.config).items()}
    return {**settings, "data.fingerprint": run.data.fingerprint[:12], "data.images": run.data.images,
            **{f"versions.{name}": value for name, value in run.versions.items()}, **engine}


def _differences(facts: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    keys = [key for key in dict.fromkeys(key for fact in facts for key in fact)
            if len({str(fact.get(key, "-")) for fact in facts}) > 1 and key not in (*NOT_REPEATED, "model_name")]
    return ["  " + key + ": " + ", ".join(f"{name} {fact.get(key, '-')}" for name, fact in
                                          zip(names, facts, strict=True)) for key in keys]


def _score_lines(scores: Sequence[Mapping[str, np.ndarray]], names: Sequence[str], labels: Sequence[str]) -> list[str]:
    counts = [np.stack(list(score.values())) for score in scores]
    weights = bootstrap_weights(len(counts[0]), RESAMPLES)
    ones = np.ones((1, len(counts[0])))
    width = max(map(len, ("mean", *labels)))
    lines = []
    for measure, scored in (("Dice of an image", dice_of_images), ("IoU of all pixels", iou_of_pixels)):
        lines.append(f"  {measure}")
        parts: list[tuple[Any, str]] = [*enumerate(labels), (slice(None), "mean")]
        for channel, label in parts:
            values = [scored(count[:, channel], ones)[0] for count in counts]
            drawn = [scored(count[:, channel], weights) for count in counts]
            cells = [f"{names[0]} {values[0]:.3f}"]
            for name, value, samples in zip(names[1:], values[1:], drawn[1:], strict=True):
                cells.append(f"{name} {value:.3f} ({change(value, values[0], samples, drawn[0])})")
            lines.append(f"    {label:<{width}}  " + "   ".join(cells))
    return lines
