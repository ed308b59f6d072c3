"""ss_poc.training.batches: how long an epoch is."""

from __future__ import annotations

import dataclasses

import pytest

from ss_poc.core.config import ChosenConfig, TrainConfig
from ss_poc.training.batches import MOST_REGIONS, Epoch, plan_epoch

CONFIG = ChosenConfig(**vars(TrainConfig(size="256x320", crop="128x160", batch_size=8)))


@pytest.mark.parametrize(("images", "steps"), [(1, 1), (8, 1), (9, 2), (100, 13)])
def test_without_a_budget_an_epoch_has_a_crop_for_each_image_in_whole_batches(images, steps):
    assert plan_epoch(CONFIG, images, windows=10, classes=2, cached=True) == Epoch(steps, 8)
    assert Epoch(steps, 8).crops == 8 * steps


@pytest.mark.parametrize(("windows", "crops"), [(10, 160), (1, 24)])
def test_with_a_budget_validation_is_a_twelfth_of_the_time(windows, crops):
    """A window has 4 times the pixels of a crop, and takes a third of the time for each: 16 crops a window."""
    timed = dataclasses.replace(CONFIG, budget="15m")
    assert plan_epoch(timed, 20, windows, classes=2, cached=True).crops == crops


def test_where_images_do_not_fit_the_memory_regions_of_all_crops_do():
    epoch = plan_epoch(CONFIG, 100_000, windows=10, classes=2, cached=False)
    region = 2 * 1.25**2 * 128 * 160 * 4  # three colours and a byte of classes
    assert MOST_REGIONS - 8 * region < (epoch.crops - 8) * region <= MOST_REGIONS
