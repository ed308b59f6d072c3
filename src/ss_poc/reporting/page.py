"""One page that tells whether to trust a model, and runs side by side.

    python -m ss_poc.report --img_dir_name demo --model_name v_1          (writes valid/report.html)
    python -m ss_poc.report compare result/demo/segment/v_1 result/demo/segment/v_2
"""

from __future__ import annotations

import argparse
import base64
import csv
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from ..core.artifacts import RLE_COLUMNS, RunPaths, read_csv, read_run, write_text
from ..core.config import ReportConfig, TrainConfig
from ..core.errors import ArtifactError
from ..core.masks import decode_rle
from ..core.settings import from_flags
from ..data.dataset import Dataset, Sample, load_coco
from ..inference.predictor import Predictor
from . import charts
from .evidence import Evidence, Looked, bootstrap, gather

__all__ = ["compare", "main", "report"]

# Pictures in the page: the worst images and the most confident suspects.
MOST_IMAGES, MOST_SUSPECTS = 150, 24
# Settings that say how a run was started, not what it is.
NOT_REPEATED = ("resume", "reuse", "overwrite")
RESAMPLES = 2000


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["compare"]:
        parser = argparse.ArgumentParser(prog="report compare", description="Runs side by side.", allow_abbrev=False)
        parser.add_argument("runs", nargs="+", help="folders of runs, the one to compare with first")
        print(compare([_paths(folder) for folder in parser.parse_args(words[1:]).runs]))
        return
    config = from_flags(ReportConfig, words, "Write valid/report.html.", examples=__doc__)
    report(RunPaths(Path(config.result), config.data_set, config.model_name).require())


def _paths(folder: str) -> RunPaths:
    path = Path(folder).resolve()
    if path.parent.name != "segment":
        raise ArtifactError(f"{folder} is no folder of a run", "result/<data set>/segment/<model name>")
    return RunPaths(path.parents[2], path.parents[1].name, path.name).require()


def report(paths: RunPaths) -> Path:
    """Write `valid/report.html` of a run that was searched; returns its path."""
    run = read_run(paths)
    dataset = load_coco(Path(run["data"]["json_path"]), Path(run["data"]["img_path"]))
    by_name = {sample.name: sample for sample in dataset.samples}
    predictor = Predictor.load(paths.export, paths.rules)
    evidence = gather([by_name[name] for name in run["split"]["valid"]], predictor)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
                                     autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
                                     lstrip_blocks=True)
    target = paths.valid / "report.html"
    write_text(target, environment.get_template("report.html").render(
        _context(run, paths, dataset, predictor, evidence)))
    print(f"report → {target}", flush=True)
    return target


def _context(run: dict[str, Any], paths: RunPaths, dataset: Dataset, predictor: Predictor,
             evidence: Evidence) -> dict[str, Any]:
    labels, colors = dataset.labels, dataset.colors
    chosen = run["operating"]["chosen"]
    return {
        "run": run, "title": f"{run['data']['name']} {paths.model_name}", "labels": labels, "colors": colors,
        "classes": _class_rows(run, evidence, labels, colors), "totals": _totals(evidence),
        "chosen": chosen, "search": run.get("search", []), "engines": run.get("engines", []),
        "engine": run.get("engine", predictor.engine), "cards": _cards(evidence, labels),
        "images": len(evidence.images), "suspects": [_suspect(item, labels) for item in
                                                     evidence.suspects[:MOST_SUSPECTS]],
        "suspect_count": len(evidence.suspects), "commands": _commands(run, paths),
        "findings": run["data"]["findings"], "charts": _charts(run, paths, dataset, predictor, evidence),
    }


def _charts(run: dict[str, Any], paths: RunPaths, dataset: Dataset, predictor: Predictor,
            evidence: Evidence) -> dict[str, str]:
    labels, colors, chosen = dataset.labels, dataset.colors, run["operating"]["chosen"]
    with paths.log.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    log = {name: [float(row[name]) for row in rows] for name in rows[0]}
    by_name = {sample.name: sample for sample in dataset.samples}
    train, valid = (_class_images([by_name[name] for name in run["split"][side]], len(labels))
                    for side in ("train", "valid"))
    return {
        "curves": charts.curves(log), "splits": charts.splits(train, valid, labels),
        "precision_recall": charts.precision_recall(evidence.true_at, evidence.all_at, labels, colors,
                                                    [rule.proba for rule in predictor.rules]),
        "calibration": charts.calibration(evidence.true_at, evidence.all_at, labels, colors),
        "confusion": charts.confusion(evidence.confusion, labels),
        "operating": charts.operating(run["operating"]["curve"], chosen["defective"], chosen["clean"],
                                      (chosen["false_alarms"], chosen["missed"])),
    }


def _class_images(samples: Sequence[Sample], classes: int) -> list[int]:
    return [sum(channel in sample.classes for sample in samples) for channel in range(classes)]


def _class_rows(run: dict[str, Any], evidence: Evidence, labels: Sequence[str],
                colors: Sequence[str]) -> list[dict[str, Any]]:
    """A row of the score table for each class, its intervals with it."""
    stacked = {name: np.stack([getattr(image, name) for image in evidence.images])
               for name in ("dice", "dice_plain", "both", "either", "both_plain", "either_plain", "true", "predicted")}
    dice_range, iou_range = bootstrap(stacked["dice"]), bootstrap(stacked["both"], stacked["either"])
    rules = [item["rule"] for item in run["search"]]
    rows = []
    for channel, label in enumerate(labels):
        has, marked = stacked["true"][:, channel] > 0, stacked["predicted"][:, channel] > 0
        either, plain = stacked["either"][:, channel].sum(), stacked["either_plain"][:, channel].sum()
        rows.append({
            "label": label, "color": colors[channel], "rule": rules[channel],
            "dice": stacked["dice"][:, channel].mean(), "dice_range": (dice_range[0][channel], dice_range[1][channel]),
            "dice_plain": stacked["dice_plain"][:, channel].mean(),
            "iou": stacked["both"][:, channel].sum() / either if either else None,
            "iou_range": (iou_range[0][channel], iou_range[1][channel]),
            "iou_plain": stacked["both_plain"][:, channel].sum() / plain if plain else None,
            "images": int(has.sum()), "found": int((stacked["both"][:, channel] > 0).sum()),
            "false": int((marked & ~has).sum()), "without": int((~has).sum()),
        })
    return rows


def _totals(evidence: Evidence) -> dict[str, Any]:
    """Mean scores over the classes, with their intervals."""
    dice_all = np.stack([image.dice for image in evidence.images])
    low, high = bootstrap(dice_all.mean(axis=1, keepdims=True))
    both, either = (np.stack([getattr(image, name) for image in evidence.images]) for name in ("both", "either"))
    seen = either.sum(axis=0) > 0
    samples = _resampled_iou(both[:, seen], either[:, seen])
    return {"dice": float(dice_all.mean()), "dice_range": (float(low[0]), float(high[0])),
            "iou": float((both.sum(axis=0)[seen] / either.sum(axis=0)[seen]).mean()) if seen.any() else 1.0,
            "iou_range": tuple(map(float, np.quantile(samples, (0.025, 0.975)))) if seen.any() else (1.0, 1.0)}


def _weights(count: int, seed: int = 0) -> np.ndarray:
    """How often each image is drawn in each bootstrap sample, (RESAMPLES, count)."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES).astype(float)


def _resampled_iou(both: np.ndarray, either: np.ndarray) -> np.ndarray:
    """Mean IoU of the classes, (N, C) pixels, on bootstrap samples of the images, (RESAMPLES,)."""
    weights = _weights(len(both))
    unions = weights @ either
    with np.errstate(invalid="ignore"):
        return np.nanmean(np.where(unions > 0, weights @ both / unions, np.nan), axis=1)


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


def _commands(run: dict[str, Any], paths: RunPaths) -> list[str]:
    """The commands that repeat a run: everything the recipe chose is named."""
    config, defaults = run["config"], TrainConfig()
    flags = [word for name, value in config.items() if name not in NOT_REPEATED and value != getattr(defaults, name)
             for word in (f"--{name}", str(value))]
    named = ["--result", str(paths.result), "--img_dir_name", paths.img_dir_name, "--model_name", paths.model_name]
    stages = [["train", *flags], *([name, *named] for name in ("export", "post_processing", "optimise", "report"))]
    return [shlex.join(["python", "-m", f"ss_poc.{stage[0]}", *stage[1:]]) for stage in stages]


def compare(runs: Sequence[RunPaths]) -> str:
    """Runs side by side as text: what differs in settings and data, and scores on the images all of them validate.

    The first is what the others are compared with; whether a difference is more than chance is told by a paired
    bootstrap: the same images are drawn for both.

    Raises:
        ArtifactError: fewer than two runs, one not searched, or other classes.
    """
    if len(runs) < 2:
        raise ArtifactError(f"{len(runs)} run named", "two or more")
    facts = [read_run(paths) for paths in runs]
    names = [f"{paths.img_dir_name}/{paths.model_name}" for paths in runs]
    if len({tuple(fact["data"]["labels"]) for fact in facts}) > 1:
        raise ArtifactError("the runs know other classes: " + "; ".join(
            f"{name}: {', '.join(fact['data']['labels'])}" for name, fact in zip(names, facts, strict=True)),
            "runs of the same classes")
    lines = ["runs: " + ", ".join(names), "", "what differs"]
    lines += _differences([_flat(fact) for fact in facts], names) or ["  nothing"]
    scores = [_image_scores(paths, fact["data"]["labels"]) for paths, fact in zip(runs, facts, strict=True)]
    shared = sorted(set.intersection(*(set(score) for score in scores)))
    lines += ["", f"scores on the {len(shared)} images that all of them validate"
              + ("" if shared else ": none, so nothing can be compared; train with the same --seed")]
    if shared:
        lines += _score_lines([{name: score[name] for name in shared} for score in scores], names,
                              facts[0]["data"]["labels"])
    return "\n".join(lines)


def _flat(run: Mapping[str, Any]) -> dict[str, Any]:
    data = run["data"]
    engine = {"engine": run["engine"]} if "engine" in run else {}
    settings = {name: "-" if value is None else value for name, value in run["config"].items()}
    return {**settings, "data.fingerprint": data["fingerprint"][:12], "data.images": data["images"],
            **{f"versions.{name}": value for name, value in run["versions"].items()}, **engine}


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
    weights = _weights(len(counts[0]))
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
                low, high = np.nanquantile(samples - drawn[0], (0.025, 0.975))
                word = "better" if low > 0 else "worse" if high < 0 else "no sure difference"
                cells.append(f"{name} {value:.3f} ({value - values[0]:+.3f}, {low:+.3f} to {high:+.3f}: {word})")
            lines.append(f"    {label:<{width}}  " + "   ".join(cells))
    return lines


def _mean_dice(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean Dice of an image on weighted images: (N, 3) or (N, C, 3) counts, (B, N) weights, to (B,)."""
    both, total = counts[..., 0], counts[..., 1] + counts[..., 2]
    dices = np.where(total > 0, 2 * both / np.maximum(total, 1), 1.0).reshape(len(counts), -1).mean(axis=1)
    return weights @ dices / weights.sum(axis=1)


def _iou(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """IoU of all pixels on weighted images, averaged over classes that have any; shapes as in `_mean_dice`."""
    both = counts[..., 0].reshape(len(counts), -1)
    either = (counts[..., 1] + counts[..., 2] - counts[..., 0]).reshape(len(counts), -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nanmean(np.where(weights @ either > 0, weights @ both / (weights @ either), np.nan), axis=1)
