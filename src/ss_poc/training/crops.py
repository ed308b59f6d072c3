"""Samples → batches of augmented crops to train on.

What a batch holds depends on seed, epoch, index and on whether the images fit the memory, so a run can be resumed.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from random import Random
from typing import Any

import numpy as np

from ..core.drawing import contact_sheet, draw_overlay
from ..core.host import cores
from ..core.images import resize_image
from ..core.parallel import ahead
from .augmentation import Compose, duplicate
from .sampling import Draws, Pair, Source, cut, resize_nearest

__all__ = ["Crops", "Mosaic", "preview", "tf_dataset"]

# A region is this much larger than the crop, so that turning and shifting bring in real surroundings.
MARGIN = 1.25
# Where decoded images do not fit the memory, regions are cut from a photograph at once, one for so many of its pixels,
# but from no fewer photographs than these, and serve so many epochs.
PIXELS_A_REGION, FEWEST_BLOCKS, RENEW = 500_000, 16, 4


class Crops:
    """Augmented crops in batches, all of the same size.

    Args:
        source: what to draw from.
        crop_hw: (height, width) of a crop.
        batch_size: crops a batch.
        count: crops an epoch; rounded up to whole batches. 0: one a sample.
        seed: of places and augmentation.
        sampling: part of the crops drawn around an object.
        augmentation: of the user's own; gets the crop. None: `default`.
        default: augmentation that cuts the crop out of a region MARGIN times as large; None: crops as they are.
        workers: threads; 0 for one a core.
    """

    def __init__(self, source: Source, crop_hw: Sequence[int], batch_size: int, count: int = 0, seed: int = 0,
                 sampling: float = 0.0, augmentation: Compose | None = None,
                 default: Compose | None = None, workers: int = 0) -> None:
        self.source, self.crop_hw = source, (int(crop_hw[0]), int(crop_hw[1]))
        self.batch_size, self.seed = batch_size, seed
        self._steps = -(-(count or len(source.samples)) // batch_size)
        self._draws = Draws(source, sampling)
        self._own, self._shuffled = augmentation is not None, augmentation is not None or default is not None
        self._augmentation = augmentation or default
        margin = MARGIN if default is not None and augmentation is None else 1.0
        self._region_hw = tuple(round(length * margin) for length in self.crop_hw)
        self._blocks = self._block_count()
        self._pool: dict[int, tuple[int, list[Pair]]] = {}
        self._locks = [threading.Lock() for _ in range(self._blocks)]
        self._local = threading.local()
        self._workers = workers or cores()

    def __len__(self) -> int:
        return self._steps

    def batch(self, epoch: int, index: int) -> Pair:
        """Batch `index` of an epoch: (N, h, w, 3) uint8 RGB and (N, h, w, ceil(C / 8)) uint8."""
        pairs = [self.crop(epoch, index * self.batch_size + item) for item in range(self.batch_size)]
        return np.stack([image for image, _ in pairs]), np.stack([bits for _, bits in pairs])

    def epoch(self, epoch: int) -> Iterator[Pair]:
        """Batches of an epoch in order, made ahead by threads."""
        return ahead(lambda index: self.batch(epoch, index), len(self), self._workers)

    def crop(self, epoch: int, item: int) -> Pair:
        """Crop number `item` of an epoch, after augmentation: (h, w, 3) and (h, w, ceil(C / 8)) uint8."""
        image, bits = self._region(epoch, item)
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
        made = pipeline(image=image, mask=np.unpackbits(bits, axis=-1, count=self.source.classes))
        planes = made["mask"].reshape(*made["mask"].shape[:2], self.source.classes) > 0.5
        return resize_image(made["image"], self.crop_hw), resize_nearest(np.packbits(planes, axis=-1), self.crop_hw)

    def _region(self, epoch: int, item: int) -> Pair:
        """A region and its mask, before augmentation."""
        if self.source.cached:
            random, otherwise = self._chance(epoch, item)
            number, y, x = self._draws.place(random, otherwise, self.crop_hw)
            return self._cut(number, y, x)
        # Decoding a large photograph for every crop would leave the network waiting: many are cut from it at once.
        items = self._steps * self.batch_size
        item %= items
        place, block = divmod(item, self._blocks)
        # Blocks are renewed in turn, none in the first epoch.
        generation = (epoch * items + item + block * (RENEW - 1) * items // self._blocks) // (RENEW * items)
        with self._locks[block]:
            kept = self._pool.get(block)
            if kept is None or kept[0] != generation:
                kept = self._pool[block] = generation, self._cut_block(generation, block, -(-items // self._blocks))
        return kept[1][place]

    def _block_count(self) -> int:
        """How many photographs an epoch's regions are cut from, where not all are in memory."""
        items, sizes_hw = self._steps * self.batch_size, [sample.size_hw for sample in self.source.samples]
        pixels = sum(height * width for height, width in sizes_hw) / max(1, len(sizes_hw))
        return min(items, max(FEWEST_BLOCKS, math.ceil(items * PIXELS_A_REGION / pixels)))

    def _cut_block(self, generation: int, block: int, count: int) -> list[Pair]:
        """Regions of one photograph, as copies: views would keep all of it."""
        random, otherwise = self._chance(generation, block)
        number, channel = self._draws.subject(random, otherwise)
        middles = [self._draws.middle(random, number, channel, self.crop_hw) for _ in range(count)]
        return [(image.copy(), bits.copy()) for image, bits in (self._cut(number, y, x) for y, x in middles)]

    def _chance(self, epoch: int, item: int) -> tuple[np.random.Generator, int]:
        """What decides on a place, and the sample whose turn it is."""
        count = len(self.source.samples)
        turn, place = divmod(item, count)
        order = shuffled(self.seed, epoch, turn, count) if self._shuffled else np.arange(count)
        return np.random.default_rng((self.seed, 3, epoch, item)), int(order[place])

    def _cut(self, number: int, y: float, x: float) -> Pair:
        image, bits = self.source.decoded(number)
        return cut(image, y, x, self._region_hw), cut(bits, y, x, self._region_hw)

    def _pipeline(self, augmentation: Compose) -> Compose:
        # A pipeline holds its random state, so each thread has its own.
        if not hasattr(self._local, "pipeline"):
            self._local.pipeline = duplicate(augmentation)
        return self._local.pipeline


class Mosaic(Crops):
    """Crops, a part of which is put together from four of half the size: more different objects and backgrounds in a
    step, for the same pixels (Bochkovskiy et al. 2020, arXiv 2004.10934).

    Args:
        quarters: crops of half the height and width, from the same source.
        part: of the crops that are put together.
        arguments: those of `Crops`.
    """

    def __init__(self, quarters: Crops, part: float, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._quarters, self._part = quarters, part

    def crop(self, epoch: int, item: int) -> Pair:
        if np.random.default_rng((self.seed, 5, epoch, item)).random() >= self._part:
            return super().crop(epoch, item)
        four = [self._quarters.crop(epoch, 4 * item + number) for number in range(4)]
        image, bits = (np.concatenate([np.concatenate([four[row][kind], four[row + 1][kind]], axis=1)
                                       for row in (0, 2)]) for kind in (0, 1))
        return image, bits


def tf_dataset(epoch: Callable[[], Iterator[Pair]], steps: int, size_hw: Sequence[int], classes: int) -> Any:
    """A `tf.data.Dataset` of (N, h, w, 3) uint8 in 0..255 and (N, h, w, C) uint8 in {0, 1}, one pass an epoch.

    Keras turns both into float32 within the compiled step, which is where it costs least.
    """
    import tensorflow as tf

    def batches() -> Iterator[Pair]:
        for images, bits in epoch():
            yield images, np.unpackbits(bits, axis=-1, count=classes)

    signature = tf.TensorSpec((None, *size_hw, 3), tf.uint8), tf.TensorSpec((None, *size_hw, classes), tf.uint8)
    made = tf.data.Dataset.from_generator(batches, output_signature=signature)
    # There is nothing here to tune, and at the end of an epoch the thread that does so would be waited for: it sleeps
    # for 0.01, 0.02, 0.04, … seconds, so that an epoch of 25 seconds ended after 41 (TensorFlow 2.21).
    options = tf.data.Options()
    options.autotune.enabled = False
    return made.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2).with_options(options)


@lru_cache(maxsize=8)
def shuffled(seed: int, epoch: int, turn: int, count: int) -> np.ndarray:
    """The order in which an epoch takes its samples the `turn`-th time; crops of an epoch ask for the same few."""
    return np.random.default_rng((seed, 2, epoch, turn)).permutation(count)


def preview(crops: Crops, colors: Sequence[str], count: int = 12) -> np.ndarray:
    """A picture of augmented crops with their masks, as the network gets them, those with an object first."""
    pairs = sorted((crops.crop(0, item) for item in range(min(3 * count, len(crops) * crops.batch_size))),
                   key=lambda pair: not pair[1].any())[:count]
    pictures = [draw_overlay(image, colors, filled=np.unpackbits(bits, axis=-1, count=len(colors)).astype(bool))
                for image, bits in pairs]
    return contact_sheet(pictures, 4, crops.crop_hw)
