"""Augmentation: pipelines that change a photograph, and its label only as far as it moves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from ..core.errors import ConfigError

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the internet for its newest version otherwise

import albumentations  # noqa: E402  isort: skip
from albumentations import Compose  # noqa: E402  isort: skip

__all__ = ["Compose", "default_augmentation", "duplicate", "load_augmentation"]


def default_augmentation(strength: float, crop_hw: Sequence[int], grey: bool = False, turn_v: bool = True,
                         turn_h: bool = True) -> Compose:
    """Build the default pipeline: it changes scale, angle, light and noise, and cuts the crop out of a larger region.

    Args:
        strength: 0 to leave light, noise and scale as they are, 1 for the usual changes.
        crop_hw: (height, width) of the result.
        grey: whether the photographs have no colours to shift.
        turn_v, turn_h: whether crops may be turned upside down, and mirrored.
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
    return Compose(steps)


def load_augmentation(path: Path) -> Compose:
    """Read a pipeline from albumentations' own yaml (`albumentations.save(pipeline, path, data_format="yaml")`).

    Raises:
        ConfigError: the file is missing, no yaml, or not a pipeline.
    """
    try:
        pipeline = albumentations.load(path, data_format="yaml")
    except Exception as error:  # yaml, pydantic and albumentations each raise their own
        raise ConfigError(f"the augmentation {path} cannot be read: {error}",
                          "a yaml written by albumentations.save(..., data_format='yaml')") from error
    if not isinstance(pipeline, Compose):
        raise ConfigError(f"the augmentation {path} is a {type(pipeline).__name__}", "a Compose")
    return pipeline


def duplicate(pipeline: Compose) -> Compose:
    """Copy a pipeline: the same steps with a random state of their own, for another thread."""
    return albumentations.from_dict(pipeline.to_dict())
