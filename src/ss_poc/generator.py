"""Samples → augmented batches. What a batch holds depends on seed, epoch and index alone, so a run can be resumed."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the internet for its newest version otherwise

import albumentations  # noqa: E402

from .data import Sample  # noqa: E402
from .errors import ConfigError  # noqa: E402
from .images import contact_sheet, resize_image  # noqa: E402
from .masks import draw_overlay  # noqa: E402

__all__ = ["Batches", "default_augmentation", "load_augmentation", "preview"]


def default_augmentation() -> albumentations.Compose:
    """Flips, rotation, distortion and light: what changes a photograph of a part, but not its label."""
    return albumentations.Compose([
        albumentations.HorizontalFlip(p=0.5),
        albumentations.VerticalFlip(p=0.5),
        albumentations.Affine(scale=(0.85, 1.15), translate_percent=(-0.06, 0.06), rotate=(-20, 20),
                              border_mode=cv2.BORDER_REFLECT_101, p=0.6),
        albumentations.GridDistortion(num_steps=4, distort_limit=0.15, border_mode=cv2.BORDER_REFLECT_101, p=0.2),
        albumentations.RandomBrightnessContrast(brightness_limit=0.15, contrast_limit=0.15, p=0.5),
    ])


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


class Batches:
    """Decoded, resized, augmented samples in batches.

    Args:
        samples: what to draw from.
        classes: number of classes.
        size_hw: (height, width) of a batch.
        batch_size: images a batch; the last one of an epoch may be smaller.
        seed: of order and augmentation.
        augmentation: a pipeline, or None for samples as they are, in their order.
        cache_bytes: decoded samples are kept while they fit into this.
        workers: decoding threads; 0 for one a core.
    """

    def __init__(self, samples: Sequence[Sample], classes: int, size_hw: Sequence[int], batch_size: int, seed: int = 0,
                 augmentation: albumentations.Compose | None = None, cache_bytes: int = 0, workers: int = 0) -> None:
        self.samples, self.classes, self.size_hw = tuple(samples), classes, (int(size_hw[0]), int(size_hw[1]))
        self.batch_size, self.seed = batch_size, seed
        self._augmentation = augmentation.to_dict() if augmentation else None
        self._local = threading.local()
        sample_bytes = self.size_hw[0] * self.size_hw[1] * (3 + -(-classes // 8))
        self._cache: list[tuple[np.ndarray, np.ndarray] | None] | None = (
            [None] * len(samples) if sample_bytes * len(samples) <= cache_bytes else None)
        self._workers = workers or len(os.sched_getaffinity(0))

    @property
    def cached(self) -> bool:
        """Whether all decoded samples fit the cache."""
        return self._cache is not None

    def __len__(self) -> int:
        return -(-len(self.samples) // self.batch_size)

    def order(self, epoch: int) -> np.ndarray:
        """Sample numbers in the order of an epoch: shuffled if there is an augmentation."""
        numbers = np.arange(len(self.samples))
        return np.random.default_rng((self.seed, epoch)).permutation(numbers) if self._augmentation else numbers

    def batch(self, epoch: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Batch `index` of an epoch: (N, h, w, 3) float32 RGB in 0..255 and (N, h, w, C) float32 in {0, 1}."""
        numbers = self.order(epoch)[index * self.batch_size:(index + 1) * self.batch_size]
        pairs = [self.augmented(int(number), epoch) for number in numbers]
        return (np.stack([image for image, _ in pairs]).astype(np.float32),
                np.stack([mask for _, mask in pairs]).astype(np.float32))

    def epoch(self, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of an epoch in order, made ahead by threads."""
        with ThreadPoolExecutor(self._workers) as pool:
            waiting: deque[Future] = deque()
            for index in range(len(self)):
                waiting.append(pool.submit(self.batch, epoch, index))
                if len(waiting) > self._workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def dataset(self, next_epoch: Callable[[], int]) -> Any:
        """A `tf.data.Dataset`; each pass over it is the epoch that `next_epoch()` names."""
        import tensorflow as tf

        signature = (tf.TensorSpec((None, *self.size_hw, 3), tf.float32),
                     tf.TensorSpec((None, *self.size_hw, self.classes), tf.float32))
        made = tf.data.Dataset.from_generator(lambda: self.epoch(next_epoch()), output_signature=signature)
        return made.apply(tf.data.experimental.assert_cardinality(len(self))).prefetch(2)

    def decoded(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Sample at batch size: (h, w, 3) uint8 RGB and (h, w, C) uint8 in {0, 1}; masks are not interpolated."""
        if self._cache is not None and (kept := self._cache[number]) is not None:
            return kept[0], np.unpackbits(kept[1], axis=-1, count=self.classes)
        sample = self.samples[number]
        image = resize_image(sample.image(), self.size_hw)
        mask = resize_mask(sample.mask(self.classes), self.size_hw)
        if self._cache is not None:
            self._cache[number] = (image, np.packbits(mask, axis=-1))
        return image, mask

    def augmented(self, number: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Sample after augmentation, as of that epoch; shapes as `decoded`."""
        image, mask = self.decoded(number)
        if self._augmentation is None:
            return image, mask
        pipeline = self._pipeline()
        pipeline.set_random_seed(int(np.random.SeedSequence((self.seed, epoch, number)).generate_state(1)[0]))
        made = pipeline(image=image, mask=mask)
        image, mask = made["image"], made["mask"]
        if image.shape != (*self.size_hw, 3):  # a pipeline of the user's may crop
            image, mask = resize_image(image, self.size_hw), resize_mask(mask, self.size_hw)
        return image, mask.reshape(*self.size_hw, self.classes)

    def _pipeline(self) -> albumentations.Compose:
        # A pipeline holds its random state, so each thread has its own.
        if not hasattr(self._local, "pipeline"):
            self._local.pipeline = albumentations.from_dict(self._augmentation)
        return self._local.pipeline


def resize_mask(mask: np.ndarray, size_hw: Sequence[int]) -> np.ndarray:
    """(H, W, C) bool or uint8 to (h, w, C) uint8 in {0, 1}: each pixel is that of its centre, none is interpolated."""
    height, width = mask.shape[:2]
    rows = ((np.arange(size_hw[0]) + 0.5) * height / size_hw[0]).astype(int)
    columns = ((np.arange(size_hw[1]) + 0.5) * width / size_hw[1]).astype(int)
    return np.ascontiguousarray(mask[rows[:, None], columns[None]], dtype=np.uint8)


def preview(batches: Batches, colors: Sequence[str], count: int = 12) -> np.ndarray:
    """A picture of augmented samples with their masks, those with an object first."""
    numbers = sorted(range(len(batches.samples)), key=lambda number: not batches.samples[number].regions)[:count]
    pictures = []
    for number in numbers:
        image, mask = batches.augmented(number, 0)
        pictures.append(draw_overlay(image, colors, filled=mask.astype(bool)))
    return contact_sheet(pictures, 4, batches.size_hw)
