"""Gauges that are true whichever worker answers: each says its own again and again, and what dead ones said is dropped.

Prometheus' client keeps the numbers of each worker process in files of one folder, and whoever is asked adds them up.
"""

from __future__ import annotations

import threading

from .metrics import DRIFT, INFO, QUEUE, READY, SEEN, WORKERS_SHARE, metrics_text, samples_of
from .state import ServiceState

__all__ = ["counts_of_all", "keep_true", "true_metrics"]

SECONDS = 0.5


def publish(state: ServiceState) -> None:
    """Set the gauges of this worker; once others serve in its place, the model and its last images count no more."""
    QUEUE.set(state.gate.inside)
    READY.set(state.life.takes_requests)
    if state.served is None:
        return
    spec, counts_here = state.served.predictor.spec, not state.life.replaced
    INFO.labels(spec.name, spec.version, state.served.predictor.engine).set(counts_here)
    for measure, counts in state.served.drift.counts().items():
        for place, count in enumerate(counts):
            SEEN.labels(measure, str(place)).set(count * counts_here)


def keep_true(state: ServiceState) -> None:
    """Publish twice a second from now on, where other workers answer for this one."""
    def keep() -> None:
        while True:
            publish(state)
            pause.wait(SECONDS)

    pause = threading.Event()
    if WORKERS_SHARE:
        threading.Thread(target=keep, name="gauges", daemon=True).start()


def counts_of_all(state: ServiceState) -> dict[str, list[int]]:
    """How many of the last images of all workers together lie in each bin of each measure."""
    publish(state)
    found = {measure: [0] * len(counts) for measure, counts in state.model.drift.counts().items()}
    for labels, value in samples_of(SEEN):
        counts, place = found.get(labels["measure"], []), int(labels["bin"])
        if place < len(counts):  # another version's worker, which is about to leave, may have other bins
            counts[place] += int(value)
    return found


def true_metrics(state: ServiceState) -> bytes:
    """Write all numbers of all workers in Prometheus' text format."""
    for item in state.model.drift.report(counts_of_all(state))["measures"]:
        DRIFT.labels(item["measure"]).set(item["index"])
    return metrics_text()
