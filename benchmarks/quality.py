"""What recipes make of a data set in a given time: trained, exported, post-processed, judged on the validation split.

    python benchmarks/quality.py --img_path ../shared/data/magnetic_tile --budget 15m --seeds 0 1 2
    python benchmarks/quality.py --img_path ../shared/data/magnetic_tile --budget 15m --keep tiles
    python benchmarks/quality.py --img_path coco-annotator/datasets/demo --budget 2m --recipes balanced fast

Every recipe runs through the same commands a user types, one after the other, on all cores. mean IoU sums
intersections and unions over all validation images first; Dice is that of valid_score.csv; a false alarm is a clean
image on which anything is marked; crops/s are trained on, "ms an image" is one served. Each seed has its own split.
Runs that are in the folder of `--keep` are not repeated, so a table that takes hours can be made bit by bit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from commands import trained

from ss_poc.core.files import read_csv, read_json, write_json
from ss_poc.core.host import cores
from ss_poc.core.images import decode_image
from ss_poc.core.masks import decode_rle
from ss_poc.core.run import RLE_COLUMNS, Run, RunPaths
from ss_poc.inference.predictor import Predictor

# What is usual: squeezed to a square, all images alike and looked at once, soft Dice, Adam, constant arithmetic.
USUAL = ["--weights", "none", "--size", "256x256", "--sampling", "0", "--mosaic", "0", "--views", "single",
         "--loss", "bce_dice", "--optimizer", "adamw", "--lr", "0.001", "--ema", "0", "--precision", "float32"]
RECIPES: dict[str, list[str]] = {
    "balanced": [],
    "scratch": ["--weights", "none"],
    "fast": ["--preset", "fast"],
    "accurate": ["--preset", "accurate"],
    "poc": [*USUAL, "--architecture", "unetpp", "--encoder", "efficientnetb4", "--batch_size", "4"],
    "unet": [*USUAL, "--architecture", "unet", "--encoder", "efficientnetb0", "--batch_size", "8"],
}
COLUMNS = ("mean IoU", "mean Dice", "false alarms", "missed", "crops/s", "ms an image", "GiB", "seconds")
TIMED = 50


def main() -> None:
    options = parse()
    results: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(options.keep or scratch)
        for recipe in options.recipes:
            for seed in options.seeds:
                results.setdefault(recipe, []).append(run_recipe(options, recipe, seed, root))
                print(f"{recipe}, seed {seed}: {line(results[recipe][-1:])}", flush=True)
    labels = list(next(iter(results.values()))[0]["iou"])
    print(f"\n{options.img_path}, {options.budget}, seeds {options.seeds}, {cores()} cores; mean "
          "and (lowest to highest)\n")
    print("| recipe | " + " | ".join(COLUMNS) + " | " + " | ".join(f"IoU {label}" for label in labels) + " |")
    print("| --- " * (1 + len(COLUMNS) + len(labels)) + "|")
    for recipe, found in results.items():
        print(f"| {recipe} | {line(found)} |")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--img_path", required=True)
    parser.add_argument("--budget", default="15m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), metavar="NAME",
                        help=f"{', '.join(RECIPES)}, or a name with flags of train after '=': 'big=--scale 2'")
    parser.add_argument("--keep", help="folder to keep the runs in, and to find those of before")
    return parser.parse_args()


def named(recipe: str) -> tuple[str, list[str]]:
    """Name and flags of a recipe: one of RECIPES, or a name with flags of train after '='."""
    name, _, own = recipe.partition("=")
    return name, own.split() if own else RECIPES[name]


def run_recipe(options: argparse.Namespace, recipe: str, seed: int, root: Path) -> dict[str, Any]:
    """The scores of one run, which is trained unless it was kept."""
    name, flags = named(recipe)
    paths = RunPaths(root, "quality", f"{name}_{seed}")
    asked = {"img_path": options.img_path, "budget": options.budget, "flags": flags}
    kept = paths.folder / "quality.json"
    run = read_json(kept) if kept.is_file() else {}
    if run.get("asked") != asked:
        run = {"asked": asked, "found": made(paths, seed, asked)}
        write_json(kept, run)
    return {**run["found"], "ms an image": latency(paths, Path(options.img_path))}


def made(paths: RunPaths, seed: int, asked: dict[str, Any]) -> dict[str, Any]:
    """Train, export, search."""
    seconds, peak = trained(paths, asked["img_path"], asked["budget"], seed, *asked["flags"])
    run = Run.read(paths)
    return {**judge(paths), "iou": run.scores.iou, "crops/s": run.train.crops_a_second, "GiB": peak,
            "seconds": seconds}


def judge(paths: RunPaths) -> dict[str, Any]:
    """Scores of the masks that post-processing wrote."""
    run = Run.read(paths)
    masks = {kind: read_csv(paths.valid / f"valid_batch_{kind}.csv", RLE_COLUMNS) for kind in ("true", "pred")}
    marked: dict[str, dict[str, bool]] = {kind: {} for kind in masks}
    for kind, rows in masks.items():
        for row in rows:
            size_hw = (int(row["height"]), int(row["width"]))
            found = decode_rle({"size": list(size_hw), "counts": row["counts"]}, size_hw).any()
            marked[kind][row["image"]] = marked[kind].get(row["image"], False) or bool(found)
    clean = [name for name, defect in marked["true"].items() if not defect]
    defective = [name for name, defect in marked["true"].items() if defect]
    return {"mean IoU": float(np.nanmean([value if value is not None else np.nan
                                          for value in run.scores.iou.values()])),
            "mean Dice": float(np.mean(list(run.scores.dice.values()))),
            "false alarms": float(np.mean([marked["pred"][name] for name in clean])) if clean else 0.0,
            "missed": float(np.mean([not marked["pred"][name] for name in defective]))}


def latency(paths: RunPaths, images: Path) -> float:
    """Median milliseconds from decoded validation photographs to their masks, one at a time, on all cores."""
    predictor = Predictor.load(paths.export, paths.rules)
    decoded = [decode_image(images / name) for name in Run.read(paths).split.valid[:TIMED]]
    predictor.predict(decoded[0])
    taken = []
    for image in decoded:
        began = time.perf_counter()
        predictor.predict(image)
        taken.append(time.perf_counter() - began)
    return 1e3 * float(np.median(taken))


def line(found: list[dict[str, Any]]) -> str:
    """Cells of a row: mean over the seeds, and the range."""
    cells = []
    for column in COLUMNS:
        values = [item[column] for item in found]
        digits = 3 if column.startswith("mean") or column in ("false alarms", "missed") else 1
        spread = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 and digits == 3 else ""
        cells.append(f"{np.mean(values):.{digits}f}{spread}")
    for label in found[0]["iou"]:
        cells.append(f"{np.mean([item['iou'][label] or 0.0 for item in found]):.2f}")
    return " | ".join(cells)


if __name__ == "__main__":
    main()
