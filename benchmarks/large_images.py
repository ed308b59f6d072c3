"""Whether small scratches on large photographs are learned, and in how much memory.

    python benchmarks/large_images.py --images 60 --megapixels 20 --budget 10m
    python benchmarks/large_images.py --images 2000 --megapixels 12 --budget 5m

Draws grey brushed-metal photographs with a few scratches 30 pixels long and 3 wide; trains, exports, searches through
the commands a user types, and prints peak memory of each and the scores. Of more than 100 photographs the others are
copies with other bytes at their end, so that 2,000 are soon made: then only the memory says something.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
from commands import measured

from ss_poc.core.host import cores
from ss_poc.core.run import RunPaths, read_run

DIFFERENT = 100
LENGTH, WIDTH = 30, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--megapixels", type=float, default=20)
    parser.add_argument("--budget", default="10m")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        draw(root / "large", options.images, options.megapixels)
        shared = ["--result", str(root / "result"), "--img_dir_name", "large", "--model_name", "v_1"]
        print(f"{options.images} photographs of {options.megapixels:g} megapixels, {options.budget}, "
              f"{cores()} cores\n\n| command | seconds | peak GiB |\n| --- | --- | --- |")
        for module, flags in (("train", ["--img_path", str(root / "large"), "--budget", options.budget]),
                              ("export", []), ("post_processing", [])):
            print("| {} | {:.0f} | {:.2f} |".format(module, *measured(module, *shared, *flags)), flush=True)
        run = read_run(RunPaths(root / "result", "large", "v_1"))
        print("\n" + "\n".join(f"{row['setting']}: {row['value']} ({row['why']})" for row in run["recipe"]
                               if row["setting"] in ("scale", "size", "crop", "batch_size")))
        if options.images > DIFFERENT:
            return
        print(f"\nIoU {run['scores']['iou']['scratch']:.3f} over the pixels, mean Dice of an image "
              f"{run['scores']['dice']['scratch']:.3f} ({run['scores']['images']} validation images)")


def draw(folder: Path, count: int, megapixels: float) -> None:
    """`count` JPEGs with their COCO json; every fourth is clean."""
    (folder / ".exports").mkdir(parents=True)
    height = round((megapixels * 1e6 * 2 / 3)**0.5)
    width = round(height * 1.5)
    random = np.random.default_rng(0)
    kinds = [photograph(random, height, width, 0 if number % 4 == 0 else int(random.integers(1, 6)))
             for number in range(min(DIFFERENT, count))]
    images, annotations = [], []
    for number in range(count):
        data, outlines = kinds[number % len(kinds)]
        name = f"{number:05d}.jpg"
        (folder / name).write_bytes(data + number.to_bytes(4, "big"))
        images.append({"id": number + 1, "file_name": name, "height": height, "width": width})
        annotations += [{"id": len(annotations) + index + 1, "image_id": number + 1, "category_id": 1,
                         "segmentation": [outline], "iscrowd": 0} for index, outline in enumerate(outlines)]
    (folder / ".exports" / "coco-1.json").write_text(json.dumps({
        "images": images, "annotations": annotations,
        "categories": [{"id": 1, "name": "scratch", "color": "#ff0000"}]}))


def photograph(random: np.random.Generator, height: int, width: int, scratches: int) -> tuple[bytes, list[list[float]]]:
    """JPEG bytes of brushed metal, and the polygons of its scratches."""
    brushed = cv2.resize(random.normal(0, 6, (height, width // 16)).astype(np.float32), (width, height))
    shade = cv2.resize(random.normal(0, 25, (6, 9)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    image = cv2.cvtColor(np.clip(140 + brushed + shade, 0, 255).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    outlines = []
    for _ in range(scratches):
        middle = np.array([random.uniform(50, width - 50), random.uniform(50, height - 50)])
        corners = cv2.boxPoints((middle.tolist(), (LENGTH, WIDTH), float(random.uniform(0, 180))))
        dark = int(image[int(middle[1]), int(middle[0]), 0]) - 45
        cv2.fillConvexPoly(image, np.round(corners * 16).astype(np.int32), (dark, dark, dark), cv2.LINE_AA, shift=4)
        outlines.append([float(value) for value in corners.reshape(-1)])
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes(), outlines


if __name__ == "__main__":
    main()
