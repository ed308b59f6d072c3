"""Which unlabelled photographs would teach a model most, and what it proposes as their labels.

A photograph is worth labelling where the model is unsure (uncertainty sampling, Lewis & Gale 1994) and where it looks
unlike those that are labelled or chosen already (farthest-first, Sener & Savarese 2018, arXiv 1708.00489).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ..core.drawing import contact_sheet, draw_overlay
from ..core.files import write_csv, write_json
from ..core.host import cores
from ..core.images import decode_image, resize_image, save_image
from ..core.parallel import ahead
from ..formats.label_studio import controls, interface, results_of
from .predictor import Prediction, Predictor, coco_document, unsureness

__all__ = ["Ranked", "choose", "describe", "label_studio_task", "look", "write_ranking"]

# Sides of the small picture that tells photographs apart.
DESCRIPTOR_HW = (12, 12)


@dataclass(frozen=True)
class Ranked:
    """One photograph.

    Attributes:
        name: relative to its folder.
        size_hw: (height, width).
        uncertainty: 0 where the model is sure of every pixel, 1 where the least sure ones are at 0.5.
        descriptor: (D,) float32 of length 1.
    """

    name: str
    size_hw: tuple[int, int]
    uncertainty: float
    descriptor: np.ndarray


def describe(image_rgb: np.ndarray) -> np.ndarray:
    """A photograph's looks as a vector of length 1: a small picture without its mean, and its brightness and contrast.

    Args:
        image_rgb: (H, W, 3) uint8.
    """
    small = resize_image(image_rgb, DESCRIPTOR_HW).astype(np.float32) / 255
    grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    texture = float(cv2.Laplacian(grey, cv2.CV_32F).std())
    looks = np.concatenate([(small - small.mean()).ravel() / np.sqrt(small.size), small.mean(axis=(0, 1)),
                            [small.std(), texture]]).astype(np.float32)
    return looks / max(1e-9, float(np.linalg.norm(looks)))


def look(files: Sequence[Path], folder: Path | None, predictor: Predictor | None, what: str) -> list[Ranked]:
    """Look at photographs; without a model only at their looks.

    Args:
        files: photographs, below `folder` if one is given.
        folder: what names are relative to.
        predictor: the model, or None.
        what: for the progress bar.
    """
    def one(index: int) -> Ranked:
        image = decode_image(files[index])
        unsure = unsureness(predictor.probability(image)) if predictor else 0.0
        name = files[index].relative_to(folder) if folder else files[index]
        return Ranked(name.as_posix(), (image.shape[0], image.shape[1]), unsure,
                      describe(image))

    found = ahead(one, len(files), cores())
    return list(tqdm(found, total=len(files), desc=what, unit="image", disable=None))


def choose(candidates: Sequence[Ranked], known: Sequence[Ranked]) -> list[tuple[Ranked, float]]:
    """All candidates, best first, each with its novelty when it was its turn, 0..2.

    The next one is always that of the highest uncertainty times novelty: its distance to the nearest of those that are
    known or stand before it.
    """
    if not candidates:
        return []
    vectors = np.stack([item.descriptor for item in candidates])
    unsure = np.array([item.uncertainty for item in candidates])
    distance = np.full(len(candidates), 2.0)
    for item in known:
        distance = np.minimum(distance, np.linalg.norm(vectors - item.descriptor, axis=1))
    left, order = np.ones(len(candidates), bool), []
    while left.any():
        # A little of each, so that neither a sure stranger nor an unsure twin is worth nothing.
        worth = np.where(left, (unsure + 0.01) * (distance + 0.01), -1.0)
        best = int(np.argmax(worth))
        order.append((candidates[best], float(distance[best])))
        left[best] = False
        distance = np.minimum(distance, np.linalg.norm(vectors - vectors[best], axis=1))
    return order


def write_ranking(order: Sequence[tuple[Ranked, float]], folder: Path, output: Path, predictor: Predictor,
                  top: int) -> None:
    """Write `ranking.csv` of all, and of the first `top` a picture and proposals: `proposals.json` (COCO) and
    `label_studio.json` (tasks with predictions)."""
    write_csv(output / "ranking.csv", ("rank", "image", "uncertainty", "novelty"),
              [(place, item.name, item.uncertainty, novelty) for place, (item, novelty) in enumerate(order, start=1)])
    spec = predictor.spec
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    tasks: list[dict[str, Any]] = []
    pictures: list[np.ndarray] = []
    for item, _ in tqdm(order[:top], desc="propose", unit="image", disable=None):
        image = decode_image(folder / item.name)
        found = predictor.predict(image)
        images.append({"id": len(images) + 1, "file_name": item.name, "height": item.size_hw[0],
                       "width": item.size_hw[1]})
        annotations += found.coco_annotations(spec.category_ids, len(images), len(annotations) + 1)
        tasks.append(label_studio_task(item, found, f"{spec.name} {spec.version}"))
        shown = draw_overlay(image, spec.colors, outlined=found.mask)
        factor = 320 / max(shown.shape[:2])
        pictures.append(resize_image(shown, [max(1, round(length * factor)) for length in shown.shape[:2]]))
    write_json(output / "proposals.json", coco_document(spec, images, annotations))
    write_json(output / "label_studio.json", tasks)
    if pictures:
        save_image(output / "ranking.jpg", contact_sheet(pictures, 5, (320, 320)))


def label_studio_task(item: Ranked, found: Prediction, version: str) -> dict[str, Any]:
    """One task of Label Studio's json import, the model's regions as editable predictions, in percent of the image."""
    offered = controls(interface(dict(zip(found.labels, found.colors, strict=True))))
    results = [result for annotation in found.coco_annotations(range(len(found.labels)), image_id=1)
               for result in results_of(annotation["segmentation"], found.labels[annotation["category_id"]],
                                        item.size_hw, offered, f"ss-poc-{annotation['id']}")]
    return {"data": {"image": item.name}, "predictions": [{"model_version": version, "score": 1 - item.uncertainty,
                                                           "result": results}]}
