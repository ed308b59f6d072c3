"""One page that tells whether to trust a model, and runs side by side.

    python -m ss_poc.report --img_dir_name demo --model_name v_1          (writes valid/report.html)
    python -m ss_poc.report compare result/demo/segment/v_1 result/demo/segment/v_2
"""

from __future__ import annotations

import base64
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from ..core.config import ReportConfig
from ..core.files import write_text
from ..core.run import Run, RunPaths
from ..core.scores import bootstrap, bootstrap_weights, interval_of, iou_of_counts, mean_iou
from ..core.settings import from_flags
from ..core.text_table import counted
from ..data.dataset import Dataset, Sample, load_trained
from ..inference.kept import KeptMaps
from ..inference.predictor import Predictor
from . import charts
from .basis import basis_of
from .compare import compare_command
from .evidence import Evidence, Looked, gather
from .expectation import expectation
from .good_only import good_only
from .repeat import repeat_commands

__all__ = ["main", "report"]

# Pictures in the page: the worst images and the most confident suspects.
MOST_IMAGES, MOST_SUSPECTS = 150, 24
RESAMPLES = 2000


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["compare"]:
        compare_command(words[1:])
        return
    config = from_flags(ReportConfig, words, "Write valid/report.html.", examples=__doc__)
    report(RunPaths(Path(config.result), config.data_set, config.model_name).require())


def report(paths: RunPaths, maps: KeptMaps | None = None) -> Path:
    """Write `valid/report.html` of a run that was searched, with the maps that are kept; return its path."""
    run = Run.read(paths)
    dataset = load_trained(run)
    # The engine that the rules were searched with: scores are those of `valid_score.csv`, and maps may be kept.
    predictor = Predictor.load(paths.export, paths.rules, engine="onnxruntime")
    evidence = gather(dataset.samples_of(run.split.valid), predictor, maps)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
                                     autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
                                     lstrip_blocks=True)
    target = paths.valid / "report.html"
    write_text(target, environment.get_template("report.html").render(
        _context(run, paths, dataset, predictor, evidence)))
    print(f"report → {target}", flush=True)
    return target


def _context(run: Run, paths: RunPaths, dataset: Dataset, predictor: Predictor,
             evidence: Evidence) -> dict[str, Any]:
    labels, colors = dataset.labels, dataset.colors
    chosen = run.operating["chosen"]
    return {
        "run": run, "title": f"{run.data.name} {paths.model_name}", "paths": paths, "labels": labels, "colors": colors,
        "classes": _class_rows(run, evidence, labels, colors), "totals": _totals(evidence),
        "chosen": chosen, "believed": run.operating.get("probability") or {}, "search": run.search,
        "engines": run.engines,
        "engine": run.engine or predictor.engine, "cards": _cards(evidence, labels),
        "images": len(evidence.images), "suspects": [_suspect(item, labels) for item in
                                                     evidence.suspects[:MOST_SUSPECTS]],
        "suspect_count": len(evidence.suspects), "commands": repeat_commands(run, paths),
        "run_folder": f"{paths.result.name}/", "counted": counted,
        "data_uri": _data_uri, "expected": expectation(paths.valid, run.config.group),
        "basis": basis_of(run, dataset), "good": good_only(run, dataset, predictor, evidence),
        "findings": run.data.findings, "charts": _charts(run, paths, dataset, predictor, evidence),
    }


def _charts(run: Run, paths: RunPaths, dataset: Dataset, predictor: Predictor,
            evidence: Evidence) -> dict[str, str]:
    labels, colors, chosen = dataset.labels, dataset.colors, run.operating["chosen"]
    with paths.log.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    log = {name: [float(row[name]) for row in rows] for name in rows[0]}
    train, valid = (_class_images(dataset.samples_of(names), len(labels))
                    for names in (run.split.train, run.split.valid))
    return {
        "curves": charts.curves(log), "splits": charts.splits(train, valid, labels),
        "precision_recall": charts.precision_recall(evidence.true_at, evidence.all_at, labels, colors,
                                                    [rule.proba for rule in predictor.rules]),
        "calibration": charts.calibration(evidence.true_at, evidence.all_at, labels, colors),
        "confusion": charts.confusion(evidence.confusion, labels),
        "operating": charts.operating(run.operating["curve"], chosen["defective"], chosen["clean"],
                                      (chosen["false_alarms"], chosen["missed"])),
    }


def _class_images(samples: Sequence[Sample], classes: int) -> list[int]:
    return [sum(channel in sample.classes for sample in samples) for channel in range(classes)]


def _class_rows(run: Run, evidence: Evidence, labels: Sequence[str],
                colors: Sequence[str]) -> list[dict[str, Any]]:
    """A row of the score table for each class, its intervals with it."""
    stacked = {name: np.stack([getattr(image, name) for image in evidence.images])
               for name in ("dice", "dice_plain", "both", "either", "both_plain", "either_plain", "true", "predicted")}
    dice_range, iou_range = bootstrap(stacked["dice"]), bootstrap(stacked["both"], stacked["either"])
    iou, iou_plain = (iou_of_counts(stacked[f"both{kind}"].sum(axis=0), stacked[f"either{kind}"].sum(axis=0))
                      for kind in ("", "_plain"))
    rules = [item["rule"] for item in run.search]
    rows = []
    for channel, label in enumerate(labels):
        has, marked = stacked["true"][:, channel] > 0, stacked["predicted"][:, channel] > 0
        rows.append({
            "label": label, "color": colors[channel], "rule": rules[channel],
            "dice": stacked["dice"][:, channel].mean(), "dice_range": (dice_range[0][channel], dice_range[1][channel]),
            "dice_plain": stacked["dice_plain"][:, channel].mean(),
            "iou": _known(iou[channel]),
            "iou_range": (iou_range[0][channel], iou_range[1][channel]),
            "iou_plain": _known(iou_plain[channel]),
            "images": int(has.sum()), "found": int((stacked["both"][:, channel] > 0).sum()),
            "false": int((marked & ~has).sum()), "without": int((~has).sum()),
        })
    return rows


def _known(value: float) -> float | None:
    """The value, None where it is nan."""
    return None if np.isnan(value) else float(value)


def _totals(evidence: Evidence) -> dict[str, Any]:
    """Mean scores over the classes, with their intervals."""
    dice_all = np.stack([image.dice for image in evidence.images])
    low, high = bootstrap(dice_all.mean(axis=1, keepdims=True))
    both, either = (np.stack([getattr(image, name) for image in evidence.images]) for name in ("both", "either"))
    seen = either.sum(axis=0) > 0
    if not seen.any():
        return {"dice": float(dice_all.mean()), "dice_range": (float(low[0]), float(high[0])), "iou": 1.0,
                "iou_range": (1.0, 1.0)}
    both, either = both[:, seen], either[:, seen]
    return {"dice": float(dice_all.mean()), "dice_range": (float(low[0]), float(high[0])),
            "iou": float(iou_of_counts(both.sum(axis=0), either.sum(axis=0)).mean()),
            "iou_range": interval_of(mean_iou(both, either, bootstrap_weights(len(both), RESAMPLES)))}


def _kind(image: Looked) -> str:
    """What is wrong with an image, in a word."""
    if not image.true.any():
        return "false alarm" if image.predicted.any() else "clean, right"
    if ((image.true > 0) & (image.both == 0)).any():
        return "missed"
    return "partly" if image.dice.min() < 0.5 else "found"


def _cards(evidence: Evidence, labels: Sequence[str]) -> list[dict[str, Any]]:
    """The gallery, worst first; of equal Dice those with more wrong pixels."""
    worst = sorted(evidence.images, key=lambda image: (float(image.dice.mean()),
                                                       -int((image.either - image.both).sum()), image.name))
    return [{"name": image.name, "dice": float(image.dice.mean()), "kind": _kind(image), "defect": image.defect,
             "probability": image.probability,
             "labels": [label for channel, label in enumerate(labels)
                        if image.true[channel] or image.predicted[channel]],
             "true": [label for channel, label in enumerate(labels) if image.true[channel]],
             "predicted": [(label, image.scores[channel]) for channel, label in enumerate(labels)
                           if image.predicted[channel]],
             "pictures": [_data_uri(picture) for picture in image.pictures]} for image in worst[:MOST_IMAGES]]


def _suspect(item: Any, labels: Sequence[str]) -> dict[str, Any]:
    return {"name": item.image, "label": labels[item.channel], "missing": item.missing, "area": item.area,
            "confidence": item.confidence, "picture": _data_uri(item.picture)}


def _data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
