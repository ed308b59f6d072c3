"""Train on good photographs alone: `python -m ss_poc.train --good_only`."""

from __future__ import annotations

from collections.abc import Callable

from ..core.config import TrainConfig
from ..core.run import RunPaths
from .good_set import good_set

__all__ = ["train_on_good"]


def train_on_good(config: TrainConfig, train: Callable[[TrainConfig], RunPaths]) -> RunPaths:
    """Draw defects onto the photographs, train on that, and join what was trained with a memory of the photographs.

    Args:
        config: `img_path` names good photographs.
        train: trains on labelled photographs, and returns where the run is.

    Raises:
        As `good_set` and `train`.
    """
    paths = train(good_set(config))
    from .remember import remember  # TensorFlow takes seconds to load

    remember(paths)
    return paths
