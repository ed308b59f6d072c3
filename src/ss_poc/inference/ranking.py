"""The order in which to label photographs, so that the model learns most, and the regions that it proposes on them.

A photograph is worth labelling if the model is unsure of it (uncertainty sampling, Lewis & Gale 1994) and if it looks
unlike those that are labelled or chosen already (farthest-first, Sener & Savarese 2018, arXiv 1708.00489).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ..core.config import PredictConfig
from ..core.drawing import contact_sheet, draw_overlay
from ..core.errors import ArtifactError, DataError
from ..core.files import read_json, write_csv, write_json
from ..core.host import cores
from ..core.images import PLAIN, find_images, resize_image, save_image
from ..core.levels import Levels
from ..core.parallel import ahead
from ..core.run import Run, RunPaths, find_json
from ..core.text_table import counted
from ..formats.label_studio import controls, interface, results_of
from .predictor import Prediction, Predictor, coco_document, strangeness, unsureness
from .reading import Unread, read_photograph, root

__all__ = ["Ranked", "choose", "describe", "exported", "label_studio_task", "look", "rank", "write_ranking"]

# (height, width) of the small picture by which photographs are compared.
DESCRIPTOR_HW = (12, 12)


@dataclass(frozen=True)
class Ranked:
    """A photograph with what its rank follows from.

    Attributes:
        name: posix path relative to its folder.
        size_hw: (height, width) in pixels.
        uncertainty: 0..1, see `unsureness`; 0 without a model.
        descriptor: (D,) float32 of length 1, see `describe`.
    """

    name: str
    size_hw: tuple[int, int]
    uncertainty: float
    descriptor: np.ndarray


def rank(paths: RunPaths, predictor: Predictor, config: PredictConfig, output: Path) -> list[Unread]:
    """Order the photographs without labels by how much labelling them would teach the model, and write the order, with
    the model's regions on the first ones, to `output`.

    Returns:
        The photographs that could not be read, labelled ones too: they do not stop the others.

    Raises:
        DataError: all photographs are labelled.
    """
    run = Run.read(paths)
    labelled, folder = Path(run.data.img_path), root(config.images)
    trained = [labelled / name for name in (*run.split.train, *run.split.valid)]
    known = [*{path.resolve(): path for path in (*trained, *exported(folder)) if path.is_file()}.values()]
    taken = {path.resolve() for path in known}
    files = [path for path in find_images(config.images) if path.resolve() not in taken]
    if not files:
        raise DataError(f"every photograph of {config.images} is labelled already", "photographs without labels")
    levels = predictor.spec.levels
    found, broken = look(files, folder, predictor, "rank", levels,
                         strangeness if run.config.good_only else unsureness)
    compared, lost = look(known, None, None, "compare", levels)
    order = choose(found, compared)
    broken += [*lost, *write_ranking(order, folder, output, predictor, config.top)]
    print(f"{counted(len(order), 'photograph')} in order, {len(broken)} not read → {output / 'ranking.csv'}; the first "
          f"{min(config.top, len(order))} of them → {output / 'ranking.jpg'}, with proposals → "
          f"{output / 'proposals.json'} (COCO), {output / 'label_studio.json'} (Label Studio)", flush=True)
    return broken


def exported(folder: Path) -> list[Path]:
    """Return the photographs in the newest export of a folder: they are labelled, even if the model never saw them."""
    try:
        document = read_json(find_json(folder))
    except ArtifactError:
        return []
    images = document.get("images") if isinstance(document, dict) else None
    return [folder / str(item.get("file_name", "")) for item in images or () if isinstance(item, dict)]


def describe(image_rgb: np.ndarray) -> np.ndarray:
    """Describe the looks of a photograph: a small copy less its mean, its mean colour, contrast and texture.

    Args:
        image_rgb: (H, W, 3) uint8 RGB.

    Returns:
        (D,) float32 of length 1.
    """
    small = resize_image(image_rgb, DESCRIPTOR_HW).astype(np.float32) / 255
    grey = cv2.cvtColor(image_rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    texture = float(cv2.Laplacian(grey, cv2.CV_32F).std())
    looks = np.concatenate([(small - small.mean()).ravel() / np.sqrt(small.size), small.mean(axis=(0, 1)),
                            [small.std(), texture]]).astype(np.float32)
    return looks / max(1e-9, float(np.linalg.norm(looks)))


def look(files: Sequence[Path], folder: Path | None, predictor: Predictor | None, what: str, levels: Levels = PLAIN,
         worth: Callable[[np.ndarray], float] = unsureness) -> tuple[list[Ranked], list[Unread]]:
    """Read photographs and describe each, with the model's uncertainty if a model is given.

    Args:
        files: photographs, in `folder` or its subfolders.
        folder: the names are relative to it; None for names as they are in `files`.
        predictor: the model, or None for an uncertainty of 0.
        what: text of the progress bar.
        levels: of the model.
        worth: what stands for the uncertainty, of the model's probabilities: `unsureness`, or `strangeness` of a model
            of good photographs alone.

    Returns:
        The photographs that can be read, and those that cannot.
    """
    def one(index: int) -> Ranked | Unread:
        name = (files[index].relative_to(folder) if folder else files[index]).as_posix()
        read = read_photograph(files[index], name, levels)
        if isinstance(read, Unread):
            return read
        image = read.image_rgb
        unsure = worth(predictor.probability(image)) if predictor else 0.0
        return Ranked(name, (image.shape[0], image.shape[1]), unsure, describe(image))

    found = list(tqdm(ahead(one, len(files), cores()), total=len(files), desc=what, unit="image", disable=None))
    return ([item for item in found if isinstance(item, Ranked)], [item for item in found if isinstance(item, Unread)])


def choose(candidates: Sequence[Ranked], known: Sequence[Ranked]) -> list[tuple[Ranked, float]]:
    """Order candidates, the one most worth labelling first.

    The next one is always the candidate with the highest product of uncertainty and novelty. The novelty of a candidate
    is the distance, 0..2, of its descriptor to the nearest one among the known photographs and those before it.

    Returns:
        Each candidate, with its novelty at the time it was chosen.
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
        # Neither factor is 0: a new-looking photograph counts though the model is sure of it, and so does the reverse.
        worth = np.where(left, (unsure + 0.01) * (distance + 0.01), -1.0)
        best = int(np.argmax(worth))
        order.append((candidates[best], float(distance[best])))
        left[best] = False
        distance = np.minimum(distance, np.linalg.norm(vectors - vectors[best], axis=1))
    return order


def write_ranking(order: Sequence[tuple[Ranked, float]], folder: Path, output: Path, predictor: Predictor,
                  top: int) -> list[Unread]:
    """Write `ranking.csv` with all photographs; and for the first `top`, a picture of the model's regions
    (`ranking.jpg`) and the regions as `proposals.json` (COCO) and `label_studio.json` (tasks with predictions).

    Args:
        order: as `choose` returns it.
        folder: the names are relative to it.
        output: folder to write to.
        predictor: the model that proposes.
        top: number of photographs with proposals.

    Returns:
        Those of the first `top` that cannot be read any more: they are ranked, and have no proposals.
    """
    write_csv(output / "ranking.csv", ("rank", "image", "uncertainty", "novelty"),
              [(place, item.name, item.uncertainty, novelty) for place, (item, novelty) in enumerate(order, start=1)])
    spec = predictor.spec
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    tasks: list[dict[str, Any]] = []
    pictures: list[np.ndarray] = []
    broken: list[Unread] = []
    for item, _ in tqdm(order[:top], desc="propose", unit="image", disable=None):
        read = read_photograph(folder / item.name, item.name, spec.levels)
        if isinstance(read, Unread):
            broken.append(read)
            continue
        image = read.image_rgb
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
    return broken


def label_studio_task(item: Ranked, found: Prediction, version: str) -> dict[str, Any]:
    """Return a task for Label Studio's json import, with the model's regions as predictions.

    Args:
        item: the photograph.
        found: the model's prediction for it.
        version: name and version of the model to show.
    """
    offered = controls(interface(dict(zip(found.labels, found.colors, strict=True))))
    results = [result for annotation in found.coco_annotations(range(len(found.labels)), image_id=1)
               for result in results_of(annotation["segmentation"], found.labels[annotation["category_id"]],
                                        item.size_hw, offered, f"ss-poc-{annotation['id']}")]
    return {"data": {"image": item.name}, "predictions": [{"model_version": version, "score": 1 - item.uncertainty,
                                                           "result": results}]}
