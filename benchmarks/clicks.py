"""How many clicks does a region cost? A robot user clicks on every region of a labelled data set.

    python benchmarks/clicks.py --img_path ../shared/data/magnetic_tile --regions 300
    python benchmarks/clicks.py --img_path photographs --json_path photographs/judge.json --rows ours grabcut
    python benchmarks/clicks.py --img_path photographs --model result/photographs/segment/v_1/export

A region is a connected piece of a class, of 20 pixels or more. The first click is in the middle of the region, every
further one in the middle of the largest error (Sofiiuk et al. 2022, arXiv 2102.06583). IoU k: mean IoU after k clicks;
IoU box: after a box alone. NoC: mean number of clicks to an IoU of 0.80 and 0.85; 20 where 20 do not get there.

With --tolerance 1, an outline that is a pixel off is right, and is not clicked on: IoU then follows from the fraction
of found pixels that lie within a pixel of the label, and of labelled ones within a pixel of what was found (relaxed
precision and recall: Mnih & Hinton 2010, Learning to detect roads in high-resolution aerial images). --labels prints
what IoU the labels themselves get when they are moved by a pixel: no method can be expected to do better.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from click_methods import METHODS, Method, with_model

from ss_poc.clicks.simulate import box_around, next_click
from ss_poc.core.host import cores
from ss_poc.data.dataset import load_coco
from ss_poc.formats.labels import find_labels

LEAST_PIXELS, MOST_CLICKS = 20, 20
SHOWN, TARGETS = (1, 2, 3, 5), (0.80, 0.85)


def main() -> None:
    options = parse()
    regions = list(regions_of(options))
    if options.labels:
        moved(regions)
        return
    rows = {name: METHODS[name]() for name in options.rows}
    if options.model:
        rows["ours with a model"] = with_model(options.model)
    print(f"\n{options.img_path}: {len(regions)} regions of {len({item[0] for item in regions})} photographs, seed "
          f"{options.seed}, tolerance {options.tolerance}, {cores()} cores\n")
    columns = [*(f"IoU {count}" for count in SHOWN), "IoU box", *(f"NoC@{target * 100:.0f}" for target in TARGETS),
               "not reached", "ms a click"]
    print("| row | " + " | ".join(columns) + " |\n| --- " + "| ---: " * len(columns) + "|", flush=True)
    for name, method in rows.items():
        results = [one(method, image, mask, options.tolerance) for _, image, mask in regions]
        print(f"| {name} | " + " | ".join(line(results)) + " |", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img_path", required=True)
    parser.add_argument("--json_path", help="labels; else those of the folder")
    parser.add_argument("--regions", type=int, help="that many, chosen by the seed; else all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--model", type=Path, help="export folder of a run: adds the row that knows its probabilities")
    parser.add_argument("--tolerance", type=int, default=0, help="pixels that an outline may be off")
    parser.add_argument("--labels", action="store_true", help="judge the labels, moved by a pixel, and no method")
    return parser.parse_args()


def regions_of(options: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, photograph (H, W, 3) and mask (H, W) of each region that is judged."""
    folder = Path(options.img_path)
    data = load_coco(Path(options.json_path) if options.json_path else find_labels(folder), folder)
    named = {sample.name: sample for sample in data.samples}
    found = [(sample.name, channel, number) for sample in data.samples
             for channel, number in pieces(sample.mask(len(data.labels)))]
    order = np.random.default_rng(options.seed).permutation(len(found))[:options.regions]
    for name, channel, number in sorted(found[index] for index in order):
        _, labels = cv2.connectedComponents(named[name].mask(len(data.labels))[..., channel].astype(np.uint8))
        yield name, named[name].image(), labels == number


def pieces(mask: np.ndarray) -> list[tuple[int, int]]:
    """(channel, number of the connected component) of the regions of a mask (H, W, C)."""
    return [(channel, number) for channel in range(mask.shape[-1]) for number, area in
            enumerate(cv2.connectedComponentsWithStats(mask[..., channel].astype(np.uint8))[2][:, cv2.CC_STAT_AREA])
            if number and area >= LEAST_PIXELS]


def one(method: Method, image: np.ndarray, true: np.ndarray, tolerance: int) -> dict[str, Any]:
    """IoU after each of up to MOST_CLICKS clicks, after a box, and the seconds of each click."""
    box = box_around(true)
    assert box is not None
    method.start(image)
    by_box = iou(method.answer([], box), true, tolerance)
    method.start(image)
    found, clicks, reached, seconds = np.zeros_like(true), [], [], []
    while len(clicks) < MOST_CLICKS:
        # What should be there, with each pixel as it was found that is right within the tolerance.
        wanted = (true & ~around(found, tolerance)) | (found & around(true, tolerance)) if clicks else true
        click = next_click(wanted, found)
        if click is None:
            break
        clicks.append(click)
        began = time.perf_counter()
        found = method.answer(clicks, None)
        seconds.append(time.perf_counter() - began)
        reached.append(iou(found, true, tolerance))
        if len(clicks) >= max(SHOWN) and max(reached) >= max(TARGETS):
            break
    reached += [reached[-1]] * (max(SHOWN) - len(reached))
    return {"ious": reached, "box": by_box, "seconds": seconds}


def iou(found: np.ndarray, true: np.ndarray, tolerance: int = 0) -> float:
    """IoU in which a pixel is in both masks that is in one and within the tolerance of the other."""
    precise, recalled = (found & around(true, tolerance)).sum(), (true & around(found, tolerance)).sum()
    if not precise or not recalled:
        return 0.0
    return float(1 / (found.sum() / precise + true.sum() / recalled - 1))


def around(mask: np.ndarray, pixels: int) -> np.ndarray:
    """A mask (H, W) and what lies so near to it."""
    if not pixels:
        return mask
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.astype(np.uint8), disk).astype(bool)


def moved(regions: list[tuple[str, np.ndarray, np.ndarray]]) -> None:
    """Print what IoU labels get that are a pixel wider, narrower, or to the side."""
    print("| labels | mean IoU | median | below 0.80 |\n| --- | ---: | ---: | ---: |")
    ways = {"a pixel wider": lambda mask: around(mask, 1), "a pixel narrower": lambda mask: ~around(~mask, 1),
            "a pixel down and to the right": lambda mask: np.roll(mask, (1, 1), (0, 1))}
    for name, move in ways.items():
        values = np.array([iou(move(mask), mask) for _, _, mask in regions])
        print(f"| {name} | {values.mean():.3f} | {np.median(values):.3f} | {(values < TARGETS[0]).mean():.0%} |")


def line(results: list[dict[str, Any]]) -> list[str]:
    """The cells of a row."""
    counts = {target: [next((number for number, value in enumerate(item["ious"], 1) if value >= target), None)
                       for item in results] for target in TARGETS}
    return [*(f"{np.mean([item['ious'][count - 1] for item in results]):.3f}" for count in SHOWN),
            f"{np.mean([item['box'] for item in results]):.3f}",
            *(f"{np.mean([count or MOST_CLICKS for count in counts[target]]):.2f}" for target in TARGETS),
            f"{np.mean([count is None for count in counts[TARGETS[0]]]):.0%}",
            f"{1000 * np.median([value for item in results for value in item['seconds']]):.0f}"]


if __name__ == "__main__":
    main()
