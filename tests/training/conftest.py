"""What tests of training share."""

from __future__ import annotations

import pytest

from ss_poc.core.config import TrainConfig
from ss_poc.training import recipe


@pytest.fixture
def config(labelled, tmp_path) -> TrainConfig:
    """Settings of a run on the tiny set, below a folder of this test."""
    return TrainConfig(img_path=str(labelled), result=str(tmp_path / "result"), epoch=3, batch_size=4)


@pytest.fixture
def limits(monkeypatch):
    """The limits that the numbers below are worked out for; those of the recipe follow from measurements."""
    monkeypatch.setattr(recipe, "CROP_PIXELS", {"cpu": 224 * 224, "gpu": 512 * 512})
    monkeypatch.setattr(recipe, "WINDOW_PIXELS", {"cpu": 448 * 448, "gpu": 1024 * 1024})
    monkeypatch.setattr(recipe, "STEP_PIXELS", 8 * 224 * 224)
    monkeypatch.setattr(recipe, "PIXELS_A_CORE", 1_500_000)
    monkeypatch.setitem(recipe.BYTES_A_PIXEL, "compact", 1500)
    monkeypatch.setitem(recipe.BYTES_A_PIXEL, "unet", 7000)
