"""A trained network of good photographs, joined with a memory of them.

What was trained finds marks that look like those drawn onto good photographs. The memory tells when a photograph as a
whole departs from good ones: it then moves the log-odds of its most suspicious places up, by as much as these vary
among good photographs. So both count alike, whatever their units.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..core.files import atomic_path, read_json, write_json
from ..core.good_names import is_drawn, is_labelled
from ..core.images import decode_image, resize_image
from ..core.run import Run, RunPaths, update_run
from ..core.tiles import map_size, windows
from ..networks.build import build_model
from ..networks.memory import WEIGHT, Z_SCORE, lite0_taps, with_memory
from ..networks.weights import load_weights
from .good import fit_good

import keras  # noqa: E402  isort: skip  (after networks, which quietens TensorFlow)

__all__ = ["remember"]

# Windows of good photographs that are looked at: more change little and take a quarter of a second each.
REMEMBERED, MEASURED = 200, 100
# Pixels of a window, those with the highest log-odds, whose mean is compared among photographs.
HIGHEST = 50
# Log-odds for each deviation that a photograph departs, at least: places hardly vary where a network is barely trained,
# and the memory alone then has to be heard. A trained one's vary by more.
LEAST_WEIGHT = 1.0
FEWEST = 5  # windows of photographs that did not train; with fewer, the others are measured as well
ENDING = "_good"


def remember(paths: RunPaths) -> None:
    """Give the best model of a run a memory of the good photographs that trained; once only.

    The model that trained stays beside it: `--weights` goes on from that one.

    Args:
        paths: of a finished run on a data set that `good_set` made.
    """
    best = paths.best_model()
    if best.stem.endswith(ENDING):
        return
    run = Run.read(paths)
    model = build_model(run.config.architecture, str(run.config.encoder), 1, run.size_hw)
    load_weights(model, best)
    odd = read_json(Path(run.data.json_path))["info"]["odd"]
    seen, unseen = (_good_windows(run, [name for name in names if name not in odd], most, what)
                    for names, most, what in (
        (run.split.train, REMEMBERED, "remembering good photographs"),
        (run.split.valid, MEASURED, "measuring good photographs")))
    joined = with_memory(model, fit_good(lite0_taps(), seen))
    _weigh(joined, model, unseen if len(unseen) >= FEWEST else [*unseen, *seen])
    target = best.with_name(f"{best.stem}{ENDING}.keras")
    with atomic_path(target) as temporary:
        joined.save(temporary)
    # A kill before the last of these leaves a run that this function completes.
    update_run(paths, memory={"windows": len(seen)})
    write_json(paths.model / "state.json", {**read_json(paths.model / "state.json"), "best_model": target.name})


def _good_windows(run: Run, names: Sequence[str], most: int, what: str) -> list[np.ndarray]:
    """What the network gets of good photographs, (h, w, 3) uint8 each; at most so many windows, evenly chosen."""
    names = [name for name in names if not (is_drawn(name) or is_labelled(name))]
    every = max(1, len(names) // most)
    found: list[np.ndarray] = []
    for name in tqdm(names[::every][:most], desc=what, unit="image", disable=None):
        image = decode_image(Path(run.data.img_path) / name, levels=run.data.levels)
        scaled = resize_image(image, map_size(image.shape[:2], run.scale, run.size_hw))
        found += [window.copy() for _, _, window in windows(scaled, run.size_hw)]
    return found[::max(1, len(found) // most)][:most]


def _weigh(joined: keras.Model, model: keras.Model, good: Sequence[np.ndarray]) -> None:
    """Set the layers of a joined network that say how far a photograph departs, in deviations of good ones, and how
    much that moves log-odds."""
    z_score = joined.get_layer(Z_SCORE)
    measure = keras.Model(joined.input, [model.get_layer("probability").input, z_score.input])
    answers = [measure(window[None].astype(np.float32), training=False) for window in good]
    scores = np.array([np.ravel(score) for _, score in answers])
    mean, deviation = scores.mean(axis=0), scores.std(axis=0) + 1e-3
    z_score.set_weights([np.reshape(1 / deviation, (1, 1, -1, 1)), -mean / deviation])
    highest = [np.partition(np.ravel(logits), -HIGHEST)[-HIGHEST:].mean() for logits, _ in answers]
    joined.get_layer(WEIGHT).set_weights([np.full((1, 1, 1, 1), max(np.std(highest), LEAST_WEIGHT), np.float32)])
