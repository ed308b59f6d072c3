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
from ..core.files import read_csv
from ..core.masks import decode_rle
from ..core.run import RLE_COLUMNS, Run, RunPaths
from ..core.scores import bootstrap_weights, dice_of_counts, interval, mean_iou
from ..core.text_table import counted

__all__ = ["NOT_REPEATED", "compare", "compare_command"]

# Settings that say how a run was started, not what it is.
NOT_REPEATED = ("resume", "reuse", "overwrite")
RESAMPLES = 2000


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
    scores = [_image_scores(paths, fact.data.labels) for paths, fact in zip(runs, facts, strict=True)]
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


def _image_scores(paths: RunPaths, labels: Sequence[str]) -> dict[str, np.ndarray]:
    """For each validation image (C, 3): pixels in both, true and predicted, from the RLE that the search wrote."""
    tables = [read_csv(paths.valid / f"valid_batch_{kind}.csv", RLE_COLUMNS) for kind in ("true", "pred")]
    found: dict[str, np.ndarray] = {}
    for true, predicted in zip(*tables, strict=True):
        size_hw = (int(true["height"]), int(true["width"]))
        masks = [decode_rle({"size": list(size_hw), "counts": row["counts"]}, size_hw) for row in (true, predicted)]
        counts = found.setdefault(true["image"], np.zeros((len(labels), 3)))
        counts[list(labels).index(true["label"])] = (np.count_nonzero(masks[0] & masks[1]), *map(np.count_nonzero,
                                                                                                 masks))
    return found


def _score_lines(scores: Sequence[Mapping[str, np.ndarray]], names: Sequence[str], labels: Sequence[str]) -> list[str]:
    counts = [np.stack(list(score.values())) for score in scores]
    weights = bootstrap_weights(len(counts[0]), RESAMPLES)
    ones = np.ones((1, len(counts[0])))
    width = max(map(len, ("mean", *labels)))
    lines = []
    for measure, scored in (("Dice of an image", _mean_dice), ("IoU of all pixels", _iou)):
        lines.append(f"  {measure}")
        parts: list[tuple[Any, str]] = [*enumerate(labels), (slice(None), "mean")]
        for channel, label in parts:
            values = [scored(count[:, channel], ones)[0] for count in counts]
            drawn = [scored(count[:, channel], weights) for count in counts]
            cells = [f"{names[0]} {values[0]:.3f}"]
            for name, value, samples in zip(names[1:], values[1:], drawn[1:], strict=True):
                (low,), (high,) = interval((samples - drawn[0])[:, None])
                word = "better" if low > 0 else "worse" if high < 0 else "no sure difference"
                cells.append(f"{name} {value:.3f} ({value - values[0]:+.3f}, {low:+.3f} to {high:+.3f}: {word})")
            lines.append(f"    {label:<{width}}  " + "   ".join(cells))
    return lines


def _mean_dice(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean Dice of an image on weighted images: (N, 3) or (N, C, 3) counts, (B, N) weights, to (B,)."""
    both, total = counts[..., 0], counts[..., 1] + counts[..., 2]
    dices = dice_of_counts(both, total).reshape(len(counts), -1).mean(axis=1)
    return weights @ dices / weights.sum(axis=1)


def _iou(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """IoU of all pixels on weighted images, averaged over the classes that have any; shapes as in `_mean_dice`."""
    both, true, predicted = (counts[..., place].reshape(len(counts), -1) for place in range(3))
    return mean_iou(both, true + predicted - both, weights)
