"""Find each class' threshold, dilation, minimum area and convex hull on the validation split.

    python -m ss_poc.post_processing --img_dir_name demo --model_name v_1
    python -m ss_poc.post_processing --img_dir_name demo --model_name v_1 --max_false_alarm 1%
    python -m ss_poc.post_processing --img_dir_name demo --model_name v_1 --miss_cost 20
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ..core.config import Rule, SearchConfig, parse_fraction
from ..core.drawing import draw_overlay
from ..core.files import atomic_path, flat_names, write_csv, write_json
from ..core.good_names import is_drawn, is_labelled
from ..core.host import cores
from ..core.images import save_image
from ..core.masks import encode_rle
from ..core.parallel import ahead
from ..core.refine import plain_rules, refine
from ..core.rules_file import OPERATING_FILE, RULES_CSV, write_rules
from ..core.run import HELD_OUT_COLUMNS, HELD_OUT_CSV, RLE_COLUMNS, Run, RunPaths, update_run
from ..core.scores import dice, intersection_union, iou_of_counts
from ..core.settings import from_flags
from ..core.text_table import counted, figure, text_table
from ..data.dataset import Sample, load_trained
from ..data.split import workpieces
from ..inference.kept import KeptMaps, maps_kept_in
from ..inference.predictor import Prediction, Predictor
from .calibration import folds_of
from .defect_probability import believe
from .reach import count_reaches, find_reach
from .rule_grid import Found, Grid, Tally, count_grid, find_rule, grid_of, held_out
from .verdict import NEVER, Point, choose, curve

__all__ = ["looks_at", "main", "optimise"]

# Pixels that the network looks at in all, and how much lighter, or darker, some images are.
ENOUGH_PIXELS, LIGHTER = 30_000_000, 1.15
AS_IT_IS = (False, 1.0)

# False alarms of a model of good photographs alone: what it misses is drawn, good photographs are real.
GOOD_ONLY_LIMIT = "1%"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = from_flags(SearchConfig, argv, "Find each class' post-processing on the images that validate.",
                        examples=__doc__)
    paths = RunPaths(Path(config.result), config.data_set, config.model_name).require()
    with maps_kept_in(paths.maps) as maps:
        optimise(paths, config, maps)


def optimise(paths: RunPaths, config: SearchConfig, maps: KeptMaps | None = None) -> list[Rule]:
    """Search the rules of a run, choose when an image is called defective, and write the `valid/` folder.

    Args:
        paths: of a run that was exported.
        config: settings of the search.
        maps: keeps the maps of the images that validate, or has them already, of ONNX Runtime.
    """
    maps, run = maps or KeptMaps(), Run.read(paths)
    if run.config.good_only and not (config.miss_cost or config.max_false_alarm):
        config = dataclasses.replace(config, max_false_alarm=GOOD_ONLY_LIMIT)
    predictor = Predictor.load(paths.export, threads=1, engine="onnxruntime")  # images side by side, each on one core
    dataset = load_trained(run)
    samples = dataset.samples_of(run.split.valid)
    workers = config.workers or cores()
    windows = sum(predictor.window_count(sample.size_hw) for sample in samples)
    looks = looks_at(windows * math.prod(run.size_hw), bool(run.survey["turnable_h"]))
    tallies = _search(samples, predictor, maps, _grids(samples, len(dataset.labels), predictor), looks, workers)
    plain = plain_rules(predictor.spec.labels, predictor.spec.colors, predictor.spec.size_hw)
    found = [find_rule(rule, tally) for rule, tally in zip(plain, tallies, strict=True)]
    rules = [item.rule for item in found]
    # What is drawn says nothing of how far real defects reach.
    reached = [] if run.config.good_only else _count_reaches(samples, predictor, maps, rules, workers)
    reach = find_reach(reached)
    rules = [dataclasses.replace(rule, reach=reach) for rule in rules]
    with atomic_path(paths.valid) as folder:
        folder.mkdir()
        judged = _judge_all(folder, samples, predictor, maps, rules, workers)
        scores = _write_valid(folder, judged, predictor.spec.labels)
        rules = [dataclasses.replace(rule, dice=scores["dice"][rule.label]) for rule in rules]
        write_rules(folder / RULES_CSV, rules)
        _write_held_out(folder, run, samples, predictor, maps, plain, tallies, reached)
        operating = _operate(_that_tell(samples, judged), predictor.spec.labels, config)
        operating["chosen"]["reach"] = reach
        believed = _believe(run, samples, judged)
        if "factor" in believed:
            operating["chosen"]["probability"] = {name: believed[name] for name in ("factor", "offset")}
        write_json(folder / OPERATING_FILE, operating["chosen"])
    update_run(paths, scores=scores, search=found, operating={**operating, "probability": believed}, search_settings={
        "workers": config.workers, "miss_cost": config.miss_cost, "max_false_alarm": config.max_false_alarm})
    print("\n" + score_table(found, scores) + f"\nmarks reach {reach:g} log-odds below their threshold\n"
          + _verdict_line(operating["chosen"])
          + f"\n{_probability_line(believed)}\n\nrules and pictures → {paths.valid}", flush=True)
    return rules


def _grids(samples: Sequence[Sample], classes: int, predictor: Predictor) -> list[Grid]:
    """The grid of each class, from the areas of its labelled components."""
    areas: list[list[float]] = [[] for _ in range(classes)]
    for sample in samples:
        if not sample.regions:
            continue
        mask = sample.mask(classes)
        map_hw = predictor.map_size(sample.size_hw)
        scale = map_hw[0] * map_hw[1] / (sample.size_hw[0] * sample.size_hw[1])
        for channel in sample.classes:
            stats = cv2.connectedComponentsWithStats(mask[..., channel].astype(np.uint8), connectivity=8)[2]
            areas[channel] += [area * scale for area in stats[1:, cv2.CC_STAT_AREA]]
    return [grid_of(found) for found in areas]


def looks_at(pixels: int, mirrored: bool) -> list[tuple[bool, float]]:
    """How to look at validation images whose windows have so many pixels: (mirrored, brightness times), first as it is.

    Few images are looked at several times: rules that hold in other light, and mirrored where that may be, hold on
    other photographs too (docs/optimising.md).
    """
    ways = [AS_IT_IS, (True, 1.0), (False, LIGHTER), (True, 1 / LIGHTER)] if mirrored else \
        [AS_IT_IS, (False, LIGHTER), (False, 1 / LIGHTER)]
    return ways[:max(1, ENOUGH_PIXELS // pixels)]


def _search(samples: Sequence[Sample], predictor: Predictor, maps: KeptMaps, grids: Sequence[Grid],
            looks: Sequence[tuple[bool, float]], workers: int) -> list[Tally]:
    """Count what every rule of each class does on the images."""
    tallies = [Tally(grid, len(looks)) for grid in grids]

    def look(index: int) -> tuple[list[list[np.ndarray]], np.ndarray]:
        sample, truth = samples[index], samples[index].mask(len(grids))
        counts = []
        for mirrored, light in looks:
            true = np.ascontiguousarray(truth[:, ::-1]) if mirrored else truth
            if (mirrored, light) == AS_IT_IS:
                probability = maps.probability(predictor, sample.name, sample.image)
            else:
                probability = predictor.probability(_seen(sample.image(), mirrored, light))
            counts.append([count_grid(probability[..., channel], true[..., channel], grid)
                           for channel, grid in enumerate(grids)])
        return counts, np.count_nonzero(truth, axis=(0, 1))

    found = ahead(look, len(samples), workers)
    for looked, true in tqdm(found, total=len(samples), desc="search", unit="image", disable=None):
        for counts in looked:
            for tally, count, pixels in zip(tallies, counts, true, strict=True):
                tally.add(count, int(pixels), not true.any())
    return tallies


def _seen(image_rgb: np.ndarray, mirrored: bool, light: float) -> np.ndarray:
    """An image mirrored, and that many times as bright."""
    image_rgb = np.ascontiguousarray(image_rgb[:, ::-1]) if mirrored else image_rgb
    return image_rgb if light == 1 else cv2.convertScaleAbs(image_rgb, alpha=light)


@dataclass(frozen=True)
class _Judged:
    """One validation image: rows of RLE, Dice with and without the rules, pixels in both and in either and the score
    for the verdict of each class, (C,) each, its highest probability, and whether it has any label."""

    rows: dict[str, list[tuple[Any, ...]]]
    dices: dict[bool, np.ndarray]
    both: np.ndarray
    either: np.ndarray
    scores: tuple[float, ...]
    highest: float
    defective: bool


def _judge_all(folder: Path, samples: Sequence[Sample], predictor: Predictor, maps: KeptMaps, rules: Sequence[Rule],
               workers: int) -> list[_Judged]:
    stems = flat_names(sample.name for sample in samples)
    found = ahead(lambda index: _judge(folder / f"{stems[samples[index].name]}_segment.jpg", samples[index], predictor,
                                       maps, rules), len(samples), workers)
    return list(tqdm(found, total=len(samples), desc="validate", unit="image", disable=None))


def _judge(picture: Path, sample: Sample, predictor: Predictor, maps: KeptMaps, rules: Sequence[Rule]) -> _Judged:
    """Judge an image and draw its picture."""
    spec, image, truth = predictor.spec, sample.image(), sample.mask(len(rules))
    probability = maps.probability(predictor, sample.name, lambda: image)
    plain, mask = (refine(probability, used, truth.shape[:2]) for used in (predictor.rules, rules))
    rows = {kind: [(sample.name, label, *found.shape[:2], encode_rle(found[..., channel])["counts"])
                   for channel, label in enumerate(spec.labels)] for kind, found in (("true", truth), ("pred", mask))}
    save_image(picture, draw_overlay(image, spec.colors, outlined=mask, filled=truth))
    scores = Prediction(mask, probability, spec.labels, spec.colors, predictor.floors).scores
    return _Judged(rows, {False: dice(truth, plain), True: dice(truth, mask)}, *intersection_union(truth, mask), scores,
                   float(probability.max()), bool(truth.any()))


def _that_tell(samples: Sequence[Sample], judged: list[_Judged]) -> list[_Judged]:
    """Those that say how many defects are missed: where real defects are labelled, drawn ones do not count."""
    if not any(is_labelled(sample.name) for sample in samples):
        return judged
    return [item for sample, item in zip(samples, judged, strict=True) if not is_drawn(sample.name)]


def _operate(judged: Sequence[_Judged], labels: Sequence[str], config: SearchConfig) -> dict[str, Any]:
    """The curve of missed defects against false alarms, and where on it the verdict on an image is given."""
    scores, defective = np.array([item.scores for item in judged]), np.array([item.defective for item in judged])
    clean = int((~defective).sum())
    points = curve(scores, defective)
    if config.miss_cost or config.max_false_alarm:
        limit = parse_fraction(config.max_false_alarm) if config.max_false_alarm else 1.0
        point = choose(points, clean, config.miss_cost or 0.0, limit)
    else:
        flagged = (scores > 0).any(axis=1)
        point = Point((0.0,) * len(labels), int((defective & ~flagged).sum()), int((flagged & ~defective).sum()))
    chosen = {"thresholds": dict(zip(labels, point.thresholds, strict=True)), "missed": point.missed,
              "false_alarms": point.false_alarms, "defective": int(defective.sum()), "clean": clean,
              "miss_cost": config.miss_cost, "max_false_alarm": config.max_false_alarm}
    return {"chosen": chosen, "curve": sorted({(item.false_alarms, item.missed) for item in points})}


def _believe(run: Run, samples: Sequence[Sample], judged: Sequence[_Judged]) -> dict[str, Any]:
    """The probability of a defect on an image, and how far it may be believed; see `defect_probability.believe`."""
    if run.config.good_only:
        return {"why": "how often what is strange is a defect, photographs of good workpieces alone do not tell"}
    return believe(np.array([item.highest for item in judged]), np.array([item.defective for item in judged]),
                   workpieces([sample.name for sample in samples], run.config.group))


def _probability_line(believed: dict[str, Any]) -> str:
    if "why" in believed:
        return f"no probability of a defect beside the verdict: {believed['why']}"
    return (f"probability of a defect beside the verdict: off by {believed['after']:.3f} in the mean, on images that "
            f"it was not fitted to; exactly right ones would seem off by {believed['chance']:.3f} on so few")


def _verdict_line(chosen: dict[str, Any]) -> str:
    line = (f"verdict on an image: defective ones missed: {chosen['missed']} of {chosen['defective']}, "
            f"clean ones called defective: {chosen['false_alarms']} of {chosen['clean']}")
    if chosen["miss_cost"] or chosen["max_false_alarm"]:
        thresholds = ", ".join(f"{label} {'never' if value >= NEVER else format(value, '.2f')}"
                               for label, value in chosen["thresholds"].items())
        return f"{line}, by a highest probability of at least: {thresholds}"
    return f"{line}; --miss_cost or --max_false_alarm weigh one against the other"


def _write_valid(folder: Path, judged: Sequence[_Judged], labels: Sequence[str]) -> dict[str, Any]:
    """Write masks and scores; return the scores."""
    means = {done: np.mean([item.dices[done] for item in judged], axis=0) for done in (False, True)}
    both, either = (np.sum([getattr(item, name) for item in judged], axis=0) for name in ("both", "either"))
    for kind in ("true", "pred"):
        write_csv(folder / f"valid_batch_{kind}.csv", RLE_COLUMNS, (row for item in judged for row in item.rows[kind]))
    write_csv(folder / "valid_score.csv", ("post_processed", "total_score", *labels),
              [(int(done), float(means[done].mean()), *map(float, means[done])) for done in (False, True)])
    iou = iou_of_counts(both, either)
    return {"images": len(judged), "dice": dict(zip(labels, map(float, means[True]), strict=True)),
            "dice_plain": dict(zip(labels, map(float, means[False]), strict=True)),
            "iou": dict(zip(labels, map(float, iou), strict=True))}


def _count_reaches(samples: Sequence[Sample], predictor: Predictor, maps: KeptMaps, rules: Sequence[Rule],
                   workers: int) -> list[np.ndarray]:
    """Of each image what `count_reaches` gives."""
    def look(index: int) -> np.ndarray:
        sample = samples[index]
        return count_reaches(maps.probability(predictor, sample.name, sample.image), sample.mask(len(rules)), rules)

    return list(tqdm(ahead(look, len(samples), workers), total=len(samples), desc="reach", unit="image", disable=None))


def _write_held_out(folder: Path, run: Run, samples: Sequence[Sample], predictor: Predictor, maps: KeptMaps,
                    plain: Sequence[Rule], tallies: Sequence[Tally], reached: Sequence[np.ndarray]) -> None:
    """Write pixels of each image under rules that were found on other workpieces: what to expect of the next one."""
    folds = folds_of(workpieces([sample.name for sample in samples], run.config.group))
    by_class = [held_out(rule, tally, folds) for rule, tally in zip(plain, tallies, strict=True)]
    several = len(set(folds)) > 1
    reaches = {fold: find_reach([counts for counts, other in zip(reached, folds, strict=True)
                                 if not several or other != fold]) if reached else 0.0 for fold in set(folds)}
    rows = []
    for sample, fold in zip(samples, folds, strict=True):
        truth = sample.mask(len(plain))
        rules = [dataclasses.replace(found[fold], reach=reaches[fold]) for found in by_class]
        mask = refine(maps.probability(predictor, sample.name, sample.image), rules, truth.shape[:2])
        rows += [(sample.name, rule.label, *(int(np.count_nonzero(pixels[..., channel]))
                                             for pixels in (truth, mask, truth & mask)))
                 for channel, rule in enumerate(rules)]
    write_csv(folder / HELD_OUT_CSV, HELD_OUT_COLUMNS, rows)


def score_table(found: Sequence[Found], scores: dict[str, Any]) -> str:
    """Set the scores into a table for people, with a line for each thing to know about them."""
    rules, dices, plain = [item.rule for item in found], scores["dice"], scores["dice_plain"]
    ious = {label: iou for label, iou in scores["iou"].items() if not np.isnan(iou)}
    cells = [["class", "Dice at 0.5", "Dice", "IoU", "threshold", "pad", "area", "hull"]]
    cells += [[rule.label, f"{plain[rule.label]:.3f}", f"{dices[rule.label]:.3f}", figure(ious.get(rule.label), ".3f"),
               f"{rule.proba:.2f}", str(rule.pad), str(rule.reduce_size), "yes" if rule.convex else "no"]
              for rule in rules]
    means = [float(np.mean([*values.values()])) if values else None for values in (plain, dices, ious)]
    cells.append(["mean", *(figure(mean, ".3f") for mean in means), "", "", "", ""])
    lines = text_table(cells, left=(0, 7)).splitlines()
    lines.append(f"Dice: mean over the {counted(scores['images'], 'validation image')}, 1 where label and prediction "
                 "are both empty; IoU: over all their pixels together")
    unsure = [item for item in found if item.rule != item.best]
    lines += [f"{item.rule.label}: a simpler rule is kept. The search's score of threshold {item.best.proba:.2f}, pad "
              f"{item.best.pad}, area {item.best.reduce_size}, hull {'yes' if item.best.convex else 'no'} is "
              f"{item.gain:.3f} higher than that of threshold 0.5 alone (95 % interval {item.low:.3f} to "
              f"{item.high:.3f}), but not surely higher than that of the simpler rule" for item in unsure]
    if unsure:
        lines.append("The search's score is mean Dice of an image + Dice of all pixels - what false alarms cost")
    unseen = [rule.label for rule in rules if rule.label not in ious]
    if unseen:
        lines.append(f"on no validation image: {', '.join(unseen)}. How well they are found is not known; label "
                     "more of them")
    missed = [label for label, iou in ious.items() if iou == 0]
    if missed:
        lines.append(f"not found on any image yet: {', '.join(missed)}. Their Dice is that of the images without them; "
                     "train for more epochs, or label more of them")
    return "\n".join(lines)
