"""Samples to augmented crops in batches.

What a batch holds depends on the seed, the epoch, its index and on whether the decoded samples fit into memory, and on
nothing else: so a run can be resumed.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from random import Random

import numpy as np

from ..core.host import cores
from ..core.images import resize_image
from ..core.parallel import ahead
from ..data.packed import pack, unpack
from .augmentation import Compose, duplicate
from .regions import Cutter, regions_of
from .sampling import Draws, Pair, Source, resize_nearest, stacked

__all__ = ["Batches", "Crops", "Mosaic"]

# A region is this much larger than the crop, so that turning and shifting bring in real surroundings.
MARGIN = 1.25


class Batches(ABC):
    """Crops in batches, all of the same size; a subclass makes a single crop.

    Args:
        source: what the crops are drawn from.
        crop_hw: (height, width) of a crop.
        batch_size: crops a batch.
        steps: batches an epoch.
        workers: threads that make batches.
    """

    def __init__(self, source: Source, crop_hw: Sequence[int], batch_size: int, steps: int, workers: int) -> None:
        self.source, self.crop_hw = source, (int(crop_hw[0]), int(crop_hw[1]))
        self.batch_size, self.steps, self.workers = batch_size, steps, workers

    def __len__(self) -> int:
        return self.steps

    @abstractmethod
    def crop(self, epoch: int, item: int) -> Pair:
        """Crop number `item` of an epoch: (h, w, 3) uint8 RGB and its packed mask (h, w, ceil(C / 8)) uint8."""

    def batch(self, epoch: int, index: int) -> Pair:
        """Batch `index` of an epoch: (N, h, w, 3) uint8 RGB and packed masks (N, h, w, ceil(C / 8)) uint8."""
        return stacked(self.crop(epoch, index * self.batch_size + item) for item in range(self.batch_size))

    def epoch(self, epoch: int) -> Iterator[Pair]:
        """Batches of an epoch in order, made ahead by threads."""
        return ahead(lambda index: self.batch(epoch, index), len(self), self.workers)


class Crops(Batches):
    """Augmented crops of the samples.

    Args:
        source: what to draw from.
        crop_hw: (height, width) of a crop.
        batch_size: crops a batch.
        count: crops an epoch, rounded up to whole batches; 0 for one a sample.
        seed: of places and augmentation.
        sampling: fraction of the crops, 0 to 1, that are drawn around an object.
        augmentation: pipeline of the user's own, which gets the crop; None for `default`.
        default: pipeline that cuts the crop out of a region MARGIN times as large; None for crops as they are.
        workers: threads; 0 for one a core.
    """

    def __init__(self, source: Source, crop_hw: Sequence[int], batch_size: int, count: int = 0, seed: int = 0,
                 sampling: float = 0.0, augmentation: Compose | None = None,
                 default: Compose | None = None, workers: int = 0) -> None:
        steps = -(-(count or len(source.samples)) // batch_size)
        super().__init__(source, crop_hw, batch_size, steps, workers or cores())
        self.seed = seed
        # A pipeline without steps is falsy, and is the user's wish to change nothing.
        self._own = augmentation is not None
        self._augmentation = augmentation if self._own else default
        margin = MARGIN if default is not None and augmentation is None else 1.0
        region_hw = round(self.crop_hw[0] * margin), round(self.crop_hw[1] * margin)
        cutter = Cutter(source, Draws(source, sampling), self.crop_hw, region_hw, seed,
                        augmentation is not None or default is not None)
        self._regions = regions_of(cutter, steps * batch_size)
        self._local = threading.local()

    def crop(self, epoch: int, item: int) -> Pair:
        """Crop number `item` of an epoch, after augmentation: (h, w, 3) and (h, w, ceil(C / 8)) uint8."""
        image, bits = self._regions.region(epoch, item)
        if self._augmentation is None:
            return image, bits
        pipeline = self._pipeline(self._augmentation)
        # Not by set_random_seed: it gives each step the same numbers, so that all flips would come together or none.
        state = np.random.SeedSequence((self.seed, 1, epoch, item))
        pipeline.set_random_state(np.random.default_rng(state), Random(int(state.generate_state(1)[0])))
        if not self._own:
            made = pipeline(image=image, mask=bits)
            return made["image"], made["mask"].reshape(*self.crop_hw, -1)
        # A pipeline of the user's may interpolate masks or change the size: it gets one plane a class.
        made = pipeline(image=image, mask=unpack(bits, self.source.classes))
        planes = made["mask"].reshape(*made["mask"].shape[:2], self.source.classes) > 0.5
        return resize_image(made["image"], self.crop_hw), resize_nearest(pack(planes), self.crop_hw)

    def _pipeline(self, augmentation: Compose) -> Compose:
        # A pipeline holds its random state, so each thread has its own.
        if not hasattr(self._local, "pipeline"):
            self._local.pipeline = duplicate(augmentation)
        return self._local.pipeline


class Mosaic(Batches):
    """Whole crops, and crops that are put together from four quarters: more different objects and backgrounds in a
    step, for the same pixels (Bochkovskiy et al. 2020, arXiv 2004.10934).

    Args:
        whole: gives the size, number and seed of the crops, and those that are not put together.
        quarters: crops of half the height and width, from the same source.
        fraction: of the crops, 0 to 1, that are put together.
    """

    def __init__(self, whole: Crops, quarters: Crops, fraction: float) -> None:
        super().__init__(whole.source, whole.crop_hw, whole.batch_size, whole.steps, whole.workers)
        self._whole, self._quarters, self._fraction = whole, quarters, fraction

    def crop(self, epoch: int, item: int) -> Pair:
        """Crop number `item` of an epoch, whole or put together: (h, w, 3) and (h, w, ceil(C / 8)) uint8."""
        if np.random.default_rng((self._whole.seed, 5, epoch, item)).random() >= self._fraction:
            return self._whole.crop(epoch, item)
        four = [self._quarters.crop(epoch, 4 * item + number) for number in range(4)]
        image, bits = (np.concatenate([np.concatenate([four[row][kind], four[row + 1][kind]], axis=1)
                                       for row in (0, 2)]) for kind in (0, 1))
        return image, bits
