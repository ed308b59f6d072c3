"""Run a trained model over photographs.

    python -m ss_poc.predict photos/ --img_dir_name demo --model_name v_1
    python -m ss_poc.predict 'photos/*.jpg' --img_dir_name demo --model_name v_1 --output out --threshold 0.3
    python -m ss_poc.predict --rank unlabelled/ --img_dir_name demo --model_name v_1 --top 20
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..core.config import PredictConfig, from_flags
from ..core.drawing import draw_overlay
from ..core.errors import ArtifactError, DataError, ImageError
from ..core.files import read_json, write_csv, write_json
from ..core.images import decode_image, find_images, save_image
from ..core.run import RLE_COLUMNS, RunPaths, find_json, read_run
from .predictor import Predictor, coco_document
from .ranking import choose, look, write_ranking

__all__ = ["main", "predict"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0 if every image was read, else 1."""
    config = from_flags(PredictConfig, argv, "Run a trained model over photographs.", positional=("images",))
    paths = RunPaths(Path(config.result), config.img_dir_name, config.model_name).require()
    output = Path(config.output) if config.output else paths.prediction / ("rank" if config.rank else "")
    predictor = Predictor.load(paths.export, paths.rules)
    if config.rank:
        rank(paths, predictor, config, output)
        return 0
    broken = predict(predictor, find_images(config.images), output, config.threshold or None, root(config.images))
    for name, reason in broken:
        print(f"not read: {name}: {reason}", file=sys.stderr)
    return 1 if broken else 0


def rank(paths: RunPaths, predictor: Predictor, config: PredictConfig, output: Path) -> None:
    """Order photographs that are not labelled yet by what labelling them would teach; propose labels for the first."""
    run = read_run(paths)
    labelled, folder = Path(run["data"]["img_path"]), root(config.images)
    trained = [labelled / name for side in ("train", "valid") for name in run["split"][side]]
    known = [*{path.resolve(): path for path in (*trained, *exported(folder)) if path.is_file()}.values()]
    taken = {path.resolve() for path in known}
    files = [path for path in find_images(config.images) if path.resolve() not in taken]
    if not files:
        raise DataError(f"every photograph of {config.images} is labelled already", "some that are not")
    order = choose(look(files, folder, predictor, "rank"), look(known, None, None, "compare"))
    write_ranking(order, folder, output, predictor, config.top)
    print(f"{len(order)} photographs, ordered → {output / 'ranking.csv'}; the first {min(config.top, len(order))}: "
          f"{output / 'ranking.jpg'}, with proposals for the annotator: {output / 'proposals.json'} (COCO), "
          f"{output / 'label_studio.json'}", flush=True)


def exported(folder: Path) -> list[Path]:
    """Photographs of a folder that are in its newest export: labelled, whether the model saw them or not."""
    try:
        document = read_json(find_json(folder))
    except ArtifactError:
        return []
    return [folder / str(item.get("file_name", "")) for item in document.get("images", [])]


def root(images: str) -> Path:
    """Folder that the names of the images are relative to."""
    path = Path(images)
    if path.is_dir():
        return path
    fixed = []
    for part in path.parent.parts:
        if any(character in part for character in "*?["):
            break
        fixed.append(part)
    return Path(*fixed)


def predict(predictor: Predictor, files: Sequence[Path], output: Path, threshold: float | None,
            folder: Path) -> list[tuple[str, str]]:
    """Write COCO json, RLE csv and an overlay an image to `output`; go on where an image is broken.

    Args:
        predictor: the model.
        files: images, below `folder`.
        output: where the results go.
        threshold: for every class, or None for the rules' own.
        folder: what file names in the results are relative to.

    Returns:
        (name, reason) of each image that could not be read.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    rows: list[tuple[Any, ...]] = []
    broken: list[tuple[str, str]] = []
    for file in tqdm(files, desc="predict", unit="image", disable=None):
        name = file.relative_to(folder).as_posix()
        try:
            image = decode_image(file)
        except (ImageError, OSError) as error:
            broken.append((name, str(error).splitlines()[0]))
            continue
        found = predictor.predict(image, threshold)
        height, width = image.shape[:2]
        images.append({"id": len(images) + 1, "file_name": name, "width": width, "height": height})
        annotations += found.coco_annotations(predictor.spec.category_ids, len(images), len(annotations) + 1)
        rows += [(name, label, height, width, rle["counts"])
                 for label, rle in zip(predictor.spec.labels, found.rles, strict=True)]
        save_image(output / "overlay" / f"{name.replace('/', '__')}.jpg",
                   draw_overlay(image, predictor.spec.colors, outlined=found.mask, filled=found.mask))
    write_json(output / "coco.json", coco_document(predictor.spec, images, annotations))
    write_csv(output / "rle.csv", RLE_COLUMNS, rows)
    defects = len({annotation["image_id"] for annotation in annotations})
    print(f"{len(images)} images, {defects} with a defect, {len(broken)} not read → {output}", flush=True)
    return broken
