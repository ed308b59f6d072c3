"""Networks that several files of tests look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_networks import SIZE

from ss_poc.networks.build import build_model

import keras  # isort: skip  (after ss_poc.networks, which quietens TensorFlow)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """The same starting weights in every run."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module")
def compact() -> keras.Model:
    """A compact network with every weight moved away from where it starts."""
    keras.utils.set_random_seed(0)  # it is made before `seeded` runs
    model, random = build_model("compact", "", 2, SIZE), np.random.default_rng(1)
    for weight in model.weights:
        factor, offset = random.uniform(0.7, 1.3, weight.shape), random.uniform(0, 0.02, weight.shape)
        weight.assign(np.asarray(weight) * factor + offset)
    return model


@pytest.fixture(scope="module")
def saved(compact, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model_1_0.5.keras"
    compact.save(path)
    return path
