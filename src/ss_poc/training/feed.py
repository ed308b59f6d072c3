"""Batches for those who take them: TensorFlow, and people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..core.drawing import contact_sheet, draw_overlay
from ..data.packed import unpack
from .crops import Batches
from .sampling import Pair

__all__ = ["preview", "tf_dataset"]


def tf_dataset(epoch: Callable[[], Iterator[Pair]], steps: int, size_hw: Sequence[int], classes: int) -> Any:
    """Make a `tf.data.Dataset` of images and unpacked masks, one pass an epoch.

    Keras turns both into float32 within the compiled step, which is where it costs least.

    Args:
        epoch: gives the batches of the next epoch, with packed masks.
        steps: batches an epoch.
        size_hw: (height, width) of the images.
        classes: channels of the masks.

    Returns:
        Data set of (N, h, w, 3) uint8 RGB in 0..255 and (N, h, w, C) uint8 in {0, 1}.
    """
    import tensorflow as tf

    def batches() -> Iterator[Pair]:
        for images, bits in epoch():
            yield images, unpack(bits, classes)

    signature = tf.TensorSpec((None, *size_hw, 3), tf.uint8), tf.TensorSpec((None, *size_hw, classes), tf.uint8)
    made = tf.data.Dataset.from_generator(batches, output_signature=signature)
    # There is nothing here to tune, and at the end of an epoch the thread that does so would be waited for: it sleeps
    # for 0.01, 0.02, 0.04, … seconds, so that an epoch of 25 seconds ended after 41 (TensorFlow 2.21).
    options = tf.data.Options()
    options.autotune.enabled = False
    return made.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2).with_options(options)


def preview(crops: Batches, colors: Sequence[str], count: int = 12) -> np.ndarray:
    """Draw crops of the first epoch with their masks, as the network gets them, those with an object first.

    Args:
        crops: to draw.
        colors: `#rrggbb` of each class.
        count: crops in the picture, at most.

    Returns:
        (H, W, 3) uint8 RGB, four crops a row.
    """
    pairs = sorted((crops.crop(0, item) for item in range(min(3 * count, len(crops) * crops.batch_size))),
                   key=lambda pair: not pair[1].any())[:count]
    pictures = [draw_overlay(image, colors, filled=unpack(bits, len(colors)).astype(bool)) for image, bits in pairs]
    return contact_sheet(pictures, 4, crops.crop_hw)
