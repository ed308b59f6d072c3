"""Draw a labelled demo data set: photographs of steel with scratches, pits, stains and cracks.

    python -m ss_poc.demo
    python -m ss_poc.demo --out photos --images 40 --seed 1
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ..core.config import DEMO
from ..core.errors import ArtifactError
from ..core.files import atomic_path, read_json, remove_leftovers_of
from ..core.masks import polygons_to_mask
from ..core.settings import check_bounds, from_flags, setting
from ..core.text_table import counted
from .steel import CLASSES, SIZE_HW, draw_photograph

__all__ = ["main", "make_demo"]

JSON_NAME = "coco-1700000000.0.json"
DESCRIPTION = "ss_poc.demo"


@dataclass(frozen=True)
class DemoConfig:
    """Settings of `python -m ss_poc.demo`."""

    out: str = setting(DEMO, "folder to make")
    images: int = setting(160, "number of pictures", least=1, most=9999)
    seed: int = setting(0, "same seed, same pictures", least=0)


def _plan(images: int, seed: int) -> list[list[str]]:
    """Classes of each picture: a quarter has none, the others share the four out evenly and have 1 to 3."""
    random, names = np.random.default_rng(seed), list(CLASSES)
    plan: list[list[str]] = [[] for _ in range(images // 4)]
    for number in range(images - len(plan)):
        first = names[number % len(names)]
        others = random.permutation([name for name in names if name != first]).tolist()
        plan.append(sorted([first, *others[:random.choice(3, p=[0.5, 0.43, 0.07])]], key=names.index))
    return [plan[index] for index in random.permutation(images)]


def _annotation(number: int, image_id: int, name: str, polygons: list[list[float]]) -> dict[str, Any]:
    mask = polygons_to_mask(polygons, SIZE_HW)
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return {"id": number, "image_id": image_id, "category_id": list(CLASSES).index(name) + 1, "segmentation": polygons,
            "area": int(mask.sum()), "bbox": [left, top, width, height], "iscrowd": False, "isbbox": False,
            "color": CLASSES[name][0], "metadata": {}}


def _write(folder: Path, name: str, images: int, seed: int) -> None:
    """Draw all pictures into `folder`, and the json as coco-annotator would export it for a data set of that name."""
    (folder / ".exports").mkdir(parents=True)
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index, classes in enumerate(tqdm(_plan(images, seed), desc="drawing the demo", unit="picture")):
        picture, regions = draw_photograph(np.random.default_rng([seed, index]), classes)
        file_name = f"demo_{index + 1:04d}.jpg"
        _, jpeg = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
        (folder / file_name).write_bytes(jpeg.tobytes())
        entries.append({"id": index + 1, "width": SIZE_HW[1], "height": SIZE_HW[0], "file_name": file_name,
                        "path": f"/datasets/{name}/{file_name}", "license": None, "coco_url": None,
                        "date_captured": None, "dataset_id": 1})
        for label, polygons in zip(classes, regions, strict=True):
            annotations.append(_annotation(len(annotations) + 1, index + 1, label, polygons))
    categories = [{"id": number, "name": label, "supercategory": "", "color": color, "metadata": {},
                   "keypoint_colors": []} for number, (label, (color, _)) in enumerate(CLASSES.items(), 1)]
    value = {"info": {"description": DESCRIPTION, "seed": seed}, "images": entries, "categories": categories,
             "annotations": annotations}
    (folder / ".exports" / JSON_NAME).write_text(json.dumps(value), encoding="utf-8")


def _is_demo(folder: Path) -> bool:
    """Tell whether the folder holds a whole demo set. False: it is missing or empty; anything else is an error."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        value = read_json(folder / ".exports" / JSON_NAME)
        names, about = [entry["file_name"] for entry in value["images"]], value["info"]
        whole = about["description"] == DESCRIPTION and all((folder / name).is_file() for name in names)
    except (ArtifactError, OSError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ArtifactError(f"{folder} is there already, and is no whole demo set", "a folder that is new or empty",
                            "give another one with --out, or move this one away; nothing in it was touched")
    print(f"using the demo set in {folder}: {counted(len(names), 'picture')}, seed {about.get('seed')}; remove it to "
          "get another")
    return True


def make_demo(folder: Path, images: int = 160, seed: int = 0) -> Path:
    """Draw a labelled demo set into `folder`, whole or not at all; return the path of its json.

    A demo set that is there already is used as it is, and a line says so. The same seed gives the same files, byte by
    byte.

    Args:
        folder: new, empty, or a demo set.
        images: number of pictures, 1 to 9999.
        seed: 0 or above.

    Raises:
        ArtifactError: the folder holds something else.
    """
    folder = folder.resolve()
    if not _is_demo(folder):
        remove_leftovers_of(folder)
        with atomic_path(folder) as temporary:
            _write(temporary, folder.name, images, seed)
            _is_demo(folder)  # an error where somebody has put something there meanwhile
        print(f"drew {counted(images, 'picture')} into {folder}")
    return folder / ".exports" / JSON_NAME


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = from_flags(DemoConfig, argv, "Draw a labelled demo data set.", examples=__doc__)
    check_bounds(config)
    make_demo(Path(config.out), config.images, config.seed)
