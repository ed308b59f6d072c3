"""Windows of the samples to validate on, not augmented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.tiles import origins, window_count
from .sampling import Draws, Pair, Source, cut, stacked

__all__ = ["Windows"]


@dataclass(frozen=True)
class Place:
    """A window of a sample: the sample's number and the window's middle, in network pixels."""

    number: int
    y: float
    x: float


class Windows:
    """Windows of the network's size in batches, not augmented: all that cover every sample, or `most` fixed draws.

    Args:
        source: what to cut from; windows are kept, decoded samples need not be.
        size_hw: (height, width) of a window.
        batch_size: windows a batch; the last one may be smaller.
        most: upper bound of the number of windows.
        seed: of the draws.
    """

    def __init__(self, source: Source, size_hw: Sequence[int], batch_size: int, most: int, seed: int = 0) -> None:
        self.source, self.size_hw, self.batch_size = source, (int(size_hw[0]), int(size_hw[1])), batch_size
        count = sum(window_count(source.map_size(number), self.size_hw) for number in range(len(source.samples)))
        self.places = self._all() if count <= most else self._drawn(most, seed)
        self._kept: dict[int, Pair] = {}

    def __len__(self) -> int:
        return -(-len(self.places) // self.batch_size)

    def batch(self, index: int) -> Pair:
        """Batch `index`: (N, h, w, 3) uint8 RGB and packed masks (N, h, w, ceil(C / 8)) uint8."""
        numbers = range(index * self.batch_size, min((index + 1) * self.batch_size, len(self.places)))
        return stacked(self.window(number) for number in numbers)

    def window(self, number: int) -> Pair:
        """Window `number`: (h, w, 3) uint8 RGB and its packed mask (h, w, ceil(C / 8)) uint8."""
        if number not in self._kept:
            place = self.places[number]
            image, bits = self.source.decoded(place.number)
            keep = np.asarray if self.source.cached else np.array  # a view would keep the whole photograph
            self._kept[number] = (keep(cut(image, place.y, place.x, self.size_hw)),
                                  keep(cut(bits, place.y, place.x, self.size_hw)))
        return self._kept[number]

    def _all(self) -> list[Place]:
        height, width = self.size_hw
        return [Place(number, top + height / 2, left + width / 2) for number in range(len(self.source.samples))
                for top in origins(self.source.map_size(number)[0], height)
                for left in origins(self.source.map_size(number)[1], width)]

    def _drawn(self, most: int, seed: int) -> list[Place]:
        draws, count = Draws(self.source, 0.5), len(self.source.samples)
        return sorted((Place(*draws.place(np.random.default_rng((seed, 4, item)), item % count, self.size_hw))
                       for item in range(most)), key=lambda place: place.number)
