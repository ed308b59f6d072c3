"""What operators see of the service: one log line for each request, and numbers for Prometheus. No image content."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

__all__ = ["BRIGHTNESS", "CONFIDENCE", "CONTRAST", "DRIFT", "FOUND", "IMAGES", "INFO", "METRICS_TYPE", "QUEUE", "READY",
           "REQUESTS", "SECONDS", "SEEN", "WORKERS_SHARE", "log_line", "metrics_text", "samples_of", "start_logging"]

METRICS_TYPE = CONTENT_TYPE_LATEST
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# Whether several workers put their numbers together, in the folder that this variable names.
WORKERS_SHARE = FOLDER in os.environ
TENTHS = tuple(step / 10 for step in range(1, 11))

REQUESTS = Counter("segment_requests", "Requests by route and status", ["route", "status"])
SECONDS = Histogram("segment_request_seconds", "Seconds from a request to its answer", ["route"],
                    buckets=(0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30, 60))
QUEUE = Gauge("segment_queue", "Requests being worked on or waiting", multiprocess_mode="livesum")
READY = Gauge("segment_ready", "1 while requests are taken", multiprocess_mode="livemax")
IMAGES = Counter("segment_images", "Images by verdict", ["verdict"])
FOUND = Counter("segment_found", "Images in which a class was found", ["label"])
CONFIDENCE = Histogram("segment_confidence", "How sure the model is of an image's least sure pixels", buckets=TENTHS)
BRIGHTNESS = Histogram("segment_input_brightness", "Mean grey value of images, 0 to 1", buckets=TENTHS)
CONTRAST = Histogram("segment_input_contrast", "Standard deviation of grey values, 0 to 0.5",
                     buckets=tuple(step / 20 for step in range(1, 11)))
SEEN = Gauge("segment_drift_seen", "How many of the last images lie in each bin of a measure", ["measure", "bin"],
             multiprocess_mode="livesum")
DRIFT = Gauge("segment_drift", "Population stability index against the training data", ["measure"],
              multiprocess_mode="livemostrecent")
INFO = Gauge("segment_model", "1 for the model that is served, 0 for one that leaves", ["name", "version", "engine"],
             multiprocess_mode="livemax")

LOG = logging.getLogger("ss_poc.service")


class _JsonLines(logging.Formatter):
    """A record as one line of json."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
                                + f".{int(record.msecs):03d}Z", "level": record.levelname.lower(),
                                "event": record.getMessage(), **getattr(record, "values", {})}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def start_logging() -> None:
    """Write the log of the service and of its web server to stderr, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    for name, level in (("ss_poc.service", logging.INFO), ("uvicorn", logging.WARNING), ("bentoml", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)


def log_line(event: str, level: int = logging.INFO, error: BaseException | None = None, **values: Any) -> None:
    """Log one event.

    Args:
        event: what happened.
        level: 20 (information), 30 (warning) or 40 (error).
        error: whose traceback is logged as well.
        values: written beside the event, by name; they must be JSON.
    """
    LOG.log(level, event, extra={"values": values}, exc_info=error)


def metrics_text() -> bytes:
    """Write all numbers in Prometheus' text format, put together over the worker processes where there are several."""
    return generate_latest(_registry())


def samples_of(gauge: Gauge) -> list[tuple[dict[str, str], float]]:
    """Labels and value of each sample of a gauge, put together over the worker processes where there are several."""
    (name,) = {metric.name for metric in gauge.describe()}
    return [(sample.labels, sample.value) for metric in _registry().collect() if metric.name == name
            for sample in metric.samples]


def _registry() -> CollectorRegistry:
    if not WORKERS_SHARE:
        return REGISTRY
    _forget_the_dead(Path(os.environ[FOLDER]))
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library has no types here
    return registry


def _forget_the_dead(folder: Path) -> None:
    """Remove the gauges of workers that ended; what they counted stays."""
    for path in folder.glob("gauge_live*.db"):
        pid = int(path.stem.rpartition("_")[2])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            with contextlib.suppress(FileNotFoundError):  # another worker does the same
                multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
        except PermissionError:  # it lives, as another user
            continue
