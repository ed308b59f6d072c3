"""Does the recipe hold on data it was not tuned on? Draws four data sets and trains the default recipe on each.

    python benchmarks/data_sets.py --budget 5m
    python benchmarks/data_sets.py --budget 5m --sets street overlap --recipes balanced scratch

street: 11 classes that fill pictures of 480x360, the sky always above; few: 50 pictures of one class; overlap: two
classes that share pixels; tiny: marks of 6 pixels on pictures of 1600x1200. The table is that of quality.py.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ss_poc.core.drawing import palette
from ss_poc.core.masks import encode_rle

STREET = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "person", "cyclist")
Drawn = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", default="5m")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--recipes", nargs="+", default=["balanced"], help="those of quality.py")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.sets:
            labels, count, draw = SETS[name]
            folder = Path(scratch) / name
            write(folder, labels, count, draw)
            subprocess.run([sys.executable, str(Path(__file__).with_name("quality.py")), "--img_path", str(folder),
                            "--budget", options.budget, "--seeds", "0", "--recipes", *options.recipes], check=True)


def write(folder: Path, labels: tuple[str, ...], count: int, draw: Callable[[np.random.Generator], Drawn]) -> None:
    """Draw `count` pictures and their COCO json, one RLE a picture and class."""
    (folder / ".exports").mkdir(parents=True)
    images, annotations = [], []
    for number in range(count):
        picture, mask = draw(np.random.default_rng(number))
        name, (height, width) = f"{number:04d}.png", picture.shape[:2]
        cv2.imwrite(str(folder / name), picture[..., ::-1])
        images.append({"id": number + 1, "file_name": name, "height": height, "width": width})
        annotations += [{"id": len(labels) * number + channel + 1, "image_id": number + 1, "category_id": channel + 1,
                         "segmentation": encode_rle(mask[..., channel]), "iscrowd": 1}
                        for channel in range(len(labels)) if mask[..., channel].any()]
    categories = [{"id": channel + 1, "name": label, "color": color}
                  for channel, (label, color) in enumerate(zip(labels, palette(len(labels)), strict=True))]
    (folder / ".exports" / "coco-1.json").write_text(json.dumps({"images": images, "annotations": annotations,
                                                                 "categories": categories}))


def textured(random: np.random.Generator, classes: np.ndarray, colors: np.ndarray, noise: float) -> np.ndarray:
    """A picture whose classes have their colours, each picture its light, with noise: (H, W) numbers to (H, W, 3)."""
    size = classes.shape
    light = cv2.resize(random.uniform(0.75, 1.25, (3, 4)).astype(np.float32), size[::-1])[..., None]
    grain = cv2.GaussianBlur(random.normal(0, noise, (*size, 3)), (0, 0), 1.0)
    tint = random.uniform(0.85, 1.15, 3)
    return np.clip(colors[classes] * light * tint + 2 * grain, 0, 255).astype(np.uint8)


def street(random: np.random.Generator) -> Drawn:
    colors = np.array([[150, 180, 220], [140, 110, 90], [95, 95, 95], [90, 85, 95], [160, 140, 140], [60, 100, 50],
                       [190, 70, 60], [120, 95, 70], [70, 75, 120], [170, 110, 100], [110, 60, 110]], np.float64)
    classes = np.zeros((360, 480), np.int32)
    horizon = int(random.integers(130, 190))
    classes[horizon:] = 4
    middle, near = int(random.integers(200, 280)), int(random.integers(150, 230))
    cv2.fillPoly(classes, [np.array([[middle - 15, horizon], [middle + 15, horizon], [240 + near, 359],
                                     [240 - near, 359]])], 3)

    def stand(number: int, count: int, width: tuple[int, int], height: tuple[int, int], drop: int,
              rounded: bool = False) -> None:
        for _ in range(count):
            foot, left = horizon + int(random.integers(0, drop + 1)), int(random.integers(0, 470))
            grown = 1 + (foot - horizon) / 80
            wide, tall = (int(random.integers(*span) * grown) for span in (width, height))
            if rounded:
                cv2.ellipse(classes, (left, foot - tall // 2), (wide // 2 + 1, tall // 2 + 1), 0, 0, 360, number, -1)
            else:
                cv2.rectangle(classes, (left, foot - tall), (left + wide, foot), number, -1)

    stand(1, int(random.integers(3, 7)), (50, 120), (40, 120), 4)
    stand(5, int(random.integers(1, 5)), (30, 70), (40, 90), 10, rounded=True)
    stand(7, int(random.integers(0, 3)), (60, 140), (14, 22), 15)
    stand(2, int(random.integers(1, 4)), (3, 5), (70, 120), 20)
    stand(6, int(random.integers(0, 3)), (9, 16), (9, 16), 5)
    stand(8, int(random.integers(1, 4)), (30, 50), (16, 26), 90)
    stand(9, int(random.integers(0, 4)), (6, 9), (20, 30), 60)
    stand(10, int(random.integers(0, 2)), (12, 18), (22, 30), 80)
    return textured(random, classes, colors, 9), np.arange(11) == classes[..., None]


def few(random: np.random.Generator) -> Drawn:
    mask = np.zeros((240, 300), np.uint8)
    for _ in range(int(random.integers(0, 4))):
        start = random.uniform(30, 210, 2)
        points = start + np.cumsum(random.normal(0, 6, (12, 2)), axis=0)
        cv2.polylines(mask, [points[:, ::-1].astype(np.int32)], False, 1, 3)
    colors = np.array([[140, 138, 135], [95, 92, 92]], np.float64)
    return textured(random, mask.astype(np.int32), colors, 12), mask.astype(bool)[..., None]


def overlap(random: np.random.Generator) -> Drawn:
    """A stain darkens, a scratch brightens, and both may lie on one place."""
    stain, scratch = np.zeros((256, 320), np.uint8), np.zeros((256, 320), np.uint8)
    if random.random() < 0.7:
        cv2.ellipse(stain, random.integers(70, 190, 2).tolist(), random.integers(25, 60, 2).tolist(), 30, 0, 360, 1, -1)
    for _ in range(int(random.integers(0, 3))):
        ends = random.integers(20, 236, (2, 2)).tolist()
        cv2.line(scratch, ends[0], ends[1], 1, 4)
    picture = textured(random, np.zeros((256, 320), np.int32), np.array([[130.0, 130, 130]]), 10).astype(np.int32)
    picture = picture - 45 * stain[..., None] + 50 * scratch[..., None]
    return np.clip(picture, 0, 255).astype(np.uint8), np.stack([stain, scratch], axis=-1).astype(bool)


def tiny(random: np.random.Generator) -> Drawn:
    mask = np.zeros((1200, 1600), np.uint8)
    for _ in range(int(random.integers(0, 5))):
        cv2.circle(mask, random.integers(20, 1180, 2).tolist(), 3, 1, -1)
    colors = np.array([[120, 125, 128], [70, 72, 75]], np.float64)
    return textured(random, mask.astype(np.int32), colors, 8), mask.astype(bool)[..., None]


SETS: dict[str, tuple[tuple[str, ...], int, Callable[[np.random.Generator], Drawn]]] = {
    "street": (STREET, 200, street), "few": (("crack",), 50, few),
    "overlap": (("stain", "scratch"), 120, overlap), "tiny": (("dot",), 80, tiny)}


if __name__ == "__main__":
    main()
