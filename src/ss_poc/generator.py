"""Samples → batches: augmented crops to train on, whole windows to validate on.

What a batch holds depends on seed, epoch, index and on whether the images fit the memory, so a run can be resumed.
Masks travel as packed bits (one byte for eight classes): warping, stacking and copying them costs an eighth.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the internet for its newest version otherwise

import albumentations  # noqa: E402

from .data import Sample  # noqa: E402
from .errors import ConfigError  # noqa: E402
from .host import cores
from .images import contact_sheet, resize_image  # noqa: E402
from .masks import draw_overlay  # noqa: E402
from .parallel import ahead  # noqa: E402
from .tiles import map_size, origins  # noqa: E402

__all__ = ["Crops", "Mosaic", "Source", "Windows", "default_augmentation", "load_augmentation", "preview", "tf_dataset"]

# A region is this much larger than the crop, so that turning and shifting bring in real surroundings.
MARGIN = 1.25
# Of the crops not drawn around an object, so many show an image without any: this part, or where such images are rare,
# twice their part of all.
CLEAN = 0.6
# Pixels of an object class that are remembered of each sample.
SPOTS = 256
# Where decoded images do not fit the memory, a region is drawn and decoded anew every so many epochs.
RENEW = 8
# Rare classes are drawn more often than they occur: by the square root of their number of images.
BALANCE = 0.5
Pair = tuple[np.ndarray, np.ndarray]


def default_augmentation(strength: float, crop_hw: Sequence[int], grey: bool = False, turn_v: bool = True,
                         turn_h: bool = True) -> albumentations.Compose:
    """What changes a photograph of a part, but not its label: turns, scale, light, noise; cuts the crop out.

    Args:
        strength: 0 to leave the pixels as they are, 1 for the usual.
        crop_hw: (height, width) of the result.
        grey: whether there are no colours to shift.
        turn_v, turn_h: whether upside-down and mirrored photographs may be.
    """
    steps: list[Any] = [
        albumentations.Affine(scale={"x": (1 - 0.22 * strength, 1 + 0.25 * strength),
                                     "y": (1 - 0.22 * strength, 1 + 0.25 * strength)}, keep_ratio=True,
                              rotate=(-15 * strength, 15 * strength), shear=(-5 * strength, 5 * strength),
                              border_mode=cv2.BORDER_REFLECT_101, p=0.7 if strength else 0.0),
        albumentations.CenterCrop(*crop_hw),
        albumentations.HorizontalFlip(p=0.5 if turn_h else 0.0),
        albumentations.VerticalFlip(p=0.5 if turn_v else 0.0),
    ]
    if turn_v and turn_h and crop_hw[0] == crop_hw[1]:
        steps.append(albumentations.Transpose(p=0.5))
    limit = min(0.9, 0.25 * strength)
    steps.append(albumentations.RandomBrightnessContrast(brightness_limit=limit / 2, contrast_limit=limit, p=0.8))
    if not grey:
        steps.append(albumentations.HueSaturationValue(8 * strength, 20 * strength, 0, p=0.3))
    steps.append(albumentations.OneOf([
        albumentations.GaussNoise(std_range=(0.004, max(0.004, 0.03 * strength)), per_channel=False),
        albumentations.GaussianBlur(blur_limit=0, sigma_limit=(0.3, max(0.3, 1.0 * strength)))],
        p=0.3 if strength else 0.0))
    return albumentations.Compose(steps)


def load_augmentation(path: Path) -> albumentations.Compose:
    """A pipeline from albumentations' own yaml (`albumentations.save(pipeline, path, data_format="yaml")`).

    Raises:
        ConfigError: the file is missing, no yaml, or not a pipeline.
    """
    try:
        pipeline = albumentations.load(path, data_format="yaml")
    except Exception as error:  # yaml, pydantic and albumentations each raise their own
        raise ConfigError(f"the augmentation {path} cannot be read: {error}",
                          "a yaml written by albumentations.save(..., data_format='yaml')") from error
    if not isinstance(pipeline, albumentations.Compose):
        raise ConfigError(f"the augmentation {path} is a {type(pipeline).__name__}", "a Compose")
    return pipeline


class Source:
    """Decoded samples at network scale, kept while all of them fit into memory.

    Args:
        samples: photographs with their regions.
        classes: number of classes.
        scale: network pixels a pixel of the photograph; 0 to squeeze each into `size_hw`.
        size_hw: (height, width), for scale 0.
        cache_bytes: decoded samples are kept if all fit into this.
    """

    def __init__(self, samples: Sequence[Sample], classes: int, scale: float, size_hw: Sequence[int],
                 cache_bytes: int = 0) -> None:
        self.samples, self.classes, self.scale, self.size_hw = tuple(samples), classes, scale, tuple(size_hw)
        pixels = sum(height * width for height, width in map(self.map_size, range(len(self.samples))))
        self.cached = pixels * (3 + -(-classes // 8)) <= cache_bytes
        self._kept: dict[int, Pair] = {}
        self._spots: dict[tuple[int, int], np.ndarray] = {}

    def map_size(self, number: int) -> tuple[int, int]:
        """(height, width) of a sample at network scale."""
        return map_size(self.samples[number].size_hw, self.scale, self.size_hw)

    def decoded(self, number: int) -> Pair:
        """(h, w, 3) uint8 RGB and (h, w, ceil(C / 8)) uint8, the classes as bits; masks are not interpolated."""
        if number in self._kept:
            return self._kept[number]
        sample = self.samples[number]
        image = resize_image(sample.image(), self.map_size(number))
        bits = resize_nearest(np.packbits(sample.mask(self.classes), axis=-1), self.map_size(number))
        if self.cached:
            self._kept[number] = image, bits
        return image, bits


    def spots(self, number: int, channel: int) -> np.ndarray:
        """Up to SPOTS pixels of a class in a sample, as indices into its flattened (h, w); the same every time.

        They are kept: finding them takes a decoded photograph, and a look at each of its pixels.
        """
        if (number, channel) not in self._spots:
            pixels = np.flatnonzero(self.decoded(number)[1][..., channel // 8] & (128 >> channel % 8))
            if len(pixels) > SPOTS:
                pixels = np.sort(np.random.default_rng((number, channel)).choice(pixels, SPOTS, replace=False))
            self._spots[number, channel] = pixels.astype(np.int64)
        return self._spots[number, channel]


class Draws:
    """Where to look: an object of a class drawn in balance, a clean image, or anywhere."""

    def __init__(self, source: Source, sampling: float) -> None:
        self._source, self._sampling = source, sampling
        self._with = [[number for number, sample in enumerate(source.samples) if channel in sample.classes]
                      for channel in range(source.classes)]
        self._clean = [number for number, sample in enumerate(source.samples) if not sample.regions]
        self._clean_part = min(CLEAN, 2 * len(self._clean) / max(1, len(source.samples)))
        weights = np.array([len(numbers) for numbers in self._with], float)**BALANCE
        self._weights = weights / max(1.0, weights.sum()) if not weights.sum() else weights / weights.sum()

    def place(self, random: np.random.Generator, otherwise: int, crop_hw: Sequence[int]) -> tuple[int, float, float]:
        """(sample, y, x) of the middle of a crop; `otherwise` is the sample to take where chance decides on any."""
        number, channel = otherwise, -1
        if random.random() < self._sampling and self._weights.sum() > 0:
            channel = int(random.choice(len(self._weights), p=self._weights))
            number = int(random.choice(self._with[channel]))
        elif self._sampling and self._clean and random.random() < self._clean_part:
            number = int(random.choice(self._clean))
        height, width = self._source.map_size(number)
        y, x = random.random() * height, random.random() * width
        if channel >= 0:
            pixels = self._source.spots(number, channel)
            if len(pixels):  # an object thinner than a pixel may be lost where images are shrunk
                pixel = int(pixels[random.integers(len(pixels))])
                y = pixel // width + (random.random() - 0.5) * 0.7 * crop_hw[0]
                x = pixel % width + (random.random() - 0.5) * 0.7 * crop_hw[1]
        return number, inside(y, crop_hw[0], height), inside(x, crop_hw[1], width)


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
                 sampling: float = 0.0, augmentation: albumentations.Compose | None = None,
                 default: albumentations.Compose | None = None, workers: int = 0) -> None:
        self.source, self.crop_hw = source, (int(crop_hw[0]), int(crop_hw[1]))
        self.batch_size, self.seed = batch_size, seed
        self._steps = -(-(count or len(source.samples)) // batch_size)
        self._draws = Draws(source, sampling)
        self._own, self._shuffled = augmentation is not None, augmentation is not None or default is not None
        chosen = augmentation or default
        self._augmentation = chosen.to_dict() if chosen else None
        margin = MARGIN if default is not None and augmentation is None else 1.0
        self._region_hw = tuple(round(length * margin) for length in self.crop_hw)
        self._pool: dict[int, tuple[int, Pair]] = {}
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
        pipeline = self._pipeline()
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
            return self._drawn(epoch, item)
        # Decoding a large photograph for every crop would leave the network waiting: a region serves RENEW epochs,
        # the regions in turn.
        generation = (epoch + item % RENEW) // RENEW
        kept = self._pool.get(item)
        if kept is None or kept[0] != generation:
            image, bits = self._drawn(generation, item)  # views, which would keep the whole photograph
            kept = self._pool[item] = generation, (image.copy(), bits.copy())
        return kept[1]

    def _drawn(self, epoch: int, item: int) -> Pair:
        count = len(self.source.samples)
        turn, place = divmod(item, count)
        order = shuffled(self.seed, epoch, turn, count) if self._shuffled else np.arange(count)
        number, y, x = self._draws.place(np.random.default_rng((self.seed, 3, epoch, item)), int(order[place]),
                                         self.crop_hw)
        image, bits = self.source.decoded(number)
        return cut(image, y, x, self._region_hw), cut(bits, y, x, self._region_hw)

    def _pipeline(self) -> albumentations.Compose:
        # A pipeline holds its random state, so each thread has its own.
        if not hasattr(self._local, "pipeline"):
            self._local.pipeline = albumentations.from_dict(self._augmentation)
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


@dataclass(frozen=True)
class Place:
    """A window of a sample, by its middle."""

    number: int
    y: float
    x: float


class Windows:
    """Windows of the network's size in batches, as they are: all of every sample, or `most` fixed draws.

    Args:
        source: what to cut from; windows are kept, decoded samples need not be.
        batch_size: windows a batch; the last one may be smaller.
        most: upper bound of the windows.
        seed: of the draws.
    """

    def __init__(self, source: Source, size_hw: Sequence[int], batch_size: int, most: int, seed: int = 0) -> None:
        self.source, self.size_hw, self.batch_size = source, (int(size_hw[0]), int(size_hw[1])), batch_size
        count = 0
        for number in range(len(source.samples)):
            height, width = source.map_size(number)
            count += len(origins(height, self.size_hw[0])) * len(origins(width, self.size_hw[1]))
        self.places = self._all() if count <= most else self._drawn(most, seed)
        self._kept: dict[int, Pair] = {}

    def __len__(self) -> int:
        return -(-len(self.places) // self.batch_size)

    def batch(self, index: int) -> Pair:
        """Batch `index`: (N, h, w, 3) and (N, h, w, ceil(C / 8)) uint8."""
        numbers = range(index * self.batch_size, min((index + 1) * self.batch_size, len(self.places)))
        pairs = [self.window(number) for number in numbers]
        return np.stack([image for image, _ in pairs]), np.stack([bits for _, bits in pairs])

    def window(self, number: int) -> Pair:
        """Window and mask, (h, w, 3) and (h, w, ceil(C / 8)) uint8."""
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


def inside(middle: float, side: int, length: int) -> float:
    """A crop's middle moved so that the crop lies inside the image; the image's middle where it cannot."""
    return length / 2 if length <= side else min(max(middle, side / 2), length - side / 2)


def cut(image: np.ndarray, y: float, x: float, size_hw: Sequence[int]) -> np.ndarray:
    """(h, w, …) around a middle; what lies outside of the image is its reflection, at its bottom and right first."""
    height, width = int(size_hw[0]), int(size_hw[1])
    top, left = math.floor(y - height / 2 + 0.5), math.floor(x - width / 2 + 0.5)
    rows = slice(max(0, top), min(image.shape[0], top + height))
    columns = slice(max(0, left), min(image.shape[1], left + width))
    part = image[rows, columns]
    border = rows.start - top, top + height - rows.stop, columns.start - left, left + width - columns.stop
    if not any(border):
        return part
    return cv2.copyMakeBorder(part, *border, cv2.BORDER_REFLECT_101).reshape(height, width, -1)


def resize_nearest(mask: np.ndarray, size_hw: Sequence[int]) -> np.ndarray:
    """(H, W, K) uint8 to (h, w, K): each pixel is that of its centre, none is interpolated."""
    height, width = mask.shape[:2]
    if (height, width) == tuple(size_hw):
        return mask
    rows = ((np.arange(size_hw[0]) + 0.5) * height / size_hw[0]).astype(int)
    columns = ((np.arange(size_hw[1]) + 0.5) * width / size_hw[1]).astype(int)
    return np.ascontiguousarray(mask[rows[:, None], columns[None]])


def preview(crops: Crops, colors: Sequence[str], count: int = 12) -> np.ndarray:
    """A picture of augmented crops with their masks, as the network gets them, those with an object first."""
    pairs = sorted((crops.crop(0, item) for item in range(min(3 * count, len(crops) * crops.batch_size))),
                   key=lambda pair: not pair[1].any())[:count]
    pictures = [draw_overlay(image, colors, filled=np.unpackbits(bits, axis=-1, count=len(colors)).astype(bool))
                for image, bits in pairs]
    return contact_sheet(pictures, 4, crops.crop_hw)
