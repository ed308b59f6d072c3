"""One application in this process, with a stand-in for the model, and a way to ask it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np

from ss_poc.core.config import ServeConfig
from ss_poc.core.model_spec import ModelSpec
from ss_poc.inference.predictor import Prediction, Predictor
from ss_poc.serving.app import application
from ss_poc.serving.served import Served
from ss_poc.serving.state import ServiceState

SPEC = ModelSpec("demo", "v_1", ("scratch",), ("#ff0000",), (4,), (32, 32), "x", "")


def ask(state: ServiceState, method: str, path: str, **options: Any) -> httpx.Response:
    async def scene() -> httpx.Response:
        transport = httpx.ASGITransport(application(state))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, **options)

    return asyncio.run(scene())


def predict(image: np.ndarray, threshold: float | None = None) -> Prediction:
    mask = image[..., :1] > 128
    return Prediction(mask, mask.astype(np.float32), SPEC.labels, SPEC.colors, (0.0,))


def state_in(folder: Path) -> ServiceState:
    found = ServiceState.of(ServeConfig(collect=2, collect_path=str(folder / "kept")))
    predictor = SimpleNamespace(spec=SPEC, predict=predict)
    found.served = Served(predictor, folder, {"samples": [{"name": "sample_1.png"}]}, found.config)
    return found


def judging_state(rules: Path, export: Path) -> ServiceState:
    """A service with the model of a folder, and the part rules of another."""
    found = ServiceState.of(ServeConfig(rules=str(rules)))
    predictor = Predictor.load(export, export.parent / "valid" / "valid_post_grid.csv", engine="onnxruntime")
    found.served = Served(predictor, export, {}, found.config)
    return found
