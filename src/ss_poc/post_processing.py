"""Find each class' threshold, dilation, minimum area and convex hull on the validation part.

    python -m ss_poc.post_processing --img_dir_name demo --model_name v_1
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from .artifacts import RLE_COLUMNS, RunPaths, atomic_path, read_run, update_run, write_csv, write_rules
from .config import Rule, SearchConfig, from_flags
from .data import Sample, load_coco
from .errors import run_command
from .images import save_image
from .inference import Predictor
from .masks import (
    dice,
    draw_overlay,
    encode_rle,
    intersection_union,
    refine,
    resize_probability,
    scaled_rule,
    threshold_and_pad,
)

__all__ = ["Grid", "Tally", "count_grid", "main", "optimise"]

THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
PADS = (0, 1, 2)
AREA_PARTS = (0.125, 0.25, 0.5, 1.0)


@dataclass(frozen=True)
class Grid:
    """Values to try for one class; lengths and areas are pixels of the probability map."""

    thresholds: tuple[float, ...]
    pads: tuple[int, ...]
    areas: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(thresholds, pads, areas, hull or not)."""
        return len(self.thresholds), len(self.pads), len(self.areas), 2


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = from_flags(SearchConfig, argv, "Find each class' post-processing on the validation part.")
    optimise(RunPaths(Path(config.result), config.img_dir_name, config.model_name).require(), config.workers)


def optimise(paths: RunPaths, workers: int = 0) -> list[Rule]:
    """Search the rules of a run and write its `valid/` folder."""
    run = read_run(paths)
    dataset = load_coco(Path(run["data"]["json_path"]), Path(run["data"]["img_path"]))
    by_name = {sample.name: sample for sample in dataset.samples}
    samples = [by_name[name] for name in run["split"]["valid"]]
    predictor = Predictor.load(paths.export)
    grids = _grids(samples, len(dataset.labels), predictor)
    rules = _search(samples, predictor, grids, workers)
    with atomic_path(paths.valid) as folder:
        folder.mkdir()
        scores = _write_valid(folder, samples, predictor, rules)
    update_run(paths, scores=scores)
    print("\n" + score_table(rules, scores) + f"\n\nrules and pictures → {paths.valid}", flush=True)
    return rules


def _grids(samples: Sequence[Sample], classes: int, predictor: Predictor) -> list[Grid]:
    """Minimum areas from a class' own: parts of the area that 95 % of its labelled components exceed."""
    areas: list[list[float]] = [[] for _ in range(classes)]
    for sample in samples:
        if not sample.regions:
            continue
        mask = sample.mask(classes)
        for channel in sample.classes:
            stats = cv2.connectedComponentsWithStats(mask[..., channel].astype(np.uint8), connectivity=8)[2]
            map_hw = predictor.map_size(sample.size_hw)
            scale = map_hw[0] * map_hw[1] / (sample.size_hw[0] * sample.size_hw[1])
            areas[channel] += [area * scale for area in stats[1:, cv2.CC_STAT_AREA]]
    small = [float(np.quantile(found, 0.05)) if found else 0.0 for found in areas]
    return [Grid(THRESHOLDS, PADS, tuple(sorted({0, *(int(area * part) for part in AREA_PARTS)} - {1})))
            for area in small]


class Tally:
    """What the rules of a grid did to one class on the images seen so far.

    Attributes:
        dices: `grid.shape`, sum of each image's Dice, 1 where truth and mask are both empty.
        predicted, hit: `grid.shape`, pixels in the masks, and those of them in the truth, of all images together.
        true: pixels in the truth of all images together.
        alarms: `grid.shape`, images without any label on which the mask is not empty.
        images, clean: number of images, and of those without any label.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self.dices, self.predicted, self.hit, self.alarms = (np.zeros(grid.shape) for _ in range(4))
        self.true = self.images = self.clean = 0

    def add(self, counts: np.ndarray, true: int, clean: bool) -> None:
        """Count an image in: what `count_grid` found, the class' pixels in its truth, whether it has no label at all.
        """
        predicted, hit = counts[..., 0], counts[..., 1]
        self.dices += _dice(predicted, hit, true)
        self.predicted += predicted
        self.hit += hit
        self.true += true
        self.alarms += clean * (predicted > 0)
        self.images += 1
        self.clean += clean

    @property
    def mean_dice(self) -> np.ndarray:
        """`grid.shape`, mean Dice of an image."""
        return self.dices / max(1, self.images)

    @property
    def score(self) -> np.ndarray:
        """`grid.shape`, what is maximised: mean Dice of an image + Dice of all pixels together - part of the clean
        images with a false alarm; nothing where the mean Dice is below that of the plain 0.5 threshold.

        The first alone gives up rare classes: finding nothing scores 1 on every image without them. The second alone
        does not mind that clean images are flagged.
        """
        value = self.mean_dice + _dice(self.predicted, self.hit, self.true) - self.alarms / max(1, self.clean)
        plain = self.mean_dice[self.grid.thresholds.index(0.5), self.grid.pads.index(0), self.grid.areas.index(0), 0]
        return np.where(self.mean_dice >= plain - 1e-9, value, -np.inf)


def _dice(predicted: np.ndarray, hit: np.ndarray, true: int) -> np.ndarray:
    total = predicted + true
    return np.where(total > 0, 2 * hit / np.maximum(total, 1), 1.0)


def _search(samples: Sequence[Sample], predictor: Predictor, grids: Sequence[Grid], workers: int) -> list[Rule]:
    spec = predictor.spec
    tallies = [Tally(grid) for grid in grids]
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        for sample in tqdm(samples, desc="search", unit="image", disable=None):
            truth, probability = sample.mask(len(grids)), predictor.probability(sample.image())
            found = pool.map(count_grid, np.moveaxis(probability, -1, 0), np.moveaxis(truth, -1, 0), grids)
            for channel, (tally, counts) in enumerate(zip(tallies, found, strict=True)):
                tally.add(counts, int(np.count_nonzero(truth[..., channel])), not truth.any())
    plain = [Rule(label, color, spec.size_hw) for label, color in zip(spec.labels, spec.colors, strict=True)]
    return [_best(rule, tally) for rule, tally in zip(plain, tallies, strict=True)]


def _best(rule: Rule, tally: Tally) -> Rule:
    """The rule of the highest score; among equals the plainest: no hull, no area, no dilation, nearest 0.5."""
    grid, score = tally.grid, tally.score
    candidates = itertools.product(enumerate(grid.thresholds), enumerate(grid.pads), enumerate(grid.areas), (0, 1))

    def rank(candidate: Any) -> tuple[float, ...]:
        (t, proba), (p, pad), (a, area), convex = candidate
        return (-round(float(score[t, p, a, convex]), 9), convex, area, pad, abs(proba - 0.5))

    (t, proba), (p, pad), (a, area), convex = min(candidates, key=rank)
    return dataclasses.replace(rule, proba=proba, pad=pad, reduce_size=area, convex=bool(convex),
                               dice=float(tally.mean_dice[t, p, a, convex]))


def count_grid(probability_hw: np.ndarray, truth_hw: np.ndarray, grid: Grid) -> np.ndarray:
    """Pixels that every rule of a grid marks in one class of one image, exactly as `masks.refine` would.

    Components are found once for each threshold and dilation, and taken largest first: the mask of each minimum area
    is then one already seen plus some components, so its counts are running sums.

    Args:
        probability_hw: (h, w) float32, the probability map.
        truth_hw: (H, W) bool, at image size.
        grid: values to try, in pixels of the map.

    Returns:
        (*grid.shape, 2) int64: pixels of the mask, and those of them in the truth.
    """
    large = resize_probability(probability_hw, truth_hw.shape)
    counts = np.zeros((*grid.shape, 2), np.int64)
    for (t, proba), (p, pad) in itertools.product(enumerate(grid.thresholds), enumerate(grid.pads)):
        mask = threshold_and_pad(large, proba, scaled_rule(pad, 0, probability_hw.shape, truth_hw.shape)[0])
        if mask.any():
            least = [scaled_rule(0, area, probability_hw.shape, truth_hw.shape)[1] for area in grid.areas]
            counts[t, p] = _count_areas(mask, truth_hw, least)
    return counts


def _count_areas(mask: np.ndarray, truth: np.ndarray, least_areas: Sequence[float]) -> np.ndarray:
    """Mask and hit pixels for each minimum area, (areas, hull or not, 2) int64."""
    count, labelled, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    hits = np.bincount(labelled[truth], minlength=count)[1:]
    order = np.argsort(-areas, kind="stable")
    sums = np.concatenate([[[0, 0]], np.cumsum(np.stack([areas[order], hits[order]], axis=1), axis=0)])
    kept = [int(np.count_nonzero(areas >= least)) if least > 1 else len(areas) for least in least_areas]
    hulls = dict(_hull_counts(mask, labelled, order, truth, set(kept)))
    return np.array([[sums[number], hulls[number]] for number in kept], np.int64)


def _hull_counts(mask: np.ndarray, labelled: np.ndarray, order: np.ndarray, truth: np.ndarray,
                 wanted: set[int]) -> Iterator[tuple[int, tuple[int, int]]]:
    """For each wanted number of largest components: area of the union of their hulls, and its part in the truth."""
    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    outlines = {int(labelled[contour[0, 0, 1], contour[0, 0, 0]]): contour
                for contour, links in zip(contours, hierarchy[0], strict=True) if links[3] < 0}
    canvas = np.zeros_like(mask)
    for number in range(len(order) + 1):
        if number:
            cv2.fillConvexPoly(canvas, cv2.convexHull(outlines[int(order[number - 1]) + 1]), 1)
        if number in wanted:
            yield number, (int(np.count_nonzero(canvas)), int(np.count_nonzero(canvas[truth])))


def _write_valid(folder: Path, samples: Sequence[Sample], predictor: Predictor,
                 rules: Sequence[Rule]) -> dict[str, Any]:
    """Write the rules, the masks, the scores and the pictures; return the scores."""
    labels, classes = predictor.spec.labels, len(rules)
    rows: dict[str, list[tuple[Any, ...]]] = {"true": [], "pred": []}
    dices: dict[bool, list[np.ndarray]] = {False: [], True: []}
    both, either = np.zeros(classes), np.zeros(classes)
    for sample in tqdm(samples, desc="validate", unit="image", disable=None):
        image, truth = sample.image(), sample.mask(classes)
        probability = predictor.probability(image)
        masks = {False: refine(probability, predictor.rules, truth.shape[:2]),
                 True: refine(probability, rules, truth.shape[:2])}
        for done, mask in masks.items():
            dices[done].append(dice(truth, mask))
        hit, union = intersection_union(truth, masks[True])
        both, either = both + hit, either + union
        for kind, mask in (("true", truth), ("pred", masks[True])):
            rows[kind] += [(sample.name, label, *mask.shape[:2], encode_rle(mask[..., channel])["counts"])
                           for channel, label in enumerate(labels)]
        save_image(folder / f"{picture_stem(sample.name)}_segment.jpg",
                   draw_overlay(image, predictor.spec.colors, outlined=masks[True], filled=truth))
    means = {done: np.mean(values, axis=0) for done, values in dices.items()}
    write_rules(folder / "valid_post_grid.csv", rules)
    write_csv(folder / "valid_batch_true.csv", RLE_COLUMNS, rows["true"])
    write_csv(folder / "valid_batch_pred.csv", RLE_COLUMNS, rows["pred"])
    write_csv(folder / "valid_score.csv", ("post_processed", "total_score", *labels),
              [(int(done), float(means[done].mean()), *map(float, means[done])) for done in (False, True)])
    iou = np.where(either > 0, both / np.maximum(either, 1), np.nan)
    return {"images": len(samples), "dice": dict(zip(labels, map(float, means[True]), strict=True)),
            "dice_plain": dict(zip(labels, map(float, means[False]), strict=True)),
            "iou": dict(zip(labels, map(float, iou), strict=True))}


def picture_stem(name: str) -> str:
    """`sub/photo.png` to `sub__photo.png`'s stem: pictures of all subfolders lie side by side."""
    return Path(name.replace("/", "__")).stem


def score_table(rules: Sequence[Rule], scores: dict[str, Any]) -> str:
    """The scores as a table for people."""
    width = max(len("mean"), *(len(rule.label) for rule in rules))
    lines = [f"{'class':<{width}}  Dice at 0.5  Dice  IoU    threshold  pad  area  hull"]
    for rule in rules:
        lines.append(f"{rule.label:<{width}}  {scores['dice_plain'][rule.label]:11.3f}  "
                     f"{scores['dice'][rule.label]:.3f} {scores['iou'][rule.label]:.3f}  {rule.proba:9.2f}  "
                     f"{rule.pad:3d}  {rule.reduce_size:4d}  {'yes' if rule.convex else 'no'}")
    means = [np.mean(list(scores[kind].values())) for kind in ("dice_plain", "dice")]
    lines.append(f"{'mean':<{width}}  {means[0]:11.3f}  {means[1]:.3f} {np.nanmean(list(scores['iou'].values())):.3f}")
    lines.append(f"Dice: mean over the {scores['images']} validation images, 1 where label and prediction are both "
                 "empty; IoU: over all their pixels together")
    missed = [label for label, iou in scores["iou"].items() if iou == 0]
    if missed:
        lines.append(f"not found on any image yet: {', '.join(missed)}. Their Dice is that of the images without them; "
                     "train for more epochs, or label more of them")
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main)
