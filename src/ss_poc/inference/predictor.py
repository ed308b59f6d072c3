"""Image → probabilities → refined masks, without TensorFlow. Search, predict and the service all run this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..core.config import CUDA_ENGINE, Rule
from ..core.errors import ArtifactError, EngineError
from ..core.host import cores
from ..core.images import resize_image
from ..core.masks import bounding_box, components, empty_rle, encode_rle, mask_to_polygons
from ..core.model_spec import ModelSpec, read_spec
from ..core.refine import refine, resize_probability
from ..core.rules_file import OPERATING_FILE, read_floors, read_rules
from ..core.tiles import blend, map_size, window_count
from .engines import Run, Shared, load_engine

__all__ = ["Prediction", "Predictor", "coco_document", "unsureness"]

# An image is as unsure as this part of its pixels, the least sure ones, are on average: defects are small.
UNSURE_PART = 0.005
MOST_LOOKED_AT = 1_000_000


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        mask: (H, W, C) bool at the image's size.
        probability: (h, w, C) float32 in 0..1 at the scale the model works at.
        labels, colors: one a channel.
        floors: one a channel; a class takes part in the verdict where a marked pixel has at least this probability.
    """

    mask: np.ndarray
    probability: np.ndarray
    labels: tuple[str, ...]
    colors: tuple[str, ...]
    floors: tuple[float, ...]

    @cached_property
    def marked(self) -> dict[int, np.ndarray]:
        """(H, W) probability at the image's size of each channel that marks a pixel; the others need no work."""
        size_hw = self.mask.shape[:2]
        return {channel: resize_probability(self.probability[..., channel], size_hw)
                for channel in range(len(self.labels)) if self.mask[..., channel].any()}

    @cached_property
    def rles(self) -> list[dict[str, Any]]:
        """COCO compressed RLE of each channel, in channel order."""
        return [encode_rle(self.mask[..., channel]) if channel in self.marked else {**empty_rle(*self.mask.shape[:2])}
                for channel in range(len(self.labels))]

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """Connected components of every class: label, score, area in pixels, bbox [x, y, width, height]."""
        return [{"label": self.labels[channel], **item} for channel, probability in self.marked.items()
                for item in components(self.mask[..., channel], probability)]

    @cached_property
    def scores(self) -> tuple[float, ...]:
        """Highest probability among the marked pixels of each class, 0 where none is."""
        highest = dict.fromkeys(range(len(self.labels)), 0.0)
        for channel, probability in self.marked.items():
            box = bounding_box(self.mask[..., channel])
            highest[channel] = float(probability[box][self.mask[..., channel][box]].max())
        return tuple(highest.values())

    @property
    def verdict(self) -> dict[str, Any]:
        """The image-level answer: whether any class was found, and which."""
        found = [label for channel, label in enumerate(self.labels)
                 if channel in self.marked and self.scores[channel] >= self.floors[channel]]
        return {"defect": bool(found), "labels": found}

    def coco_annotations(self, category_ids: Sequence[int], image_id: int, first_id: int = 1) -> list[dict[str, Any]]:
        """One annotation a class that was found, as polygons (holes are dropped; `rles` keeps them)."""
        found: list[dict[str, Any]] = []
        for channel, category_id in enumerate(category_ids):
            if channel not in self.marked:
                continue
            mask = self.mask[..., channel]
            rows, columns = bounding_box(mask) or (slice(0, 0), slice(0, 0))
            found.append({
                "id": first_id + len(found), "image_id": image_id, "category_id": category_id,
                "segmentation": mask_to_polygons(mask), "area": int(np.count_nonzero(mask)),
                "bbox": [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start],
                "iscrowd": 0, "isbbox": False, "color": self.colors[channel], "metadata": {},
            })
        return found


class Predictor:
    """An exported graph with its rules.

    Args:
        spec: what the graph expects and gives.
        rules: one a channel.
        run: the graph in an engine.
        floors: one a channel, see `Prediction`.
        engine: name of that engine.
        refused: why engines that were preferred are not used.
    """

    def __init__(self, spec: ModelSpec, rules: Sequence[Rule], run: Run, floors: Sequence[float] = (),
                 engine: str = "onnxruntime", refused: Sequence[str] = ()) -> None:
        if [rule.label for rule in rules] != list(spec.labels):
            raise ArtifactError(f"the rules are for {[rule.label for rule in rules]}",
                                f"the model's {list(spec.labels)}", "run the search again")
        self.spec, self.rules, self.engine, self.refused = spec, tuple(rules), engine, tuple(refused)
        self.floors = tuple(floors) or (0.0,) * len(spec.labels)
        self._run = run

    @classmethod
    def load(cls, export: Path, rules: Path | None = None, threads: int = 0, engine: str = "",
             shared: bool = False) -> Predictor:
        """Load a checked graph into the first engine that works here.

        Args:
            export: folder with graph and spec.
            rules: `valid_post_grid.csv`, with `operating_point.json` beside it if there is one; None for a threshold
                of 0.5 and nothing else.
            threads: of the engine; 0 for one a core.
            engine: the one to try first; "" for those the spec prefers.
            shared: whether several threads will predict at a time.

        Raises:
            ArtifactError: something is missing, damaged or does not fit.
            EngineError: no engine works.
        """
        spec = read_spec(export)
        plain = [Rule(label, color, spec.size_hw) for label, color in zip(spec.labels, spec.colors, strict=True)]
        chosen = read_rules(rules) if rules else plain
        floors = read_floors(rules.parent / OPERATING_FILE, spec.labels) if rules else ()
        refused: list[str] = []
        for name in dict.fromkeys([*([engine] if engine else []), *spec.engines, "onnxruntime", "openvino"]):
            try:
                load = partial(load_engine, name, export, threads)
                share = shared and (threads or cores()) > 1 and name != CUDA_ENGINE
                run = Shared(load, threads or cores()) if share else load()
                return cls(spec, chosen, run, floors, name, refused)
            except EngineError as error:
                refused.append(str(error).splitlines()[0])
        raise EngineError(f"no engine can run {export}: {'; '.join(refused)}", "ONNX Runtime or OpenVINO",
                          "pip install onnxruntime")

    def probability(self, image_rgb: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB of any size to (h, w, C) float32 probabilities, (h, w) = `map_size((H, W))`."""
        image = resize_image(image_rgb, self.map_size(image_rgb.shape[:2]))
        return blend(image, self.spec.size_hw, self._run)

    def map_size(self, image_hw: Sequence[int]) -> tuple[int, int]:
        """(height, width) of the probability map of an image of that size."""
        return map_size(image_hw, self.spec.scale, self.spec.size_hw)

    def window_count(self, image_hw: Sequence[int]) -> int:
        """How often the network runs on an image of that size."""
        return window_count(self.map_size(image_hw), self.spec.size_hw)

    def predict(self, image_rgb: np.ndarray, threshold: float | None = None) -> Prediction:
        """(H, W, 3) uint8 RGB to refined masks of the same size; `threshold` replaces every rule's own."""
        probability = self.probability(image_rgb)
        mask = refine(probability, self.rules, image_rgb.shape[:2], threshold)
        return Prediction(mask, probability, self.spec.labels, self.spec.colors, self.floors)


def unsureness(probability: np.ndarray) -> float:
    """Mean of 1 - |2 p - 1| over the least sure UNSURE_PART of the pixels, of their least sure class.

    Args:
        probability: (h, w, C) in 0..1; of a large one every n-th pixel is looked at, a million in all.
    """
    step = max(1, round((probability.shape[0] * probability.shape[1] / MOST_LOOKED_AT) ** 0.5))
    looked_at = probability[::step, ::step]
    from_half = np.full(looked_at.shape[:2], 0.5, np.float32)
    for channel in range(looked_at.shape[-1]):
        np.minimum(from_half, np.abs(looked_at[..., channel].astype(np.float32) - 0.5), out=from_half)
    count = max(1, round(UNSURE_PART * from_half.size))
    return 1 - 2 * float(np.partition(from_half, count - 1, axis=None)[:count].mean())


def coco_document(spec: ModelSpec, images: Sequence[dict[str, Any]],
                  annotations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A COCO json document with the model's categories."""
    categories = [{"id": category_id, "name": label, "supercategory": "", "color": color}
                  for category_id, label, color in zip(spec.category_ids, spec.labels, spec.colors, strict=True)]
    return {"images": list(images), "categories": categories, "annotations": list(annotations)}
