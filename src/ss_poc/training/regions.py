"""Regions to train on: cut from the samples, a little larger than a crop, before augmentation.

Two samplers with one interface: `DecodedRegions` where all decoded samples fit into memory, `BlockRegions` where they
do not. In the first epoch both cut the regions at the same places if a block serves one crop only.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from .sampling import Draws, Pair, Source, cut

__all__ = ["BlockRegions", "Cutter", "DecodedRegions", "Regions", "regions_of", "shuffled"]

# A block is the regions that are cut from one photograph at once: one region for each PIXELS_A_REGION of its pixels. An
# epoch has at least FEWEST_BLOCKS blocks, and a block serves RENEW epochs.
PIXELS_A_REGION, FEWEST_BLOCKS, RENEW = 500_000, 16, 4


class Regions(Protocol):
    """Something that hands out the regions of each epoch."""

    def region(self, epoch: int, item: int) -> Pair:
        """Region number `item` of an epoch: (h, w, 3) uint8 RGB and its packed mask (h, w, ceil(C / 8)) uint8."""


@dataclass(frozen=True)
class Cutter:
    """Chooses places in the samples and cuts regions out.

    Attributes:
        source: decoded samples.
        draws: where to look.
        crop_hw: (height, width) of the crop that must lie inside the sample.
        region_hw: (height, width) of what is cut, around the same middle.
        seed: of the places.
        shuffle: whether the samples take their turns in an order that is drawn for each epoch; else in their own.
    """

    source: Source
    draws: Draws
    crop_hw: tuple[int, int]
    region_hw: tuple[int, int]
    seed: int
    shuffle: bool

    def chance(self, epoch: int, item: int) -> tuple[np.random.Generator, int]:
        """The random numbers that decide on a place, and the number of the sample whose turn it is."""
        count = len(self.source.samples)
        turn, place = divmod(item, count)
        order = shuffled(self.seed, epoch, turn, count) if self.shuffle else np.arange(count)
        return np.random.default_rng((self.seed, 3, epoch, item)), int(order[place])

    def cut(self, number: int, y: float, x: float) -> Pair:
        """The region around (y, x) of a sample: views of it where it lies inside."""
        image, bits = self.source.decoded(number)
        return cut(image, y, x, self.region_hw), cut(bits, y, x, self.region_hw)


class DecodedRegions:
    """Every region is from a place of its own, of any sample: for samples that are all decoded in memory."""

    def __init__(self, cutter: Cutter) -> None:
        self._cutter = cutter

    def region(self, epoch: int, item: int) -> Pair:
        random, otherwise = self._cutter.chance(epoch, item)
        return self._cutter.cut(*self._cutter.draws.place(random, otherwise, self._cutter.crop_hw))


class BlockRegions:
    """Regions in blocks, each cut from one photograph at once: to decode a large photograph for every crop would leave
    the network waiting.

    Blocks are kept for RENEW epochs and renewed in turn, none in the first epoch.

    Args:
        cutter: chooses and cuts.
        items: regions an epoch.
    """

    def __init__(self, cutter: Cutter, items: int) -> None:
        self._cutter, self._items = cutter, items
        self._blocks = block_count(items, [sample.size_hw for sample in cutter.source.samples])
        self._kept: dict[int, tuple[int, list[Pair]]] = {}
        self._locks = [threading.Lock() for _ in range(self._blocks)]

    def region(self, epoch: int, item: int) -> Pair:
        item %= self._items
        place, block = divmod(item, self._blocks)
        generation = (epoch * self._items + item + block * (RENEW - 1) * self._items // self._blocks) // \
            (RENEW * self._items)
        with self._locks[block]:
            kept = self._kept.get(block)
            if kept is None or kept[0] != generation:
                kept = self._kept[block] = generation, self._cut_block(generation, block)
        return kept[1][place]

    def _cut_block(self, generation: int, block: int) -> list[Pair]:
        """Regions of one photograph, as copies: views would keep all of it in memory."""
        cutter = self._cutter
        random, otherwise = cutter.chance(generation, block)
        number, channel = cutter.draws.subject(random, otherwise)
        middles = [cutter.draws.middle(random, number, channel, cutter.crop_hw)
                   for _ in range(-(-self._items // self._blocks))]
        return [(image.copy(), bits.copy()) for image, bits in (cutter.cut(number, y, x) for y, x in middles)]


def regions_of(cutter: Cutter, items: int) -> Regions:
    """The sampler that fits the memory; `items`: regions an epoch."""
    return DecodedRegions(cutter) if cutter.source.cached else BlockRegions(cutter, items)


def block_count(items: int, sizes_hw: Sequence[tuple[int, int]]) -> int:
    """Number of blocks for `items` regions an epoch from photographs of those sizes, (height, width) each."""
    pixels = sum(height * width for height, width in sizes_hw) / max(1, len(sizes_hw))
    return min(items, max(FEWEST_BLOCKS, math.ceil(items * PIXELS_A_REGION / pixels)))


@lru_cache(maxsize=8)
def shuffled(seed: int, epoch: int, turn: int, count: int) -> np.ndarray:
    """(count,) int64: the order in which an epoch takes its samples the `turn`-th time. Cached: the crops of an epoch
    ask for the same few orders."""
    return np.random.default_rng((seed, 2, epoch, turn)).permutation(count)
