"""ss_poc.serving.gauges: several processes put their numbers together; what each says is true, or gone with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from supervised import until_so

SOURCE = Path(__file__).resolve().parents[2] / "src"
# A worker without a model, which does what it is told through stdin. Half of the photographs of training were dark.
WORKER = """
import json, sys
from pathlib import Path
from types import SimpleNamespace
from ss_poc.core.config import ServeConfig
from ss_poc.core.model_spec import ModelSpec
from ss_poc.inference.appearance import MEASURES
from ss_poc.serving import gauges, metrics
from ss_poc.serving.served import Served
from ss_poc.serving.state import ServiceState

def see(value, count):
    for _ in range(count):
        state.served.drift.add(dict.fromkeys(MEASURES, value))

spec = ModelSpec("demo", sys.argv[1], ("scratch",), ("#ff0000",), (4,), (32, 32), "x", "")
reference = {"measures": {name: {"edges": [0.5], "counts": [10, 10]} for name in MEASURES}}
state = ServiceState.of(ServeConfig())
served = Served(SimpleNamespace(spec=spec, engine="onnxruntime"), Path("."), {"reference": reference}, state.config)
print(json.dumps("here"), flush=True)
for line in sys.stdin:
    print(json.dumps(eval(line)), flush=True)
"""


class Process:
    """A worker process, booting until `serve`."""

    def __init__(self, folder: Path, version: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PROMETHEUS_MULTIPROC_DIR": str(folder)}
        self.process = subprocess.Popen([sys.executable, "-c", WORKER, version], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def heard(self):
        return json.loads(self.process.stdout.readline())

    def tell(self, line: str):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.heard()

    def serve(self) -> None:
        self.tell("[setattr(state, 'served', served), setattr(state.life, 'ready', True), gauges.keep_true(state)]")

    def value(self, name: str) -> float | None:
        """What its /metrics says of a number; None where it says nothing."""
        lines = self.tell("gauges.true_metrics(state).decode()").splitlines()
        found = [line.rpartition(" ")[2] for line in lines if line.rpartition(" ")[0] == name]
        return float(found[0]) if found else None

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def model(version: str) -> str:
    return f'segment_model{{engine="onnxruntime",name="demo",version="{version}"}}'


DRIFT = 'segment_drift{measure="contrast"}'


@pytest.fixture
def workers(tmp_path):
    """Two that serve v_1, and one of v_2 that has not begun."""
    found = [Process(tmp_path, version) for version in ("v_1", "v_1", "v_2")]
    try:
        assert [worker.heard() for worker in found] == ["here"] * 3
        for worker in found[:2]:
            worker.serve()
        yield found
    finally:
        for worker in found:
            worker.end()


def test_gauges_are_true_whichever_worker_answers_and_go_with_their_worker(workers):
    first, second, new = workers
    first.tell("[setattr(state.gate, 'inside', 3), see(0.2, 30)]")
    second.tell("[setattr(state.gate, 'inside', 1), see(0.8, 10)]")
    for worker in (first, second):
        until_so(lambda worker=worker: worker.value("segment_queue") == 4)
        # Seen 0.75 and 0.25, expected 0.5 and 0.5: 0.25 ln 1.5 - 0.25 ln 0.5.
        until_so(lambda worker=worker: worker.value(DRIFT) == 0.2747)
        assert worker.value(model("v_1")) == 1 and worker.value(model("v_2")) is None
        assert worker.value("segment_ready") == 1, "the new one only boots"
        assert worker.value('segment_drift_seen{bin="0",measure="contrast"}') == 30
    report = second.tell("state.served.drift.report(gauges.counts_of_all(state))")
    assert report["images"] == 40 and report["measures"][0]["seen"] == [30, 10]

    new.serve()
    for worker in (first, second):
        worker.tell("setattr(state.life, 'replaced', True)")
    new.tell("see(0.8, 30)")
    for worker in (new, first):  # first still answers what it has accepted
        until_so(lambda worker=worker: worker.value(model("v_1")) == 0)
        assert worker.value(model("v_2")) == 1 and worker.value("segment_ready") == 1
        # Seen 0, taken as 0.005, and 1: -0.495 ln 0.01 + 0.5 ln 2.
        until_so(lambda worker=worker: worker.value(DRIFT) == 2.6261)

    for worker in (first, second):
        worker.tell("metrics.IMAGES.labels('clean').inc(5)")
        worker.end()
    assert new.value(model("v_1")) is None and new.value(model("v_2")) == 1
    assert new.value("segment_queue") == 0 and new.value(DRIFT) == 2.6261
    assert new.value('segment_images_total{verdict="clean"}') == 10, "what they counted stays"
