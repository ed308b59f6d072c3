"""The service: `POST /predict` takes a photograph and answers with masks.

    bentoml serve deploy/KerasSegmentationService/segment/v_1 --port 8892
    curl -X POST http://127.0.0.1:8892/predict -F image=@photo.jpg
    python -m ss_poc.keras_segment --check      (inside a Bento's src/: is its model whole, does it find what it did?)
    python -m ss_poc.keras_segment --fd 3 --lifeline 4      (one worker on a socket it is given; supervisor.py)
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import bentoml
import numpy as np
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core.config import ServeConfig
from ..core.deployed import CARD_FILE, SERVICE
from ..core.errors import ArtifactError, ConfigError
from ..core.files import read_json
from ..core.host import give_memory_back
from ..core.images import decode_image
from ..core.masks import decode_rle
from ..core.rules_file import RULES_JSON
from ..core.scores import dice
from ..core.settings import from_environment
from ..inference.predictor import Predictor
from .app import application
from .gauges import keep_true
from .metrics import log_line, start_logging
from .served import Served
from .state import ServiceState

__all__ = ["KerasSegmentationService", "main"]

# A sample's masks must be as they were when the model was packaged, but for what another engine's rounding does.
LEAST_AGREEMENT = 0.9


def load_served(config: ServeConfig) -> Served:
    """Load the model of the Bento this file lies in (or of the folder SS_POC_MODEL), and try it on its samples.

    Raises:
        ArtifactError: the model is damaged or another program's, or finds something else in a sample than when it was
            packaged.
    """
    folder = Path(os.environ.get("SS_POC_MODEL") or Path(__file__).resolve().parents[3] / "models")
    predictor = Predictor.load(folder, folder / RULES_JSON, config.engine_threads, config.engine, shared=True)
    card = read_json(folder / CARD_FILE) if (folder / CARD_FILE).is_file() else {}
    for reason in predictor.refused:
        log_line("engine refused", 30, reason=reason)
    predictor.predict(np.zeros((*predictor.spec.size_hw, 3), np.uint8))
    for sample in card.get("samples", []):
        _compare(predictor, folder / "samples" / sample["name"], sample["rle"])
    give_memory_back()
    log_line("model loaded", name=predictor.spec.name, version=predictor.spec.version, engine=predictor.engine,
             samples=len(card.get("samples", [])))
    return Served(predictor, folder, card, config)


def _compare(predictor: Predictor, path: Path, rles: Sequence[dict[str, Any]]) -> None:
    mask = predictor.predict(decode_image(path, levels=predictor.spec.levels)).mask
    expected = np.stack([decode_rle(rle, mask.shape[:2]) for rle in rles], axis=-1)
    agreement = float(dice(expected, mask).min())
    if agreement < LEAST_AGREEMENT:
        raise ArtifactError(f"the model does not find in {path.name} what it found when it was packaged "
                            f"(Dice {agreement:.2f})", f"at least {LEAST_AGREEMENT}", "package the model again")


def _config() -> ServeConfig:
    # Read while BentoML imports this file: an exception would reach the operator as a page of traceback.
    try:
        return from_environment(ServeConfig)
    except ConfigError as error:
        raise SystemExit(f"error: {error}") from error


CONFIG = _config()
STATE = ServiceState.of(CONFIG)
APP = application(STATE)


@bentoml.service(
    name=SERVICE, workers=CONFIG.workers, traffic={"timeout": CONFIG.timeout + CONFIG.upload_timeout + 5},
    # Ours name the route, not the path that a client made up; see metrics.py and middleware.Guard.
    metrics={"enabled": False}, logging={"access": {"enabled": False}},
)
@bentoml.asgi_app(APP, path="/")
class KerasSegmentationService:
    """BentoML's view of the application: it loads the model before the first request is let in."""

    def __init__(self) -> None:
        start_logging()
        STATE.served = load_served(CONFIG)
        log_line("largest image", **dataclasses.asdict(STATE.served.room))
        STATE.life.ready = True
        keep_true(STATE)
        drain_on_sigterm()


class Readiness:
    """Answers `/readyz`, before BentoML does: 503 until the model is warm and once the service was told to stop.

    From then on each answer, whoever gives it, asks the client to close its connection: so its next request reaches
    another process, and none comes just as this one leaves.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `/readyz`; pass every other request on."""
        life, served = STATE.life, STATE.served

        async def close_when_draining(message: Message) -> None:
            if message["type"] == "http.response.start" and life.draining:
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        if scope["type"] != "http" or scope["path"] != "/readyz":
            await self.app(scope, receive, close_when_draining)
            return
        body: dict[str, Any] = {"ready": life.takes_requests, "draining": life.draining}
        if served:
            spec = served.predictor.spec
            body |= {"name": spec.name, "version": spec.version, "engine": served.predictor.engine,
                     "engines_refused": served.predictor.refused}
        await JSONResponse(body, 200 if body["ready"] else 503)(scope, receive, close_when_draining)


# bentoml.service() makes a Service of the class, which type checkers take for the class itself.
BENTOML: Any = KerasSegmentationService
BENTOML.add_asgi_middleware(Readiness)


def drain_on_sigterm() -> None:
    """At SIGTERM, say `draining` on `/readyz` and serve on for `SS_POC_DRAIN` seconds; then stop the web server."""
    if threading.current_thread() is not threading.main_thread():
        return
    stop, loop, life = signal.getsignal(signal.SIGTERM), asyncio.get_running_loop(), STATE.life

    def drain(number: int, frame: FrameType | None) -> None:
        if not callable(stop):
            raise SystemExit(143)
        if life.draining:
            stop(number, frame)
            return
        life.draining = True
        loop.call_soon_threadsafe(loop.call_later, CONFIG.drain, stop, number, frame)

    signal.signal(signal.SIGTERM, drain)


def main(argv: Sequence[str] | None = None) -> None:
    """Check the model of this Bento, or serve it on a socket that the caller opened."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--check", action="store_true", help="load the model, try it on its samples, leave")
    parser.add_argument("--fd", type=int, help="listening socket to serve on")
    parser.add_argument("--lifeline", type=int, help="socket to say 'ready' to; the worker stops when it closes")
    options = parser.parse_args(argv)
    start_logging()
    if options.check:
        spec = load_served(CONFIG).predictor.spec
        print(f"{spec.name} {spec.version}: {', '.join(spec.labels)}, {spec.network}, "
              f"{spec.size_hw[0]}x{spec.size_hw[1]}")
    elif options.fd is None:
        raise ConfigError("nothing to do", "--check, or --fd with a listening socket")
    else:
        from .worker import serve

        serve(BENTOML.to_asgi(), options.fd, options.lifeline, CONFIG, STATE.life)
