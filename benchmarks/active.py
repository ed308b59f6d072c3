"""Does labelling what the model asks for take fewer labels than labelling at random?

    python benchmarks/active.py --img_path ../shared/data/magnetic_tile --budget 210s --output active.png

Labels are hidden, then revealed a step at a time: train on what is revealed, going on from the model before, rank the
rest, reveal the first; and the same at random. A fifth of the photographs is never trained on and judges every model:
mean IoU over the classes, all pixels together, with the rules that the model's own search chose. The line to reach is
95 % of what all labels give, trained once for as long as all rounds together.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ss_poc.core.config import parse_duration
from ss_poc.core.run import RunPaths, find_json
from ss_poc.core.scores import intersection_union, iou_of_counts
from ss_poc.data.dataset import Sample, load_coco
from ss_poc.data.split import split_samples
from ss_poc.inference.predictor import Predictor
from ss_poc.inference.ranking import choose, look


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img_path", type=Path, required=True)
    parser.add_argument("--budget", default="210s", help="of a round")
    parser.add_argument("--first", type=int, default=60, help="labels to begin with, at random")
    parser.add_argument("--step", type=int, default=60, help="labels revealed a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("active.png"))
    options = parser.parse_args()
    folder = options.img_path.resolve()
    dataset = load_coco(find_json(folder), folder)
    pool, judges = split_samples(dataset.samples, 0.2, options.seed)
    held = dataset.samples_of(judges)
    with tempfile.TemporaryDirectory() as scratch:
        trial = Trial(folder, Path(scratch), held, len(dataset.labels))
        whole = trial.run("all", pool, options.rounds * parse_duration(options.budget))[0]
        print(f"{len(pool)} labels: IoU {whole:.3f}; 95 % of it: {0.95 * whole:.3f}", flush=True)
        found = {how: loop(trial, pool, how, options) for how in ("ranked", "random")}
    print("\n| labels | ranked | random |\n| ---: | ---: | ---: |")
    for (count, ranked), (_, random) in zip(found["ranked"], found["random"], strict=True):
        print(f"| {count} | {ranked:.3f} | {random:.3f} |")
    for how, points in found.items():
        reached = next((count for count, iou in points if iou >= 0.95 * whole), None)
        print(f"{how}: {f'{reached} labels' if reached else 'never'} to 95 % of all {len(pool)} labels")
    draw(found, whole, len(pool), options.output)


def loop(trial: Trial, pool: Sequence[str], how: str, options: argparse.Namespace) -> list[tuple[int, float]]:
    """Labels and IoU of each round."""
    order = [str(name) for name in np.random.default_rng(options.seed).permutation(sorted(pool))]
    revealed, points, weights = order[:options.first], [], "none"
    for number in range(options.rounds):
        iou, predictor, weights = trial.run(f"{how}_{number}", revealed, parse_duration(options.budget), weights)
        points.append((len(revealed), iou))
        print(f"{how}: {len(revealed)} labels, IoU {iou:.3f}", flush=True)
        left = [name for name in order if name not in revealed]
        if how == "ranked":
            paths = [[trial.folder / name for name in names] for names in (left, revealed)]
            ranked = choose(look(paths[0], trial.folder, predictor, "rank")[0],
                            look(paths[1], trial.folder, None, "compare")[0])
            left = [item.name for item, _ in ranked]
        revealed = [*revealed, *left[:options.step]]
    return points


class Trial:
    """Trains on part of the labels by the commands a user types, and judges on the photographs held back."""

    def __init__(self, folder: Path, scratch: Path, held: Sequence[Sample], classes: int) -> None:
        self.folder, self._scratch, self._held, self._classes = folder, scratch, held, classes
        self._coco = json.loads(find_json(folder).read_text(encoding="utf-8"))

    def run(self, name: str, revealed: Sequence[str], seconds: float, weights: str = "none"
            ) -> tuple[float, Predictor, str]:
        """IoU, model and weights of a training of so many seconds on those labels only."""
        images = [image for image in self._coco["images"] if image["file_name"] in set(revealed)]
        ids = {image["id"] for image in images}
        json_path = self._scratch / f"{name}.json"
        json_path.write_text(json.dumps({**self._coco, "images": images, "annotations": [
            item for item in self._coco["annotations"] if item["image_id"] in ids]}), encoding="utf-8")
        shared = ["--result", str(self._scratch / "result"), "--img_dir_name", "active", "--model_name", name]
        # No round is long enough to be done with learning: none goes on at the low rate of fine-tuning.
        train = ["--img_path", str(self.folder), "--json_path", str(json_path), "--budget", f"{seconds}s", "--weights",
                 weights, "--lr", "0.002", "--freeze", "0"]
        for module, flags in (("train", train), ("export", []), ("post_processing", [])):
            subprocess.run([sys.executable, "-m", f"ss_poc.{module}", *shared, *flags], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        paths = RunPaths(self._scratch / "result", "active", name)
        predictor = Predictor.load(paths.export, paths.rules)
        both, either = np.zeros(self._classes), np.zeros(self._classes)
        for sample in self._held:
            hit, union = intersection_union(sample.mask(self._classes), predictor.predict(sample.image()).mask)
            both, either = both + hit, either + union
        (best,) = paths.model.glob("model_*.keras")
        return float(np.nanmean(iou_of_counts(both, either))), predictor, str(best)


def draw(found: dict[str, list[tuple[int, float]]], whole: float, labels: int, path: Path) -> None:
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for how, points in found.items():
        axes.plot(*zip(*points, strict=True), "o-", label=how)
    axes.axhline(0.95 * whole, color="#94a3b8", linestyle="--", label=f"95 % of all {labels} labels")
    axes.set(xlabel="labelled photographs", ylabel="mean IoU on photographs held back", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
