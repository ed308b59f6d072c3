"""What a data set looks like: sizes, objects, classes, colour. The recipe is chosen from these facts."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from statistics import median

import cv2
import numpy as np
from tqdm import tqdm

from ..core.host import cores
from .dataset import Sample

__all__ = ["Survey", "survey_samples"]

# Enough for a tenth percentile; surveying thousands of large photographs would take minutes and tell the same.
MOST_SAMPLES = 200
# A class keeps to one side of the images if its mean position is off the middle by OFF_MIDDLE of the image's length and
# by STEADY standard errors, and the fraction MOST of its images have it there: a tendency is no rule.
OFF_MIDDLE, STEADY, MOST = 0.1, 4.0, 0.9


@dataclass(frozen=True)
class Survey:
    """Facts of the images that train; lengths and areas in pixels of the photographs.

    Attributes:
        images: number of images.
        clean: number of images without a region.
        class_images: number of images with a region of each class, (C,).
        median_hw, largest_hw: median and largest (height, width).
        object_area: area that 90 % of the objects (8-connected components of a class) exceed.
        object_width: thickness that 90 % of the objects exceed: twice the largest distance to their border.
        covered: mean fraction of an image, 0 to 1, that objects cover.
        grey: whether none of the photographs that were looked at has a colour.
        turnable_v, turnable_h: whether photographs that are upside down, or mirrored, could be from the same source: no
            class keeps to one half of the image.
        common_area, common_width: area and thickness that three of four objects of each class exceed; 0 where a run
            of an earlier version did not say.
    """

    images: int
    clean: int
    class_images: tuple[int, ...]
    median_hw: tuple[int, int]
    largest_hw: tuple[int, int]
    object_area: float
    object_width: float
    covered: float
    grey: bool
    turnable_v: bool
    turnable_h: bool
    common_area: float = 0.0
    common_width: float = 0.0


@dataclass(frozen=True)
class _Look:
    """One photograph: areas and widths of its objects by class, the fraction that they cover, the mean (y, x) of each
    class in 0..1, and whether it is grey."""

    areas: dict[int, list[float]]
    widths: dict[int, list[float]]
    covered: float
    places: dict[int, tuple[float, float]]
    grey: bool


def survey_samples(samples: Sequence[Sample], classes: int, progress: bool = False) -> Survey:
    """Look at the samples: at the size and classes of all, and at the pixels of at most MOST_SAMPLES labelled ones.

    Args:
        samples: those that train, at least one.
        classes: number of classes.
        progress: show a bar while photographs are looked at.

    Raises:
        ImageError: a photograph cannot be decoded.
    """
    labelled = [sample for sample in samples if sample.regions]
    looked = labelled[::max(1, -(-len(labelled) // MOST_SAMPLES))]
    with ThreadPoolExecutor(min(4, cores())) as pool:
        looks = list(tqdm(pool.map(lambda sample: _look(sample, classes), looked), total=len(looked), desc="survey",
                          unit="image", disable=None if progress else True))
    areas = _by_class([look.areas for look in looks], classes)
    widths = _by_class([look.widths for look in looks], classes)
    heights_widths = [sample.size_hw for sample in samples]
    return Survey(
        len(samples), len(samples) - len(labelled),
        tuple(sum(channel in sample.classes for sample in samples) for channel in range(classes)),
        (int(median(size[0] for size in heights_widths)), int(median(size[1] for size in heights_widths))),
        (max(size[0] for size in heights_widths), max(size[1] for size in heights_widths)),
        _quantile([[*chain(*areas)]], 0.1), _quantile([[*chain(*widths)]], 0.1),
        float(np.mean([look.covered for look in looks])) if looks else 0.0, all(look.grey for look in looks),
        not _keeps_to_one_side(looks, classes, 0), not _keeps_to_one_side(looks, classes, 1),
        _quantile(areas, 0.25), _quantile(widths, 0.25))


def _by_class(found: Sequence[dict[int, list[float]]], classes: int) -> list[list[float]]:
    """The numbers of all photographs for each class."""
    return [[value for one in found for value in one.get(channel, ())] for channel in range(classes)]


def _quantile(groups: Sequence[Sequence[float]], fraction: float) -> float:
    """That quantile of the group where it is least; 0 without any number."""
    return min((float(np.quantile(group, fraction)) for group in groups if group), default=0.0)


def _look(sample: Sample, classes: int) -> _Look:
    image, mask = sample.image(), sample.mask(classes)
    areas, widths, places = {}, {}, {}
    for channel in sorted(sample.classes):
        plane = mask[..., channel].astype(np.uint8)
        count, labelled, stats, _ = cv2.connectedComponentsWithStats(plane, connectivity=8)
        if count == 1:
            continue
        # A border of zeros: an object that touches the image's edge ends there.
        distance = cv2.distanceTransform(cv2.copyMakeBorder(plane, 1, 1, 1, 1, cv2.BORDER_CONSTANT), cv2.DIST_L2, 3)
        inner = distance[1:-1, 1:-1]
        deepest = [float(inner[y:y + height, x:x + width][labelled[y:y + height, x:x + width] == number].max())
                   for number, (x, y, width, height, _) in enumerate(stats[1:].tolist(), start=1)]
        areas[channel] = [float(area) for area in stats[1:, cv2.CC_STAT_AREA]]
        widths[channel] = [2 * depth - 1 for depth in deepest]
        rows, columns = np.nonzero(plane)
        places[channel] = (float(rows.mean() + 0.5) / plane.shape[0], float(columns.mean() + 0.5) / plane.shape[1])
    spread = image[::8, ::8].astype(np.int16)
    return _Look(areas, widths, float(mask.any(axis=-1).mean()), places,
                 bool((spread.max(axis=-1) - spread.min(axis=-1)).mean() < 2))


def _keeps_to_one_side(looks: Sequence[_Look], classes: int, axis: int) -> bool:
    """Whether a class is found off the middle along an axis (0: y, 1: x) too steadily to be chance."""
    for channel in range(classes):
        places = np.array([look.places[channel][axis] for look in looks if channel in look.places])
        if len(places) < 8:
            continue
        offset, error = abs(places.mean() - 0.5), places.std(ddof=1) / np.sqrt(len(places))
        there = max((places < 0.5).mean(), (places > 0.5).mean())
        if offset > OFF_MIDDLE and offset > STEADY * error and there >= MOST:
            return True
    return False
