"""Does labelling what the model asks for take fewer labels than labelling at random?

    python benchmarks/active.py --img_path ../shared/data/magnetic_tile --budget 180s --output active.png

Labels are hidden, then revealed a step at a time: train on what is revealed as the default does, rank the rest, reveal
the first; and the same at random, from the same first labels and their one model. A fifth of the photographs is never
trained on and judges every model: mean IoU over the classes, all pixels together, with the rules that the model's own
search chose. Each seed deals out judges and first labels anew.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from commands import labels_of, trained
from judging import judged
from matplotlib.figure import Figure

from ss_poc.core.files import read_json, write_json
from ss_poc.core.run import RunPaths, find_json
from ss_poc.data.dataset import Sample, load_coco
from ss_poc.data.split import split_samples
from ss_poc.inference.predictor import Predictor
from ss_poc.inference.ranking import choose, look

HOW = ("ranked", "random")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img_path", type=Path, required=True)
    parser.add_argument("--budget", default="180s", help="of a round")
    parser.add_argument("--first", type=int, default=40, help="labels to begin with, at random")
    parser.add_argument("--step", type=int, default=40, help="labels revealed a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--output", type=Path, default=Path("active.png"))
    options = parser.parse_args()
    folder = options.img_path.resolve()
    dataset = load_coco(find_json(folder), folder)
    found: dict[str, list[list[float]]] = {how: [] for how in HOW}
    for seed in options.seeds:
        pool, judges = split_samples(dataset.samples, 0.2, seed)
        order = [str(name) for name in np.random.default_rng(seed).permutation(sorted(pool))]
        with tempfile.TemporaryDirectory() as scratch:
            trial = Trial(folder, Path(scratch), dataset.samples_of(judges), len(dataset.labels), options.budget, seed)
            first = trial.run("first", order[:options.first])
            for how in HOW:
                found[how].append(loop(trial, order, how, first, options))
    counts = [options.first + number * options.step for number in range(options.rounds)]
    print("\n| labels | " + " | ".join(f"{how}, seed {seed}" for how in HOW for seed in options.seeds) + " |")
    print("| ---: " * (1 + len(HOW) * len(options.seeds)) + "|")
    for number, count in enumerate(counts):
        print(f"| {count} | " + " | ".join(f"{points[number]:.3f}" for how in HOW for points in found[how]) + " |")
    draw(found, counts, options.output)


def loop(trial: Trial, order: Sequence[str], how: str, first: tuple[float, Predictor], options: argparse.Namespace
         ) -> list[float]:
    """IoU after each round, from the model of the first labels on."""
    (iou, predictor), revealed, points = first, list(order[:options.first]), []
    for number in range(options.rounds):
        if number:
            revealed += following(trial.folder, order, revealed, predictor if how == "ranked" else None)[:options.step]
            iou, predictor = trial.run(f"{how}_{number}", revealed)
        points.append(iou)
        print(f"{how}: {len(revealed)} labels, IoU {iou:.3f}", flush=True)
    return points


def following(folder: Path, order: Sequence[str], revealed: Sequence[str], predictor: Predictor | None) -> list[str]:
    """The photographs without labels, as a model ranks them; without one as they are in order."""
    left = [name for name in order if name not in revealed]
    if predictor is None:
        return left
    candidates, known = ([folder / name for name in names] for names in (left, revealed))
    ranked = choose(look(candidates, folder, predictor, "rank")[0], look(known, folder, None, "compare")[0])
    return [item.name for item, _ in ranked]


class Trial:
    """Trains on part of the labels by the commands a user types, and judges on the photographs held back."""

    def __init__(self, folder: Path, scratch: Path, held: Sequence[Sample], classes: int, budget: str, seed: int
                 ) -> None:
        self.folder, self._scratch, self._held, self._classes = folder, scratch, held, classes
        self._budget, self._seed = budget, seed
        self._coco = read_json(find_json(folder))

    def run(self, name: str, revealed: Sequence[str]) -> tuple[float, Predictor]:
        """IoU and model of a training on those labels only."""
        images = [image for image in self._coco["images"] if image["file_name"] in set(revealed)]
        json_path = self._scratch / f"{name}.json"
        write_json(json_path, labels_of(images, self._coco))
        paths = RunPaths(self._scratch / "result", "active", name)
        trained(paths, self.folder, self._budget, self._seed, "--json_path", str(json_path))
        predictor = Predictor.load(paths.export, paths.rules)
        return judged(predictor, self._held, self._classes).iou, predictor


def draw(found: dict[str, list[list[float]]], counts: Sequence[int], path: Path) -> None:
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for color, (how, seeds) in zip(("#2563eb", "#94a3b8"), found.items(), strict=True):
        for points in seeds:
            axes.plot(counts, points, "--", color=color, linewidth=1)
        axes.plot(counts, np.mean(seeds, axis=0), "o-", color=color, label=f"{how}, mean of {len(seeds)} seeds")
    axes.set(xlabel="labelled photographs", ylabel="mean IoU on photographs held back", ylim=(0, None), xticks=counts)
    axes.legend()
    figure.savefig(path, dpi=130)


if __name__ == "__main__":
    main()
