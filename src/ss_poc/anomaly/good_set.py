"""Good photographs → a labelled data set to train on, `result/photos/good_<digest>`: each as it is, and with defects
drawn onto it.

All pictures of a workpiece lie in one folder, so that they train together or validate together; `core.good_names` says
what the names are. Two kinds have their place in the split: photographs that look wrong among the others train, with
nothing drawn onto them; those with labelled defects validate.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..core.config import TrainConfig
from ..core.errors import ConfigError
from ..core.files import atomic_path, flat_names, write_json
from ..core.good_names import ANOMALY, DRAWN, LABELLED
from ..core.images import encode_image, open_image
from ..core.levels import Levels
from ..core.masks import encode_rle
from ..core.run import RunPaths
from ..core.text_table import counted
from ..data.split import SPLIT_FILE, workpiece_of
from ..formats.archives import photo_folder
from ..synthetic.on_photographs import draw_on
from .photographs import Found, Good, find_good

__all__ = ["GROUP", "good_set"]

COLOR = "#e6194b"
JSON_NAME = ".exports/coco-1.json"
GROUP = "^([^/]+)/"  # a folder holds a workpiece
# Pictures with defects: as many as a training of a few minutes sees several times, and no more than a disk holds.
WANTED, MOST_OF_ONE, MOST_PIXELS = 600, 12, 1_000_000_000
LONGEST = 1024  # pixels that the longer side has in the network
DRAWING = 2  # counts up when the same photographs would get other defects

Picture = tuple[str, tuple[int, int], dict[str, Any] | None]
"""Name, (height, width), and the RLE of what was drawn on it."""


def good_set(config: TrainConfig) -> TrainConfig:
    """Make the data set that a training of good photographs alone needs, or find it again.

    Args:
        config: `img_path` names the photographs. Where there are labels, photographs without a region are good, and the
            others validate.

    Returns:
        The settings of an ordinary training, on that data set, in which `anomaly` is the one class.

    Raises:
        DataError: fewer than FEWEST different photographs can be read.
        ConfigError: a setting that contradicts `good_only`.
    """
    if config.json_path and Path(config.json_path) == Path(config.img_path) / JSON_NAME:
        return config  # it is such a data set: a run is repeated as its run.json says
    if config.json_path:
        raise ConfigError(f"json_path is {config.json_path!r} beside good_only", "labels in img_path, or none",
                          "leave json_path out")
    paths = RunPaths(Path(config.result), config.data_set, config.model_name)
    folder = photo_folder(Path(config.img_path), paths.unpacked)
    found = find_good(folder)
    scale = config.scale or min(1.0, LONGEST / max(max(item.size_hw) for item in found.good))
    key = [DRAWING, config.seed, config.group, scale, *sorted(item.digest for item in found.good),
           *sorted(f"{item.digest} {item.regions_key}" for item in found.labelled)]
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:12]
    target = paths.folder.parents[1] / f"good_{digest}"
    if not target.is_dir():
        _write(target, found, scale, config, folder)
    return dataclasses.replace(config, img_dir_name=config.data_set, img_path=str(target), group=GROUP,
                               json_path=str(target / JSON_NAME), scale=config.scale if config.size else scale)


def _copies(good: Sequence[Good]) -> list[int]:
    """How many pictures with defects are drawn of each photograph."""
    pixels = float(np.mean([np.prod(item.size_hw) for item in good]))
    wanted = int(min(WANTED, MOST_PIXELS / pixels, MOST_OF_ONE * len(good)))
    return [wanted * (number + 1) // len(good) - wanted * number // len(good) for number in range(len(good))]


def _write(target: Path, found: Found, scale: float, config: TrainConfig, folder: Path) -> None:
    """Write the data set, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.mkdir()
        stems = _stems(found.good, config.group or "")
        odd = _odd(found)
        pictures = _write_good(temporary, found, stems, odd, scale, config.seed)
        labelled = _write_labelled(temporary, found)
        clean = {item.name: f"{stems[item.name]}{item.path.suffix}" for item in found.good}
        write_json(temporary / SPLIT_FILE, {"train": [clean[name] for name in odd],
                                            "valid": [name for name, _, _ in labelled]})
        info = {"source": os.path.abspath(folder), "labelled": [item.name for item in found.labelled],
                "odd": {clean[name]: deviations for name, deviations in odd.items()}}
        write_json(temporary / JSON_NAME, {"info": info, **_document([*pictures, *labelled])})
    drawn_on = sum(region is not None for _, _, region in pictures)
    print(f"{counted(len(found.good), 'good photograph')}, {counted(drawn_on, 'picture')} of them with defects drawn "
          f"on → {target}", flush=True)


def _stems(good: Sequence[Good], pattern: str) -> dict[str, str]:
    """Folder and name, without a suffix, of each photograph in the data set, by its name in the user's folder."""
    flat = flat_names([item.name for item in good])
    folders = {item.name: workpiece_of(item.name, pattern).replace("/", "__") or flat[item.name] for item in good}
    return {name: f"{folders[name]}/{flat[name]}" for name in folders}


def _odd(found: Found) -> dict[str, float]:
    """Names of the photographs that look wrong among the others, the farthest first, each with its deviations."""
    from .odd import find_odd  # TensorFlow takes seconds to load

    oddness = find_odd(lambda index: open_image(found.good[index].path).decode(levels=found.levels), len(found.good))
    odd = {found.good[index].name: round(oddness.deviations[index], 1) for index in oddness.odd}
    for name, deviations in odd.items():
        print(f"note: {name} looks wrong among the good photographs, {deviations:.0f} deviations away. It counts less, "
              "and the report shows it", flush=True)
    return odd


def _write_good(folder: Path, found: Found, stems: dict[str, str], odd: dict[str, float], scale: float,
                seed: int) -> list[Picture]:
    """Write each good photograph as it is and, but for odd ones, with defects."""
    pictures: list[Picture] = []
    usual = [item for item in found.good if item.name not in odd]
    copies = dict(zip((item.name for item in usual), _copies(usual), strict=True))
    for item in tqdm(found.good, desc="drawing defects on good photographs", unit="photograph", disable=None):
        stem = stems[item.name]
        _copy(item.path, folder / f"{stem}{item.path.suffix}")
        pictures.append((f"{stem}{item.path.suffix}", item.size_hw, None))
        drawn = _drawn(item, found.levels, copies.get(item.name, 0), 1 / scale, seed)
        for number, (image, mask) in enumerate(drawn, 1):
            (folder / f"{stem}{DRAWN}{number}.png").write_bytes(encode_image(image, ".png"))
            pictures.append((f"{stem}{DRAWN}{number}.png", item.size_hw, encode_rle(mask) if mask.any() else None))
    return pictures


def _write_labelled(folder: Path, found: Found) -> list[Picture]:
    """Write the photographs with labelled defects; their regions, of whatever class, are anomalies."""
    flat = flat_names([sample.name for sample in found.labelled])
    pictures: list[Picture] = []
    for sample in tqdm(found.labelled, desc="reading labelled defects", unit="photograph", disable=None):
        name = f"{LABELLED}/{flat[sample.name]}{sample.path.suffix}"
        _copy(sample.path, folder / name)
        pictures.append((name, sample.size_hw, encode_rle(sample.mask(found.classes).any(axis=-1))))
    return pictures


def _drawn(good: Good, levels: Levels, count: int, enlarged: float,
           seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The photograph `count` times, (H, W, 3) uint8, with defects, and where they are, (H, W) bool."""
    if count:
        image = open_image(good.path).decode(levels=levels)
        for number in range(count):
            yield draw_on(image, np.random.default_rng([seed, int(good.digest[:8], 16), number]), enlarged)


def _copy(source: Path, target: Path) -> None:
    """A second name for the file, or a copy on another disk."""
    target.parent.mkdir(exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _document(pictures: Iterable[Picture]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, (height, width), region) in enumerate(pictures, 1):
        images.append({"id": number, "file_name": name, "height": height, "width": width})
        if region:
            annotations.append({"id": len(annotations) + 1, "image_id": number, "category_id": 1, "iscrowd": 1,
                                "segmentation": region})
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": ANOMALY, "color": COLOR}]}
