"""Image → probabilities → refined masks, without TensorFlow. Search, predict and the service all run this."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from .artifacts import GRAPH_FILE, ModelSpec, read_rules, read_spec
from .config import Rule
from .errors import ArtifactError
from .images import resize_image
from .masks import components, encode_rle, mask_to_polygons, refine, resize_probability
from .tiles import blend, map_size

__all__ = ["Prediction", "Predictor", "coco_document"]


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes:
        mask: (H, W, C) bool at the image's size.
        probability: (h, w, C) float32 in 0..1 at the scale the model works at.
        labels, colors: one a channel.
    """

    mask: np.ndarray
    probability: np.ndarray
    labels: tuple[str, ...]
    colors: tuple[str, ...]

    @cached_property
    def rles(self) -> list[dict[str, Any]]:
        """COCO compressed RLE of each channel, in channel order."""
        return [encode_rle(self.mask[..., channel]) for channel in range(len(self.labels))]

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """Connected components of every class: label, score, area in pixels, bbox [x, y, width, height]."""
        size_hw = self.mask.shape[:2]
        return [{"label": label, **item} for channel, label in enumerate(self.labels) if self.mask[..., channel].any()
                for item in components(self.mask[..., channel],
                                       resize_probability(self.probability[..., channel], size_hw))]

    @property
    def verdict(self) -> dict[str, Any]:
        """The image-level answer: whether any class was found, and which."""
        found = [label for channel, label in enumerate(self.labels) if self.mask[..., channel].any()]
        return {"defect": bool(found), "labels": found}

    def coco_annotations(self, category_ids: Sequence[int], image_id: int, first_id: int = 1) -> list[dict[str, Any]]:
        """One annotation a class that was found, as polygons (holes are dropped; `rles` keeps them)."""
        found: list[dict[str, Any]] = []
        for channel, category_id in enumerate(category_ids):
            mask = self.mask[..., channel]
            if not mask.any():
                continue
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            found.append({
                "id": first_id + len(found), "image_id": image_id, "category_id": category_id,
                "segmentation": mask_to_polygons(mask), "area": int(np.count_nonzero(mask)),
                "bbox": [int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1),
                         int(rows[-1] - rows[0] + 1)],
                "iscrowd": 0, "isbbox": False, "color": self.colors[channel], "metadata": {},
            })
        return found


class Predictor:
    """An exported graph with its rules.

    Args:
        spec: what the graph expects and gives.
        rules: one a channel.
        session: ONNX Runtime session of the graph, one input and one output.
    """

    def __init__(self, spec: ModelSpec, rules: Sequence[Rule], session: onnxruntime.InferenceSession) -> None:
        if [rule.label for rule in rules] != list(spec.labels):
            raise ArtifactError(f"the rules are for {[rule.label for rule in rules]}",
                                f"the model's {list(spec.labels)}", "run the search again")
        self.spec, self.rules, self._session = spec, tuple(rules), session
        self._input = session.get_inputs()[0].name

    @classmethod
    def load(cls, export: Path, rules: Path | None = None, threads: int = 0) -> Predictor:
        """Load a checked graph.

        Args:
            export: folder with graph and spec.
            rules: `valid_post_grid.csv`; None for a threshold of 0.5 and nothing else.
            threads: of the engine; 0 for one a core.

        Raises:
            ArtifactError: something is missing, damaged or does not fit.
        """
        spec = read_spec(export)
        options = onnxruntime.SessionOptions()
        # Counted here because the runtime counts the machine's cores, not those a container may use.
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(export / GRAPH_FILE, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common public base
            raise ArtifactError(f"{export / GRAPH_FILE} cannot be loaded: {error}", "an ONNX graph",
                                "export the model again") from error
        if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
            raise ArtifactError(f"{export / GRAPH_FILE} has {len(session.get_inputs())} inputs and "
                                f"{len(session.get_outputs())} outputs", "one of each", "export the model again")
        plain = [Rule(label, color, spec.size_hw) for label, color in zip(spec.labels, spec.colors, strict=True)]
        return cls(spec, read_rules(rules) if rules else plain, session)

    def probability(self, image_rgb: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB of any size to (h, w, C) float32 probabilities, (h, w) = `map_size((H, W))`."""
        image = resize_image(image_rgb, self.map_size(image_rgb.shape[:2]))
        return blend(image, self.spec.size_hw, lambda batch: self._session.run(None, {self._input: batch})[0])

    def map_size(self, image_hw: Sequence[int]) -> tuple[int, int]:
        """(height, width) of the probability map of an image of that size."""
        return map_size(image_hw, self.spec.scale, self.spec.size_hw)

    def predict(self, image_rgb: np.ndarray, threshold: float | None = None) -> Prediction:
        """(H, W, 3) uint8 RGB to refined masks of the same size; `threshold` replaces every rule's own."""
        probability = self.probability(image_rgb)
        mask = refine(probability, self.rules, image_rgb.shape[:2], threshold)
        return Prediction(mask, probability, self.spec.labels, self.spec.colors)


def coco_document(spec: ModelSpec, images: Sequence[dict[str, Any]],
                  annotations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A COCO json document with the model's categories."""
    categories = [{"id": category_id, "name": label, "supercategory": "", "color": color}
                  for category_id, label, color in zip(spec.category_ids, spec.labels, spec.colors, strict=True)]
    return {"images": list(images), "categories": categories, "annotations": list(annotations)}
