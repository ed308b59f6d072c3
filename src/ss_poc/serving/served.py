"""A model and what goes with it while it is served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.config import ServeConfig
from ..core.errors import ConfigError
from ..inference.appearance import measure
from ..inference.predictor import Prediction, Predictor
from ..measuring.named import read_folder
from ..measuring.settings import PartRules
from .collector import Collector, ReceivedImage
from .drift import Drift
from .memory import room_for
from .metrics import BRIGHTNESS, CONFIDENCE, CONTRAST, FOUND, IMAGES

__all__ = ["Served"]


class Served:
    """A model and what goes with it: samples, drift, the collector.

    Args:
        predictor: the model, loaded and warm: what it holds of memory by now is no longer free for images.
        folder: of the model, with `samples/` and `card.json`.
        card: what is told of the model: scores, and the reference of the training images.
        config: of the service.

    Attributes:
        rules: part rules that requests may name.

    Raises:
        ArtifactError: the reference of the training images is damaged.
        ConfigError: there is something wrong with the part rules, or they are for another model.
    """

    def __init__(self, predictor: Predictor, folder: Path, card: Mapping[str, Any], config: ServeConfig) -> None:
        self.predictor, self.folder, self.card = predictor, folder, card
        self.drift = Drift(card.get("reference") or {})
        self.rules = _part_rules(config.rules, predictor.spec.labels) if config.rules else {}
        self.room = room_for(predictor.spec, config)
        self.collector = Collector(Path(config.collect_path), predictor.spec, config.collect, config.collect_days,
                                   self.room.large) if config.collect else None

    @property
    def samples(self) -> list[str]:
        """Names of the photographs that came with the model."""
        return [item["name"] for item in self.card.get("samples", [])]

    def record(self, image: ReceivedImage, prediction: Prediction) -> None:
        """Count an image, compare it with those of training, keep it if it is worth it."""
        measured = measure(image.rgb, prediction.probability)
        verdict = prediction.verdict
        IMAGES.labels("defect" if verdict["defect"] else "clean").inc()
        for label in verdict["labels"]:
            FOUND.labels(label).inc()
        BRIGHTNESS.observe(measured["brightness"])
        CONTRAST.observe(measured["contrast"])
        CONFIDENCE.observe(measured["confidence"])
        self.drift.add(measured)
        if self.collector:
            self.collector.offer(image, prediction, 1 - measured["confidence"])


def _part_rules(folder: str, labels: Sequence[str]) -> dict[str, PartRules]:
    if not Path(folder).is_absolute():
        raise ConfigError(f"SS_POC_RULES is {folder!r}", "a path that begins with /",
                          "workers run in the folder of their model: name the whole path")
    return read_folder(Path(folder), labels)
