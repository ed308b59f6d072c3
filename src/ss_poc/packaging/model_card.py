"""What goes along with a served model: its scores, how its photographs look, and photographs to try it on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.deployed import CARD_FILE, SAMPLES
from ..core.errors import ImageError
from ..core.files import write_json
from ..core.host import cores
from ..core.images import decode_image, encode_image, open_image
from ..core.parallel import ahead
from ..core.run import Run
from ..inference.appearance import measure, reference_of
from ..inference.predictor import Predictor

__all__ = ["write_card"]

# Photographs the reference is made of, spread evenly over the validation split (which the model has not learned by
# heart: on training photographs it is surer than it will be on those that come).
MOST_LOOKED_AT = 200
MOST_SAMPLES = 4
# Samples lie in the package and are shown in browsers.
LARGEST_SAMPLE = 4_000_000


def write_card(folder: Path, run: Run, predictor: Predictor) -> None:
    """Write `card.json` and `samples/` of a run into a folder; with scores alone where its photographs are gone.

    Args:
        folder: where the graph lies.
        run: that the graph comes from.
        predictor: the model as it will be served.
    """
    card: dict[str, Any] = {"scores": run.scores or {}, "samples": [], "reference": {}}
    files = [Path(run.data.img_path) / name for name in run.split.valid]
    present = [path for path in files if path.is_file()]
    if present:
        step = max(1, len(present) // MOST_LOOKED_AT)
        looked = list(ahead(lambda index: _look(present[::step][index], predictor), len(present[::step]),
                            cores()))
        card["reference"] = reference_of([measured for _, _, measured in looked if measured])
        card["samples"] = _write_samples(folder / SAMPLES, looked, predictor)
    write_json(folder / CARD_FILE, card)


def _look(path: Path, predictor: Predictor) -> tuple[Path, list[float], dict[str, float]]:
    """The photograph, how much of it each class covers, and its measures; nothing where it cannot be read."""
    try:
        image = decode_image(path, levels=predictor.spec.levels)
    except ImageError:
        return path, [], {}
    prediction = predictor.predict(image)
    return path, [float(prediction.mask[..., channel].mean()) for channel in range(prediction.mask.shape[-1])], \
        measure(image, prediction.probability)


def _write_samples(folder: Path, looked: Sequence[tuple[Path, list[float], dict[str, float]]],
                   predictor: Predictor) -> list[dict[str, Any]]:
    """A photograph with much of each class, as many as there is room for, and a clean one; with the masks found."""
    folder.mkdir()
    samples: list[dict[str, Any]] = []
    for path in _chosen([(path, covered) for path, covered, measured in looked if measured]):
        data, suffix = path.read_bytes(), path.suffix.lower()
        opened = open_image(data)
        if suffix not in (".jpg", ".jpeg", ".png") or opened.wide:  # browsers show the upper 8 of 16 bits
            data, suffix = encode_image(opened.decode(levels=predictor.spec.levels), ".png"), ".png"
        if len(data) > LARGEST_SAMPLE:
            continue
        name = f"sample_{len(samples) + 1}{suffix}"
        (folder / name).write_bytes(data)
        samples.append({"name": name, "rle": predictor.predict(decode_image(data)).rles})
    return samples


def _chosen(covered: Sequence[tuple[Path, list[float]]]) -> list[Path]:
    chosen: list[Path] = []
    if not covered:
        return chosen
    shares = np.array([share for _, share in covered])
    for channel in np.argsort(-shares.max(axis=0)):
        best = int(np.argmax(shares[:, channel]))
        if shares[best, channel] and covered[best][0] not in chosen and len(chosen) < MOST_SAMPLES - 1:
            chosen.append(covered[best][0])
    clean = [path for path, share in covered if not any(share)]
    return chosen + clean[:1]
