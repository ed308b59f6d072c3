"""What a model that saw good photographs alone makes of defects, where a data set shows each workpiece several times.

    python benchmarks/good_only.py --img_path ../shared/data/magnetic_tile --number 'num_([0-9]+)' --near 200 --seeds 3

Workpieces are dealt into hands as in unseen.py. For each hand of `--away`, clean photographs of the other hands train,
and all of this hand judge. Rows: `line`, what `train --good_only` makes in `--budget`, and with it `drawn`, the same
without its memory of good; `channel`, drawn defects with the memory's map in place of the blue channel, for grey
photographs; `memory`, features of EfficientNet-Lite0, and `synthetic`, those of drawn surfaces; `grey`, the distance
to the mean grey photograph. Prints AUROC of images and pixels, the per-region overlap (PRO) up to 30 % false positives,
the defective images missed where 1 % and 5 % of the clean ones are flagged, times, and the training's peak memory.
"""

from __future__ import annotations

import argparse
import itertools
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
from ss_poc.anomaly.good_set import GROUP, good_set
from ss_poc.core.config import TrainConfig
from ss_poc.core.images import open_image, save_image
from ss_poc.core.refine import resize_probability
from ss_poc.core.run import Run, RunPaths, find_json
from ss_poc.data.dataset import load_coco
from ss_poc.inference.predictor import Predictor
from ss_poc.networks.build import build_model
from ss_poc.networks.compact import COMPACT_ENCODERS, compact
from ss_poc.networks.memory import WEIGHT, lite0_taps
from ss_poc.networks.pretrained import read_pretrained
from ss_poc.networks.weights import load_weights, set_body

import keras  # noqa: E402  isort: skip  (after networks, which quietens TensorFlow)

MOST_FALSE, STEPS = 0.3, 100
Judge = Callable[[np.ndarray], tuple[np.ndarray, float]]
Trained = tuple[dict[str, Judge], str]  # judges by the names of their rows, and the peak memory of the training in GiB


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
    dealt = hands([sample.name for sample in data.samples], options.number, options.near)
    columns = ("model", "away", "seed", "image AUROC", "pixel AUROC", "PRO", "missed at 1 %", "missed at 5 %",
               "training, s", "training, GiB", "ms")
    print(f"| {' | '.join(columns)} |\n" + "| --- " * len(columns) + "|")
    for name, hand, seed in itertools.product(options.rows, options.away, range(options.seeds)):
        if name in WITH_SEED or not seed:
            truths = {sample.name: sample.mask(len(data.labels)).any(axis=-1) for sample in data.samples}
            good = [sample.image() for sample in data.samples
                    if sample.name not in dealt[hand] and not truths[sample.name].any()]
            began = time.perf_counter()
            judges, memory = ROWS[name](good, options.budget, seed)
            training = time.perf_counter() - began
            away = [sample for sample in data.samples if sample.name in dealt[hand]]
            pairs = [(sample.image(), truths[sample.name]) for sample in away]
            for row, judge in judges.items():
                figures, milliseconds = judged(judge, pairs)
                print(f"| {row} | {hand} | {seed} | {figures} | {training:.0f} | {memory} | {milliseconds:.0f} |",
                      flush=True)


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


def line(good: list[np.ndarray], budget: str, seed: int) -> Trained:
    """What `train --good_only` makes; the score of an image is its highest probability, as that of the verdict."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = _written(good, Path(scratch) / "good")
        paths = RunPaths(Path(scratch) / "result", "good", "v_1")
        _, peak = measured("train", *_shared(paths), "--img_path", str(folder), "--good_only", "--budget", budget,
                           "--seed", str(seed))
        judges = {"line": _judge_of(paths)}
        _forget(paths)
        return {**judges, "drawn": _judge_of(paths)}, f"{peak:.1f}"


def _forget(paths: RunPaths) -> None:
    """Take the weight of its memory from the network that a run made."""
    run, best = Run.read(paths), paths.best_model()
    model = build_model(run.config.architecture, str(run.encoder), 1, run.size_hw)
    load_weights(model, best)
    model.get_layer(WEIGHT).set_weights([np.zeros((1, 1, 1, 1), np.float32)])
    model.save(best)


def channel(good: list[np.ndarray], budget: str, seed: int) -> Trained:
    """Drawn defects, found with the map of the memory of good in place of the blue channel."""
    memory = fit_good(lite0_taps(), good)
    look = runner(keras.Model(memory.input, memory.get_layer("distance_coarse").output))

    def with_map(image: np.ndarray) -> np.ndarray:
        distance = cv2.resize(look(image)[0][..., 0], image.shape[1::-1])
        return np.dstack([image[..., :2], np.clip(64 * distance, 0, 255).astype(np.uint8)])

    with tempfile.TemporaryDirectory() as scratch:
        paths = RunPaths(Path(scratch) / "result", "channel", "v_1")
        config = good_set(TrainConfig(result=str(paths.result), img_dir_name="channel", good_only=True, seed=seed,
                                      img_path=str(_written(good, Path(scratch) / "good"))))
        for path in Path(config.img_path).rglob("*.png"):
            image = with_map(open_image(path).decode())
            path.unlink()  # it may be another name of the photograph
            save_image(path, image)
        _, peak = measured("train", *_shared(paths), "--img_path", config.img_path, "--json_path", config.json_path,
                           "--group", GROUP, "--scale", str(config.scale), "--budget", budget, "--seed", str(seed))
        judge = _judge_of(paths)
        return {"channel": lambda image: judge(with_map(image))}, f"{peak:.1f}"


def _written(images: list[np.ndarray], folder: Path) -> Path:
    for number, image in enumerate(images):
        save_image(folder / f"{number:04}.png", image)
    return folder


def _shared(paths: RunPaths) -> tuple[str, ...]:
    return "--result", str(paths.result), "--img_dir_name", paths.img_dir_name, "--model_name", paths.model_name


def _judge_of(paths: RunPaths) -> Judge:
    """Export the best model of a run, and ask it."""
    measured("export", *_shared(paths))
    predictor = Predictor.load(paths.export)

    def judge(image: np.ndarray) -> tuple[np.ndarray, float]:
        probability = predictor.probability(image)[..., 0]
        return resize_probability(probability, image.shape[:2]), float(probability.max())
    return judge


def memory_of_good(good: list[np.ndarray], _budget: str, _seed: int) -> Trained:
    """The memory of the line, alone."""
    return {"memory": _memory(lite0_taps(), good)}, "–"


def synthetic_memory(good: list[np.ndarray], _budget: str, _seed: int) -> Trained:
    """The same with features of the network that learned on drawn surfaces."""
    plan = COMPACT_ENCODERS["compact16"]
    model = compact(plan, 1, (None, None), full=True)
    set_body(model, read_pretrained("compact16"))
    activations = [layer.output for layer in model.layers if isinstance(layer, keras.layers.Activation)]
    coarse = [output for output in activations if output.shape[-1] == plan.stages[2]][-1]
    return {"synthetic": _memory(keras.Model(model.input, [activations[0], coarse]), good)}, "–"


def _memory(taps: keras.Model, good: list[np.ndarray]) -> Judge:
    """The score is the sum of both scales, in deviations of the good photographs; the map is the coarse one."""
    memory = fit_good(taps, good)
    look = runner(keras.Model(memory.input, [memory.output, memory.get_layer("distance_coarse").output]))
    known = np.array([look(image)[0].ravel() for image in good])

    def judge(image: np.ndarray) -> tuple[np.ndarray, float]:
        scores, distance = look(image)
        z_scores = (scores.ravel() - known.mean(axis=0)) / known.std(axis=0)
        return cv2.resize(distance[..., 0], image.shape[1::-1]), float(z_scores.sum())
    return judge


def grey_difference(good: list[np.ndarray], _budget: str, _seed: int) -> Trained:
    """Distance to the mean grey photograph, in a common size."""
    size = tuple(int(np.median([image.shape[axis] for image in good])) for axis in (1, 0))
    mean = np.mean([cv2.resize(image[..., 0], size) for image in good], axis=0, dtype=np.float32)

    def judge(image: np.ndarray) -> tuple[np.ndarray, float]:
        off = cv2.GaussianBlur(np.abs(cv2.resize(image[..., 0], size) - mean), (0, 0), 2)
        return cv2.resize(off, image.shape[1::-1]), float(np.quantile(off, 0.99))
    return {"grey": judge}, "–"


ROWS: dict[str, Callable[[list[np.ndarray], str, int], Trained]] = {
    "line": line, "channel": channel, "memory": memory_of_good, "synthetic": synthetic_memory, "grey": grey_difference}
WITH_SEED = ("line", "channel")  # the others follow from nothing but the photographs


if __name__ == "__main__":
    main()
