"""Good photographs → a labelled data set to train on: each as it is, and with defects drawn onto it.

    result/photos/good_<digest>/<workpiece>/<photograph>.jpg         as the user has it
    result/photos/good_<digest>/<workpiece>/<photograph>~1.png       with defects, which the json marks

All pictures of a workpiece lie in one folder, so that they train together or validate together.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ..core.bit_depth import Values, find_levels
from ..core.config import TrainConfig
from ..core.errors import ArtifactError, ConfigError, DataError, ImageError
from ..core.files import atomic_path, flat_names, write_json
from ..core.images import encode_image, images_below, open_image
from ..core.levels import Levels
from ..core.masks import encode_rle
from ..core.run import RunPaths
from ..core.text_table import counted
from ..data.split import workpiece_of
from ..formats.archives import photo_folder
from ..formats.coco_rules import Problem
from ..formats.find_file import Photographs
from ..formats.labels import find_labels, read_labels
from ..synthetic.on_photographs import draw_on

__all__ = ["ANOMALY", "DRAWN", "GROUP", "Good", "find_good", "good_set"]

ANOMALY = "anomaly"
COLOR = "#e6194b"
JSON_NAME = ".exports/coco-1.json"
DRAWN = "~"  # in the names of pictures with defects
GROUP = "^([^/]+)/"  # a folder holds a workpiece
FEWEST = 2  # one trains, one validates
# Pictures with defects: as many as a training of a few minutes sees several times, and no more than a disk holds.
WANTED, MOST_OF_ONE, MOST_PIXELS = 600, 12, 1_000_000_000
MOST_GOOD = 2000
LONGEST = 1024  # pixels that the longer side has in the network
DRAWING = 1  # counts up when the same photographs would get other defects

Picture = tuple[str, tuple[int, int], dict[str, Any] | None]
"""Name, (height, width), and the RLE of what was drawn on it."""


@dataclass(frozen=True)
class Good:
    """A good photograph: its file, its name in the user's folder, its SHA-256, the values of a file with more than 8
    bits, and (height, width) in pixels, upright."""

    path: Path
    name: str
    digest: str
    values: Values | None
    size_hw: tuple[int, int]


def good_set(config: TrainConfig) -> TrainConfig:
    """Make the data set that a training of good photographs alone needs, or find it again.

    Args:
        config: `img_path` names the photographs. Where there are labels, photographs without a region are good, and the
            others are left out.

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
    good, levels, left_out = find_good(folder)
    scale = config.scale or min(1.0, LONGEST / max(max(item.size_hw) for item in good))
    key = [DRAWING, config.seed, config.group, scale, *sorted(item.digest for item in good)]
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:12]
    target = paths.folder.parents[1] / f"good_{digest}"
    if not target.is_dir():
        _write(target, good, levels, scale, config, folder, left_out)
    return dataclasses.replace(config, img_dir_name=config.data_set, img_path=str(target), group=GROUP,
                               json_path=str(target / JSON_NAME), scale=config.scale if config.size else scale)


def find_good(folder: Path) -> tuple[list[Good], Levels, list[str]]:
    """Return the good photographs of a folder, each file once; what becomes black and white in those of more than 8
    bits; and the names of those in which labels mark something. A line is printed for what is left out. Raises
    DataError where fewer than FEWEST are there."""
    named, marked = _by_labels(folder)
    found: dict[str, Good] = {}
    unread: list[str] = []
    names = sorted(named) if named is not None else [path.relative_to(folder).as_posix()
                                                     for path in images_below(folder)]
    for name in tqdm(names, desc="looking at good photographs", unit="image", disable=None):
        try:
            data = (folder / name).read_bytes()
            opened = open_image(data)
            opened.verify()
        except (ImageError, OSError) as error:
            unread.append(f"{name}: {str(error).splitlines()[0]}")
            continue
        digest = hashlib.sha256(data).hexdigest()
        found.setdefault(digest, Good(folder / name, name, digest, opened.values, opened.upright_hw))
    for line in unread:
        print(f"note: not read: {line}", flush=True)
    again = len(names) - len(unread) - len(found)
    if again:
        print(f"note: {counted(again, 'photograph')} left out, the same files as others", flush=True)
    if len(found) < FEWEST:
        raise DataError(f"{folder} holds {counted(len(found), 'different photograph')} that can be read"
                        + (" and is good, by the labels there" if named is not None else ""),
                        f"at least {FEWEST}, better 20: some train, others validate",
                        "put more photographs of good workpieces into the folder")
    return _spread(list(found.values())), find_levels(item.values for item in found.values() if item.values), marked


def _by_labels(folder: Path) -> tuple[list[str] | None, list[str]]:
    """Names of the photographs in which the labels of a folder mark nothing, None where there are no labels; and of
    those in which they mark something."""
    try:
        coco = read_labels(find_labels(folder), folder, [])
    except ArtifactError:
        return None, []
    with_regions, photographs = {item.image_id for item in coco.annotations}, Photographs(folder)
    clean: set[str] = set()
    marked: set[str] = set()
    for entry in coco.images:
        try:
            name = photographs.find(entry).name
        except Problem:
            continue
        (marked if entry.id in with_regions else clean).add(name)
    print(f"the labels there mark nothing on {len(clean)} of {counted(len(coco.images), 'photograph')}: these are good",
          flush=True)
    return sorted(clean), sorted(marked)


def _spread(good: list[Good]) -> list[Good]:
    """At most MOST_GOOD of them, by chance that follows from their content."""
    if len(good) > MOST_GOOD:
        print(f"note: {MOST_GOOD} of {len(good)} good photographs are used", flush=True)
    kept = sorted(good, key=lambda item: item.digest)[:MOST_GOOD]
    return sorted(kept, key=lambda item: item.name)


def _copies(good: Sequence[Good]) -> list[int]:
    """How many pictures with defects are drawn of each photograph."""
    pixels = float(np.mean([np.prod(item.size_hw) for item in good]))
    wanted = int(min(WANTED, MOST_PIXELS / pixels, MOST_OF_ONE * len(good)))
    return [wanted * (number + 1) // len(good) - wanted * number // len(good) for number in range(len(good))]


def _write(target: Path, good: Sequence[Good], levels: Levels, scale: float, config: TrainConfig, folder: Path,
           left_out: Sequence[str]) -> None:
    """Write the data set, whole or not at all; `left_out` are names in the user's `folder`."""
    pictures: list[Picture] = []
    flat = flat_names([item.name for item in good])
    with atomic_path(target) as temporary:
        for item, count in zip(tqdm(good, desc="drawing defects on good photographs", unit="photograph", disable=None),
                               _copies(good), strict=True):
            workpiece = workpiece_of(item.name, config.group or "").replace("/", "__") or flat[item.name]
            stem = f"{workpiece}/{flat[item.name]}"
            (temporary / workpiece).mkdir(parents=True, exist_ok=True)
            _copy(item.path, temporary / f"{stem}{item.path.suffix}")
            pictures.append((f"{stem}{item.path.suffix}", item.size_hw, None))
            for number, (drawn, mask) in enumerate(_drawn(item, levels, count, 1 / scale, config.seed), 1):
                (temporary / f"{stem}{DRAWN}{number}.png").write_bytes(encode_image(drawn, ".png"))
                pictures.append((f"{stem}{DRAWN}{number}.png", item.size_hw, encode_rle(mask) if mask.any() else None))
        write_json(temporary / JSON_NAME, {"info": {"source": os.path.abspath(folder), "left_out": left_out},
                                           **_document(pictures)})
    drawn_on = sum(region is not None for _, _, region in pictures)
    print(f"{counted(len(good), 'good photograph')}, {counted(drawn_on, 'picture')} of them with defects drawn on → "
          f"{target}", flush=True)


def _drawn(good: Good, levels: Levels, count: int, enlarged: float,
           seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The photograph `count` times, (H, W, 3) uint8, with defects, and where they are, (H, W) bool."""
    if count:
        image = open_image(good.path).decode(levels=levels)
        for number in range(count):
            yield draw_on(image, np.random.default_rng([seed, int(good.digest[:8], 16), number]), enlarged)


def _copy(source: Path, target: Path) -> None:
    """A second name for the file, or a copy on another disk."""
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
