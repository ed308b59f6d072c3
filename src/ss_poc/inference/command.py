"""Run a trained model over photographs.

    python -m ss_poc.predict photos/ --img_dir_name demo --model_name v_1
    python -m ss_poc.predict 'photos/*.jpg' --img_dir_name demo --model_name v_1 --output out --threshold 0.3
    python -m ss_poc.predict --rank unlabelled/ --img_dir_name demo --model_name v_1 --top 20
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..core.bit_depth import range_warnings
from ..core.config import PredictConfig
from ..core.drawing import draw_overlay
from ..core.errors import ArtifactError, DataError
from ..core.files import flat_names, read_json, write_csv, write_json
from ..core.images import find_images, save_image
from ..core.run import RLE_COLUMNS, Run, RunPaths, find_json
from ..core.settings import from_flags
from ..core.text_table import counted
from .predictor import Predictor, coco_document, strangeness, unsureness
from .ranking import choose, look, write_ranking
from .reading import Unread, read_photograph

__all__ = ["main", "predict"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. The exit status is 0 if every image was read, else 1."""
    config = from_flags(PredictConfig, argv, "Run a trained model over photographs.", positional=("images",),
                        examples=__doc__)
    paths = RunPaths(Path(config.result), config.data_set, config.model_name).require()
    output = Path(config.output) if config.output else paths.prediction / ("rank" if config.rank else "")
    predictor = Predictor.load(paths.export, paths.rules)
    if config.rank:
        broken = rank(paths, predictor, config, output)
    else:
        broken = predict(predictor, find_images(config.images), output, config.threshold, root(config.images))
    for item in broken:
        print(f"not read: {item.name}: {item.reason}", file=sys.stderr)
    return 1 if broken else 0


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


def root(images: str) -> Path:
    """Return the folder that the names of the images are relative to: of a glob, the folders without wildcards."""
    path = Path(images)
    if path.is_dir():
        return path
    return Path(*takewhile(lambda name: not set(name) & set("*?["), path.parent.parts))


def predict(predictor: Predictor, files: Sequence[Path], output: Path, threshold: float | None,
            folder: Path) -> list[Unread]:
    """Predict images, and write COCO json, RLE csv and an overlay of each image to `output`.

    An image that cannot be read does not stop the others.

    Args:
        predictor: the model.
        files: images, in `folder` or its subfolders.
        output: folder to write to.
        threshold: probability in 0..1 for every class, or None for each rule's own.
        folder: the names in the results are relative to it.

    Returns:
        The images that could not be read.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    rows: list[tuple[Any, ...]] = []
    broken: list[Unread] = []
    levels = predictor.spec.levels
    names = [file.relative_to(folder).as_posix() for file in files]
    flat = flat_names(names, suffixes=True)
    for file, name in zip(tqdm(files, desc="predict", unit="image", disable=None), names, strict=True):
        read = read_photograph(file, name, levels)
        if isinstance(read, Unread):
            broken.append(read)
            continue
        image = read.image_rgb
        for warning in range_warnings(read.values, levels):
            tqdm.write(f"note: {name}: {warning}", sys.stderr)
        found = predictor.predict(image, threshold)
        height, width = image.shape[:2]
        images.append({"id": len(images) + 1, "file_name": name, "width": width, "height": height})
        annotations += found.coco_annotations(predictor.spec.category_ids, len(images), len(annotations) + 1)
        rows += [(name, label, height, width, rle["counts"])
                 for label, rle in zip(predictor.spec.labels, found.rles, strict=True)]
        save_image(output / "overlay" / f"{flat[name]}.jpg",
                   draw_overlay(image, predictor.spec.colors, outlined=found.mask, filled=found.mask))
    write_json(output / "coco.json", coco_document(predictor.spec, images, annotations))
    write_csv(output / "rle.csv", RLE_COLUMNS, rows)
    defects = len({annotation["image_id"] for annotation in annotations})
    print(f"{counted(len(images), 'image')}, {defects} with a defect, {len(broken)} not read → {output}", flush=True)
    return broken
