"""What an epoch trains on and what it is validated on: first its numbers, then the crops and windows themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.config import ChosenConfig, parse_size
from ..data.dataset import Sample
from ..data.facts import Survey
from ..data.packed import bytes_a_pixel
from .augmentation import default_augmentation, load_augmentation
from .crops import MARGIN, Crops, Mosaic
from .sampling import Source
from .windows import Windows

__all__ = ["Epoch", "make_crops", "make_windows", "plan_epoch"]

# A validation takes about a third of the time of training on as many pixels; of a budget it may have a twelfth.
VALIDATION_FRACTION = 1 / 12
# Bytes of decoded regions, where whole images do not fit the memory.
MOST_REGIONS = 1.2e9
# Bytes of windows to validate on.
MOST_WINDOWS = 4e8


@dataclass(frozen=True)
class Epoch:
    """How long an epoch is.

    Attributes:
        steps: number of batches.
        batch_size: crops in each of them.
    """

    steps: int
    batch_size: int

    @property
    def crops(self) -> int:
        """Crops in the epoch."""
        return self.steps * self.batch_size


def plan_epoch(config: ChosenConfig, images: int, windows: int, classes: int, cached: bool) -> Epoch:
    """The length of an epoch: a crop for each image; with a budget as many more as make validation a small fraction.

    Args:
        config: of the run.
        images: number of those that train.
        windows: number of those that validate.
        classes: number of classes.
        cached: whether the decoded images fit the memory; else regions of all crops are kept, which limits them.
    """
    size_hw, crop_hw = parse_size(config.size), parse_size(config.crop)
    pixels = windows * size_hw[0] * size_hw[1]
    enough = round(pixels / 3 / VALIDATION_FRACTION / (crop_hw[0] * crop_hw[1])) if config.budget else 0
    count = max(images, enough)
    if not cached:
        count = min(count, int(MOST_REGIONS // (2 * MARGIN**2 * crop_hw[0] * crop_hw[1] * _bytes_with_mask(classes))))
    return Epoch(-(-count // config.batch_size), config.batch_size)


def make_windows(config: ChosenConfig, valid: Sequence[Sample], train_images: int, classes: int) -> Windows:
    """Windows of the images that validate: all of them, or a fixed draw where there are very many.

    Args:
        config: of the run.
        valid: samples that validate.
        train_images: number of those that train.
        classes: number of classes.
    """
    size_hw = parse_size(config.size)
    source = Source(valid, classes, config.scale or 0.0, size_hw, config.cache_mb * 2**20 // 4)
    most = min(max(64, train_images // 4), int(MOST_WINDOWS // (size_hw[0] * size_hw[1] * _bytes_with_mask(classes))))
    return Windows(source, size_hw, max(1, config.batch_size // 2), most=max(1, most), seed=config.seed)


def make_crops(config: ChosenConfig, source: Source, survey: Survey, epoch: Epoch) -> Mosaic:
    """Augmented crops to train on.

    Args:
        config: of the run.
        source: decoded samples that train.
        survey: facts of them.
        epoch: how many crops.
    """
    crop_hw = parse_size(config.crop)
    own = load_augmentation(Path(config.augmentation)) if config.augmentation else None

    def settings(size_hw: Sequence[int]) -> dict[str, Any]:
        return {"source": source, "crop_hw": size_hw, "batch_size": epoch.batch_size, "count": epoch.crops,
                "seed": config.seed, "sampling": config.sampling, "augmentation": own,
                "default": default_augmentation(config.strength, size_hw, survey.grey, survey.turnable_v,
                                                survey.turnable_h)}

    # Of another seed: it would draw the very places that whole crops show.
    quarters = Crops(**{**settings((crop_hw[0] // 2, crop_hw[1] // 2)), "count": 4 * epoch.crops,
                        "seed": config.seed + 1_000_003})
    return Mosaic(Crops(**settings(crop_hw)), quarters, config.mosaic)


def _bytes_with_mask(classes: int) -> int:
    """Three colours and a bit for each class."""
    return 3 + bytes_a_pixel(classes)
