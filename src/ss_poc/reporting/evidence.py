"""What a model does on the validation split, image by image and pixel by pixel: the numbers and pictures of a report.

Images go through one after the other; of each only numbers and small pictures are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import tqdm

from ..core.drawing import draw_overlay
from ..core.host import cores
from ..core.images import encode_image, resize_image
from ..core.parallel import ahead
from ..core.refine import plain_rules, refine, resize_probability
from ..core.scores import dice, intersection_union
from ..data.dataset import Sample
from ..inference.kept import KeptMaps
from ..inference.predictor import Predictor

__all__ = ["BINS", "Evidence", "Looked", "Suspect", "gather", "small_size"]

# Number of steps from 0 to 1 that probabilities are counted in.
BINS = 100
# Longest side of the pictures of the gallery and of suspected labels, and their JPEG quality.
PICTURE, CLOSE_UP, QUALITY = 420, 220, 80
# A suspected label: the model is this sure that an unlabelled object is one, or that a labelled one is none.
SURE, UNSURE = 0.85, 0.05


@dataclass(frozen=True)
class Suspect:
    """An object where the model confidently contradicts the label.

    Attributes:
        image: name of the photograph.
        channel: class.
        missing: True: found by the model, not labelled; False: labelled, not seen by the model.
        confidence: how sure the model is of its contradiction, 0..1.
        area: pixels of the object.
        picture: JPEG of the place, the object outlined.
    """

    image: str
    channel: int
    missing: bool
    confidence: float
    area: int
    picture: bytes


@dataclass(frozen=True)
class Looked:
    """One image.

    Attributes:
        name: of the photograph.
        dice, dice_plain: (C,) of the image, with the rules and with a threshold of 0.5 alone.
        both, either, both_plain, either_plain: (C,) pixels for the data set's IoU, likewise.
        true, predicted: (C,) pixels.
        scores: (C,) highest probability among the marked pixels.
        highest: highest probability of any class and pixel, marked or not.
        defect: the verdict.
        probability: of a defect on it, 0..1; None where the model cannot tell.
        pictures: JPEGs: photograph, label filled, prediction filled.
    """

    name: str
    dice: np.ndarray
    dice_plain: np.ndarray
    both: np.ndarray
    either: np.ndarray
    both_plain: np.ndarray
    either_plain: np.ndarray
    true: np.ndarray
    predicted: np.ndarray
    scores: tuple[float, ...]
    highest: float
    defect: bool
    probability: float | None
    pictures: tuple[bytes, bytes, bytes]


@dataclass(frozen=True)
class Evidence:
    """All images together.

    Attributes:
        images: one an image.
        true_at, all_at: (C, BINS) pixels by probability: those that are labelled, and all.
        confusion: (C + 1, C + 1) pixels, by label and prediction, the last row and column being background; where
            classes overlap a pixel counts for the last of them in channel order.
        suspects: most confident first.
    """

    images: tuple[Looked, ...]
    true_at: np.ndarray
    all_at: np.ndarray
    confusion: np.ndarray
    suspects: tuple[Suspect, ...]


@dataclass(frozen=True)
class _Parts:
    looked: Looked
    true_at: np.ndarray
    all_at: np.ndarray
    confusion: np.ndarray
    suspects: list[Suspect]


def gather(samples: Sequence[Sample], predictor: Predictor, maps: KeptMaps | None = None,
           workers: int = 0) -> Evidence:
    """Run a model over images, but those whose maps are kept, and keep what a report needs.

    Args:
        samples: the images.
        predictor: the model, in the engine that serves.
        maps: those of some images; None: none is kept.
        workers: threads; 0 for one a core.
    """
    kept = maps or KeptMaps()
    found = ahead(lambda index: _look(samples[index], predictor, kept), len(samples), workers or cores())
    classes = len(predictor.spec.labels)
    true_at, all_at = np.zeros((classes, BINS)), np.zeros((classes, BINS))
    confusion = np.zeros((classes + 1, classes + 1))
    images, suspects = [], []
    for parts in tqdm(found, total=len(samples), desc="report", unit="image", disable=None):
        images.append(parts.looked)
        true_at, all_at, confusion = true_at + parts.true_at, all_at + parts.all_at, confusion + parts.confusion
        suspects += parts.suspects
    suspects.sort(key=lambda suspect: -suspect.confidence * suspect.area**0.25)
    return Evidence(tuple(images), true_at, all_at, confusion, tuple(suspects))


def _look(sample: Sample, predictor: Predictor, maps: KeptMaps) -> _Parts:
    spec, classes = predictor.spec, len(predictor.spec.labels)
    image, truth = sample.image(), sample.mask(classes)
    prediction = predictor.prediction(maps.probability(predictor, sample.name, lambda: image), image.shape[:2])
    plain = refine(prediction.probability, plain_rules(spec.labels, spec.colors, spec.size_hw), truth.shape[:2])
    looked = Looked(
        sample.name, dice(truth, prediction.mask), dice(truth, plain), *intersection_union(truth, prediction.mask),
        *intersection_union(truth, plain), np.count_nonzero(truth, axis=(0, 1)),
        np.count_nonzero(prediction.mask, axis=(0, 1)), prediction.scores, float(prediction.probability.max()),
        prediction.verdict["defect"], prediction.probability_of_defect,
        _pictures(image, truth, prediction.mask, spec.colors))
    true_at, all_at = np.zeros((classes, BINS)), np.zeros((classes, BINS))
    suspects: list[Suspect] = []
    for channel in range(classes):
        large = resize_probability(prediction.probability[..., channel], truth.shape[:2])
        step = np.minimum((large * BINS).astype(np.int32), BINS - 1)
        all_at[channel] = np.bincount(step.ravel(), minlength=BINS)
        true_at[channel] = np.bincount(step[truth[..., channel]], minlength=BINS)
        suspects += _suspects(sample.name, channel, image, large, truth[..., channel], prediction.mask[..., channel],
                              spec.colors[channel])
    return _Parts(looked, true_at, all_at, _confusion(truth, prediction.mask), suspects)


def small_size(size_hw: Sequence[int]) -> tuple[int, int]:
    """(height, width) of a picture in the report, of a photograph of that size."""
    factor = min(1.0, PICTURE / max(size_hw))
    height, width = (max(1, round(length * factor)) for length in size_hw)
    return height, width


def _pictures(image: np.ndarray, truth: np.ndarray, mask: np.ndarray,
              colors: Sequence[str]) -> tuple[bytes, bytes, bytes]:
    size_hw = small_size(image.shape[:2])
    small = resize_image(image, size_hw)

    def shown(planes: np.ndarray) -> bytes:
        # The largest value of each area: a scratch of one pixel must not vanish in the small picture.
        part = np.stack([cv2.resize(plane.astype(np.float32), size_hw[::-1], interpolation=cv2.INTER_AREA) > 0
                         for plane in np.moveaxis(planes, -1, 0)], axis=-1)
        return encode_image(draw_overlay(small, colors, outlined=part, filled=part), ".jpg", QUALITY)

    return encode_image(small, ".jpg", QUALITY), shown(truth), shown(mask)


def _confusion(truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    classes = truth.shape[-1]
    maps = []
    for planes in (truth, mask):
        found = np.full(planes.shape[:2], classes, np.int64)
        for channel in range(classes):
            found[planes[..., channel]] = channel
        maps.append(found)
    counts = np.bincount((maps[0] * (classes + 1) + maps[1]).ravel(), minlength=(classes + 1)**2)
    return counts.reshape(classes + 1, classes + 1).astype(float)


def _suspects(name: str, channel: int, image: np.ndarray, probability: np.ndarray, truth: np.ndarray,
              mask: np.ndarray, color: str) -> list[Suspect]:
    """Objects found where nothing is labelled, with high probability, and labelled ones where next to none is seen."""
    found = []
    for missing, objects, other in ((True, mask, truth), (False, truth, mask)):
        count, labelled, stats, _ = cv2.connectedComponentsWithStats(objects.astype(np.uint8), connectivity=8)
        for number in range(1, count):
            inside = labelled == number
            if other[inside].any():
                continue
            highest = float(probability[inside].max())
            if (highest >= SURE) if missing else (highest <= UNSURE):
                found.append(Suspect(name, channel, missing, highest if missing else 1 - highest,
                                     int(stats[number, cv2.CC_STAT_AREA]), _close_up(image, inside, color)))
    return found


def _close_up(image: np.ndarray, inside: np.ndarray, color: str) -> bytes:
    """The place of an object with as much again around it, at least 64 pixels, the object outlined."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    side = max(64, 2 * max(int(np.ptp(rows)), int(np.ptp(columns))))
    top = max(0, int(rows.mean()) - side // 2)
    left = max(0, int(columns.mean()) - side // 2)
    part = np.s_[top:top + side, left:left + side]
    factor = CLOSE_UP / max(image[part].shape[:2])
    size_hw = [max(1, round(length * factor)) for length in image[part].shape[:2]]
    large = cv2.resize(inside[part].astype(np.uint8), size_hw[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)
    return encode_image(draw_overlay(resize_image(image[part], size_hw), [color], outlined=large[..., None]), ".jpg",
                        QUALITY)
