"""The search of the post-processing against brute force: every rule applied to every image by `masks.refine_channel`.

    python benchmarks/post_processing.py
    python benchmarks/post_processing.py --images 5000
    python benchmarks/post_processing.py --run result/magnetic_tile/segment/v_1

Without --run, probability maps of 512x512 with five classes are drawn: blurred blobs, most classes absent from most
images, as in a factory. Brute force judges --brute images and is compared by the time of an image and class; the counts
of both must be the same. Peak memory is that of the whole process.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ss_poc.core.config import Rule
from ss_poc.core.host import cores
from ss_poc.core.parallel import ahead
from ss_poc.core.refine import refine_channel, resize_probability, scaled_rule
from ss_poc.core.run import Run, RunPaths
from ss_poc.data.dataset import load_trained
from ss_poc.inference.predictor import Predictor
from ss_poc.optimising.rule_grid import Grid, Tally, count_grid, find_rule, grid_of

CLASSES, SIDE = 5, 512
Pair = tuple[np.ndarray, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--brute", type=int, default=5, help="images that brute force judges")
    parser.add_argument("--run", type=Path, help="folder of a run: judge its validation images instead")
    options = parser.parse_args()
    pair, count = of_run(options.run) if options.run else (drawn, options.images)
    pairs = [pair(index) for index in range(min(count, options.brute))]
    grids = [grid_of(areas(pairs, channel)) for channel in range(pairs[0][1].shape[-1])]

    began = time.perf_counter()
    slow = [[brute_force(probability[..., channel], truth[..., channel], grid) for channel, grid in enumerate(grids)]
            for probability, truth in pairs]
    brute = (time.perf_counter() - began) / len(pairs)
    fast = [counted(item, grids) for item in pairs]
    assert all(np.array_equal(*both) for left, right in zip(slow, fast, strict=True)
               for both in zip(left, right, strict=True)), "the search and brute force differ"

    making = timed(pair, count)
    began = time.perf_counter()
    tallies = [Tally(grid) for grid in grids]
    found = ahead(lambda index: (counted(item := pair(index), grids), np.count_nonzero(item[1], axis=(0, 1))), count,
                  cores())
    for counts, true in found:
        for tally, each, pixels in zip(tallies, counts, true, strict=True):
            tally.add(each, int(pixels), not true.any())
    for tally in tallies:
        find_rule(Rule("class", "#000000", pairs[0][0].shape[:2]), tally)
    search = (time.perf_counter() - began - making) / count
    rules = int(np.prod(grids[0].shape))
    print(f"{count} images of {pairs[0][1].shape[0]}x{pairs[0][1].shape[1]}, {len(grids)} classes, about {rules} rules "
          f"each, {cores()} cores\n\n| | ms an image | ratio |\n| --- | --- | --- |")
    print(f"| brute force, one core | {brute * 1e3:.0f} | {brute / search:.0f} |\n"
          f"| search, all cores | {search * 1e3:.1f} | 1 |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\nwhole search {search * count:.1f} s without making the maps; peak memory of the process {peak:.2f} GiB")


def timed(pair: Callable[[int], Pair], count: int) -> float:
    """Seconds to make all maps and truths on all cores, which a search waits for but does not do."""
    began = time.perf_counter()
    for _ in ahead(pair, count, cores()):
        pass
    return time.perf_counter() - began


def counted(pair: Pair, grids: list[Grid]) -> list[np.ndarray]:
    return [count_grid(pair[0][..., channel], pair[1][..., channel], grid) for channel, grid in enumerate(grids)]


def brute_force(probability_hw: np.ndarray, truth_hw: np.ndarray, grid: Grid) -> np.ndarray:
    counts = np.empty((*grid.shape, 2), np.int64)
    large = resize_probability(probability_hw, truth_hw.shape)
    for t, p, a, convex in itertools.product(*map(range, grid.shape)):
        pad, area = scaled_rule(grid.pads[p], grid.areas[a], probability_hw.shape, truth_hw.shape)
        mask = refine_channel(large, grid.thresholds[t], pad, area, bool(convex))
        counts[t, p, a, convex] = np.count_nonzero(mask), np.count_nonzero(mask & truth_hw)
    return counts


def areas(pairs: list[Pair], channel: int) -> list[float]:
    found: list[float] = []
    for _, truth in pairs:
        stats = cv2.connectedComponentsWithStats(truth[..., channel].astype(np.uint8), connectivity=8)[2]
        found += [float(area) for area in stats[1:, cv2.CC_STAT_AREA]]
    return found


def drawn(index: int) -> Pair:
    """A probability map and a truth that resembles it; a third of the classes are present in an image."""
    random = np.random.default_rng(index)
    probability = np.zeros((SIDE, SIDE, CLASSES), np.float32)
    truth = np.zeros((SIDE, SIDE, CLASSES), bool)
    for channel in range(CLASSES):
        plane = np.zeros((SIDE, SIDE), np.float32)
        for _ in range(int(random.integers(1, 5)) if random.random() < 0.33 else 0):
            middle, axes = random.integers(40, SIDE - 40, 2).tolist(), random.integers(4, 40, 2).tolist()
            cv2.ellipse(plane, middle, axes, float(random.uniform(0, 180)), 0, 360, 1.0, -1)
        truth[..., channel] = plane > 0
        noise = cv2.resize(random.random((32, 32), np.float32), (SIDE, SIDE))
        probability[..., channel] = cv2.GaussianBlur(plane, (0, 0), 6) * (0.6 + 0.4 * noise) + 0.04 * noise
    return probability, truth


def of_run(folder: Path) -> tuple[Callable[[int], Pair], int]:
    """Maps and truths of a run's validation images."""
    paths = RunPaths(folder.parents[2], folder.parents[1].name, folder.name)
    run = Run.read(paths)
    dataset = load_trained(run)
    samples = dataset.samples_of(run.split.valid)
    predictor = Predictor.load(paths.export, threads=1)
    return lambda index: (predictor.probability(samples[index].image()), samples[index].mask(len(dataset.labels))), \
        len(samples)


if __name__ == "__main__":
    main()
