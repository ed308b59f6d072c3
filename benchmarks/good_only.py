"""What a model that saw good photographs alone makes of defects, where a data set shows each workpiece several times.

    python benchmarks/good_only.py --img_path ../shared/data/magnetic_tile --number 'num_([0-9]+)' --near 200 --seeds 3

Workpieces are dealt into hands as in unseen.py. For each hand of `--away`, clean photographs of the other hands train,
and all of this hand judge. Rows: `line`, what `train --good_only` makes in `--budget`; `memory`, its memory of good
photographs alone; `grey`, the distance to the mean grey photograph. Prints AUROC of images and pixels, the per-region
overlap (PRO) up to 30 % false positives, the defective images missed where 1 % and 5 % of the clean ones are flagged,
and times.
"""

from __future__ import annotations

import argparse
import itertools
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from commands import measured
from sklearn.metrics import roc_auc_score
from unseen import hands

from ss_poc.anomaly.good import fit_good, runner
from ss_poc.core.images import save_image
from ss_poc.core.refine import resize_probability
from ss_poc.core.run import RunPaths, find_json
from ss_poc.data.dataset import load_coco
from ss_poc.inference.predictor import Predictor
from ss_poc.networks.memory import lite0_taps

import keras  # noqa: E402  isort: skip  (after networks, which quietens TensorFlow)

MOST_FALSE, STEPS = 0.3, 100
Judge = Callable[[np.ndarray], tuple[np.ndarray, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img_path", type=Path, required=True)
    parser.add_argument("--number", default="([0-9]+)", help="regular expression with one group, a number")
    parser.add_argument("--near", type=int, default=0)
    parser.add_argument("--away", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--budget", default="12m")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    options = parser.parse_args()
    data = load_coco(find_json(options.img_path), options.img_path)
    dealt = hands({sample.name: int(re.search(options.number, sample.name)[1]) for sample in data.samples},
                  options.near)
    columns = ("model", "away", "seed", "image AUROC", "pixel AUROC", "PRO", "missed at 1 %", "missed at 5 %",
               "training, s", "ms")
    print(f"| {' | '.join(columns)} |\n" + "| --- " * len(columns) + "|")
    for name, hand, seed in itertools.product(options.rows, options.away, range(options.seeds)):
        if name == "line" or not seed:  # the others follow from nothing but the photographs
            truths = {sample.name: sample.mask(len(data.labels)).any(axis=-1) for sample in data.samples}
            good = [sample.image() for sample in data.samples
                    if sample.name not in dealt[hand] and not truths[sample.name].any()]
            began = time.perf_counter()
            judge = ROWS[name](good, options.budget, seed)
            training = time.perf_counter() - began
            away = [sample for sample in data.samples if sample.name in dealt[hand]]
            cells = judged(judge, [(sample.image(), truths[sample.name]) for sample in away])
            print(f"| {name} | {hand} | {seed} | {cells[0]} | {training:.0f} | {cells[1]:.0f} |", flush=True)


def judged(judge: Judge, pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[str, float]:
    """Cells of the figures, and milliseconds an image."""
    began = time.perf_counter()
    found = [judge(image) for image, _ in pairs]
    milliseconds = 1000 * (time.perf_counter() - began) / len(pairs)
    maps, truths = [each for each, _ in found], [truth for _, truth in pairs]
    scores, defective = np.array([score for _, score in found]), np.array([truth.any() for truth in truths])
    missed = [(scores[defective] <= np.quantile(scores[~defective], 1 - rate)).mean() for rate in (0.01, 0.05)]
    pixels = np.concatenate([each[::2, ::2].ravel() for each in maps])
    labels = np.concatenate([truth[::2, ::2].ravel() for truth in truths])
    figures = (roc_auc_score(defective, scores), roc_auc_score(labels, pixels), region_overlap(maps, truths), *missed)
    return " | ".join(f"{figure:.3f}" for figure in figures), milliseconds


def region_overlap(maps: list[np.ndarray], truths: list[np.ndarray]) -> float:
    """Mean over false-positive rates up to MOST_FALSE of the mean fraction of each region that is found."""
    clean = np.concatenate([each[~truth] for each, truth in zip(maps, truths, strict=True)])
    thresholds = np.quantile(clean, 1 - np.linspace(0, MOST_FALSE, STEPS))
    overlaps = []
    for each, truth in zip(maps, truths, strict=True):
        count, regions = cv2.connectedComponents(truth.astype(np.uint8))
        overlaps += [[(each[regions == number] > threshold).mean() for threshold in thresholds]
                     for number in range(1, count)]
    return float(np.trapezoid(np.mean(overlaps, axis=0), dx=1 / (STEPS - 1)))


def line(good: list[np.ndarray], budget: str, seed: int) -> Judge:
    """What `train --good_only` makes; the score of an image is its highest probability, as that of the verdict."""
    with tempfile.TemporaryDirectory() as scratch:
        for number, image in enumerate(good):
            save_image(Path(scratch) / "good" / f"{number:04}.png", image)
        shared = ("--result", f"{scratch}/result", "--img_dir_name", "good")
        measured("train", *shared, "--img_path", f"{scratch}/good", "--good_only", "--budget", budget,
                 "--seed", str(seed))
        measured("export", *shared)
        predictor = Predictor.load(RunPaths(Path(scratch) / "result", "good", "v_1").export)

    def judge(image: np.ndarray) -> tuple[np.ndarray, float]:
        probability = predictor.probability(image)[..., 0]
        return resize_probability(probability, image.shape[:2]), float(probability.max())
    return judge


def memory_of_good(good: list[np.ndarray], _budget: str, _seed: int) -> Judge:
    """The score is the sum of both scales, in deviations of the good photographs; the map is the coarse one."""
    memory = fit_good(lite0_taps(), good)
    look = runner(keras.Model(memory.input, [memory.output, memory.get_layer("distance_coarse").output]))
    known = np.array([look(image)[0].ravel() for image in good])

    def judge(image: np.ndarray) -> tuple[np.ndarray, float]:
        scores, distance = look(image)
        z_scores = (scores.ravel() - known.mean(axis=0)) / known.std(axis=0)
        return cv2.resize(distance[..., 0], image.shape[1::-1]), float(z_scores.sum())
    return judge


def grey_difference(good: list[np.ndarray], _budget: str, _seed: int) -> Judge:
    """Distance to the mean grey photograph, in a common size."""
    size = tuple(int(np.median([image.shape[axis] for image in good])) for axis in (1, 0))
    mean = np.mean([cv2.resize(image[..., 0], size) for image in good], axis=0, dtype=np.float32)

    def judge(image: np.ndarray) -> tuple[np.ndarray, float]:
        off = cv2.GaussianBlur(np.abs(cv2.resize(image[..., 0], size) - mean), (0, 0), 2)
        return cv2.resize(off, image.shape[1::-1]), float(np.quantile(off, 0.99))
    return judge


ROWS: dict[str, Callable[[list[np.ndarray], str, int], Judge]] = {
    "line": line, "memory": memory_of_good, "grey": grey_difference}


if __name__ == "__main__":
    main()
