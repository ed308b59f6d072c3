"""Image → probabilities → refined masks, without TensorFlow. Search, predict and the service all run this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..core.coco import coco_annotation, coco_categories
from ..core.config import CUDA_ENGINE, Rule
from ..core.errors import ArtifactError, EngineError
from ..core.host import cores
from ..core.images import resize_image
from ..core.masks import bounding_box, components, empty_rle, encode_rle
from ..core.model_spec import ModelSpec, read_spec
from ..core.platt import Calibration
from ..core.refine import plain_rules, refine, resize_probability
from ..core.rivals import compete
from ..core.rules_file import OPERATING_FILE, read_chance, read_floors, read_rules
from ..core.tiles import blend, map_size, window_count
from .engines import Run, Shared, load_engine

__all__ = ["Prediction", "Predictor", "coco_document", "strangeness", "unsureness"]

# Defects are small: the uncertainty of an image is the mean over this fraction of its pixels, the least sure ones.
UNSURE_FRACTION = 0.005
MOST_PIXELS = 1_000_000


@dataclass(frozen=True)
class Prediction:
    """What a model finds on one image. A class has one channel.

    Attributes:
        mask: (H, W, C) bool, at the image's size: the pixels marked by each class's rule.
        probability: (h, w, C) float32 in 0..1, at the scale that the model works at.
        labels: C names.
        colors: C colours, `#rrggbb`.
        floors: C probabilities in 0..1. A class counts in the verdict if one of its marked pixels has at least this
            probability.
        chance: makes the probability that the image has a defect of its highest probability; None where the model has
            none.
    """

    mask: np.ndarray
    probability: np.ndarray
    labels: tuple[str, ...]
    colors: tuple[str, ...]
    floors: tuple[float, ...]
    chance: Calibration | None = None

    @cached_property
    def marked(self) -> tuple[int, ...]:
        """Return the channels that mark a pixel, in their order."""
        return tuple(channel for channel in range(len(self.labels)) if self.mask[..., channel].any())

    def _plane(self, channel: int) -> np.ndarray:
        """One channel's probability, (H, W) in 0..1. Never kept: of a large image, all together are most of memory."""
        return resize_probability(self.probability[..., channel], self.mask.shape[:2])

    @cached_property
    def rles(self) -> list[dict[str, Any]]:
        """Return the mask of each channel as compressed COCO RLE, in the order of the channels."""
        return [encode_rle(self.mask[..., channel]) if channel in self.marked else {**empty_rle(*self.mask.shape[:2])}
                for channel in range(len(self.labels))]

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """Return the connected components of every class.

        Each is a dict: `label`, `score` (mean probability of its pixels, 0..1), `area` in pixels, and `bbox` as
        [x, y, width, height] in pixels.
        """
        return [{"label": self.labels[channel], **item} for channel in self.marked
                for item in components(self.mask[..., channel], self._plane(channel))]

    @cached_property
    def scores(self) -> tuple[float, ...]:
        """Return the highest probability among the marked pixels of each class, 0..1; 0 for a class that marks none."""
        highest = dict.fromkeys(range(len(self.labels)), 0.0)
        for channel in self.marked:
            rows, columns = bounding_box(self.mask[..., channel]) or (slice(0, 0), slice(0, 0))
            highest[channel] = float(np.max(self._plane(channel)[rows, columns], initial=0.0,
                                            where=self.mask[rows, columns, channel]))
        return tuple(highest.values())

    @property
    def verdict(self) -> dict[str, Any]:
        """Return the answer for the whole image: `defect`, whether any class was found, and `labels`, which.

        With `chance` also `probability`, 0..1: how likely the image is to have a defect. It follows from the highest
        probability of any pixel, marked or not, so neither rules nor thresholds change it.
        """
        found = [label for channel, label in enumerate(self.labels)
                 if channel in self.marked and self.scores[channel] >= self.floors[channel]]
        return {"defect": bool(found), "labels": found,
                **({} if self.probability_of_defect is None else {"probability": self.probability_of_defect})}

    @cached_property
    def probability_of_defect(self) -> float | None:
        """Return how likely the image is to have a defect, 0..1, with 4 digits; None where the model cannot tell."""
        return round(float(self.chance.apply(np.array(float(self.probability.max())))), 4) if self.chance else None

    def coco_annotations(self, category_ids: Sequence[int], image_id: int, first_id: int = 1) -> list[dict[str, Any]]:
        """Return one COCO annotation for each class that was found, as polygons in pixels.

        Polygons have no holes; `rles` keeps them.

        Args:
            category_ids: one for each channel.
            image_id: of the image in the COCO document.
            first_id: id of the first annotation; the others count on from it.
        """
        found: list[dict[str, Any]] = []
        for channel, category_id in enumerate(category_ids):
            if channel not in self.marked:
                continue
            found.append(coco_annotation(self.mask[..., channel], first_id + len(found), image_id, category_id,
                                         self.colors[channel]))
        return found


class Predictor:
    """An exported graph in an engine, with the rules that turn its probabilities into masks.

    Args:
        spec: size, scale, classes and preferred engines of the graph.
        rules: one for each channel, in the order of the channels.
        run: the graph in an engine.
        floors: one for each channel, see `Prediction`; empty for 0.
        chance: see `Prediction`.
        engine: name of that engine.
        refused: one sentence for each engine that was preferred and cannot be used.

    Raises:
        ArtifactError: the rules are for other classes than the graph.
    """

    def __init__(self, spec: ModelSpec, rules: Sequence[Rule], run: Run, floors: Sequence[float] = (),
                 engine: str = "onnxruntime", refused: Sequence[str] = (), chance: Calibration | None = None) -> None:
        if [rule.label for rule in rules] != list(spec.labels):
            raise ArtifactError(f"the rules are for {[rule.label for rule in rules]}",
                                f"the model's {list(spec.labels)}", "run the search again")
        self.spec, self.rules, self.engine, self.refused = spec, tuple(rules), engine, tuple(refused)
        self.floors, self.chance = tuple(floors) or (0.0,) * len(spec.labels), chance
        self._run = run

    @classmethod
    def load(cls, export: Path, rules: Path | None = None, threads: int = 0, engine: str | None = None,
             shared: bool = False) -> Predictor:
        """Load an exported graph into the first engine that works on this machine.

        Args:
            export: folder of the graph and its spec; the files are checked.
            rules: `valid_post_grid.csv` or `rules.json`; `operating_point.json` is read if it lies beside it. None: a
                threshold of 0.5 for every class, and nothing else.
            threads: of the engine; 0 for one for each core.
            engine: name of the engine to try first; None for the order of the spec.
            shared: whether several threads will call `predict` at the same time.

        Raises:
            ArtifactError: a file is missing or damaged, or does not fit the graph.
            EngineError: no engine works.
        """
        spec = read_spec(export)
        plain = plain_rules(spec.labels, spec.colors, spec.size_hw)
        chosen = read_rules(rules) if rules else plain
        floors = read_floors(rules.parent / OPERATING_FILE, spec.labels) if rules else ()
        chance = read_chance(rules.parent / OPERATING_FILE) if rules else None
        refused: list[str] = []
        for name in dict.fromkeys([*([engine] if engine else []), *spec.engines, "onnxruntime", "openvino"]):
            try:
                load = partial(load_engine, name, export, threads)
                share = shared and (threads or cores()) > 1 and name != CUDA_ENGINE
                run = Shared(load, threads or cores()) if share else load()
                return cls(spec, chosen, run, floors, name, refused, Calibration(*chance) if chance else None)
            except EngineError as error:
                refused.append(str(error).splitlines()[0])
        raise EngineError(f"no engine can run {export}: {'; '.join(refused)}", "ONNX Runtime or OpenVINO",
                          "pip install onnxruntime")

    def probability(self, image_rgb: np.ndarray) -> np.ndarray:
        """Run the network on an image, in overlapping windows where the image is larger than the network's input.

        Args:
            image_rgb: (H, W, 3) uint8 RGB, of any size.

        Returns:
            (h, w, C) float32 probabilities in 0..1, with (h, w) = `map_size((H, W))`.
        """
        image = resize_image(image_rgb, self.map_size(image_rgb.shape[:2]))
        found = blend(image, self.spec.size_hw, self._run)
        return compete(found) if self.spec.exclusive else found

    def map_size(self, image_hw: Sequence[int]) -> tuple[int, int]:
        """Return the (height, width) of the probability map of an image of (height, width)."""
        return map_size(image_hw, self.spec.scale, self.spec.size_hw)

    def window_count(self, image_hw: Sequence[int]) -> int:
        """Return the number of windows that the network runs on for an image of (height, width)."""
        return window_count(self.map_size(image_hw), self.spec.size_hw)

    def predict(self, image_rgb: np.ndarray, threshold: float | None = None) -> Prediction:
        """Find the classes on an image.

        Args:
            image_rgb: (H, W, 3) uint8 RGB, of any size.
            threshold: probability in 0..1 from which a pixel is marked, for every class; None for each rule's own.

        Returns:
            The prediction, with masks of (H, W).
        """
        return self.prediction(self.probability(image_rgb), image_rgb.shape[:2], threshold)

    def prediction(self, probability: np.ndarray, size_hw: Sequence[int], threshold: float | None = None) -> Prediction:
        """Make a prediction of a probability map.

        Args:
            probability: (h, w, C) in 0..1, as `probability` gives it.
            size_hw: (height, width) of the image.
            threshold: as for `predict`.
        """
        mask = refine(probability, self.rules, size_hw, threshold)
        return Prediction(mask, probability, self.spec.labels, self.spec.colors, self.floors, self.chance)


def unsureness(probability: np.ndarray) -> float:
    """Return how unsure a model is of an image: 0 if sure of every pixel, 1 if the least sure pixels are at 0.5.

    It is the mean of 1 - |2 p - 1|, with p of the least sure class of a pixel, over the UNSURE_FRACTION of the pixels
    of which the model is least sure.

    Args:
        probability: (h, w, C) in 0..1. Of a large map, rows and columns are left out evenly, to about a million pixels.
    """
    step = max(1, round((probability.shape[0] * probability.shape[1] / MOST_PIXELS) ** 0.5))
    looked_at = probability[::step, ::step]
    from_half = np.full(looked_at.shape[:2], 0.5, np.float32)
    for channel in range(looked_at.shape[-1]):
        np.minimum(from_half, np.abs(looked_at[..., channel].astype(np.float32) - 0.5), out=from_half)
    count = max(1, round(UNSURE_FRACTION * from_half.size))
    return 1 - 2 * float(np.partition(from_half, count - 1, axis=None)[:count].mean())


def strangeness(probability: np.ndarray) -> float:
    """Return how much a model finds on an image: the mean of the highest UNSURE_FRACTION of the probabilities, 0..1.

    Args:
        probability: (h, w, C) in 0..1; the most probable class of a pixel counts.
    """
    highest = probability.max(axis=-1).ravel()
    count = max(1, round(UNSURE_FRACTION * highest.size))
    return float(np.partition(highest, -count)[-count:].mean())


def coco_document(spec: ModelSpec, images: Sequence[dict[str, Any]],
                  annotations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a COCO document with these images and annotations, and the model's categories."""
    return {"images": list(images), "categories": coco_categories(spec.category_ids, spec.labels, spec.colors),
            "annotations": list(annotations)}
