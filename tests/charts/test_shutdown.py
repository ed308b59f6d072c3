"""A replica that is told to stop, with the figures of the Helm chart, while a proxy goes on sending requests to it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from balanced import balanced
from served import Load
from supervised import Site, supervised, until_so

ROOT = Path(__file__).resolve().parents[2]
FIGURES = yaml.safe_load((ROOT / "kubernetes/ss-poc/values.yaml").read_text())["shutdown"]
LATE = 5.0  # seconds for which a proxy goes on sending


@contextmanager
def replica(bento: Path, folder: Path) -> Iterator[Site]:
    """The service as its image starts it."""
    (folder / "deploy").mkdir(parents=True)
    (folder / "deploy/KerasSegmentationService").symlink_to(bento.parents[1])
    with supervised(folder) as site:
        until_so((site.state / "pid").is_file, 60)
        yield site


def predictions(site: Site) -> int:
    """How many requests a replica has answered with 200, by its log."""
    lines = [json.loads(line) for line in (site.state / "log").read_text().splitlines() if line.startswith("{")]
    return sum(line.get("route") == "/predict" and line.get("status") == 200 for line in lines)


def test_no_request_of_a_late_proxy_is_lost_where_a_replica_drains(bento, labelled, tmp_path, monkeypatch):
    monkeypatch.setenv("SS_POC_TIMEOUT", str(FIGURES["timeoutSeconds"]))
    monkeypatch.setenv("SS_POC_THREADS", "1")
    monkeypatch.setenv("SS_POC_DRAIN", str(FIGURES["drainSeconds"]))
    with replica(bento, tmp_path / "one") as one:
        monkeypatch.setenv("SS_POC_DRAIN", "0")
        with (replica(bento, tmp_path / "two") as two, balanced(one.port, two.port) as proxy,
              Load(proxy.port, (labelled / "01.png").read_bytes(), 6) as load):
            until_so(lambda: predictions(one) > 10 and predictions(two) > 10, 60)
            answered = predictions(one)
            one.process.terminate()  # at once: preStopSeconds, which the kubelet would wait, come on top
            time.sleep(LATE)
            proxy.leave(one.port)
            assert one.process.wait(FIGURES["timeoutSeconds"]) == 0
            assert predictions(one) > answered + 10, "requests that came after SIGTERM"
            after = len(load.statuses)
            until_so(lambda: len(load.statuses) > after + 10, 60)
            assert set(load.statuses) == {200} and load.broken == []
            # The same load would show it: the other one does not drain.
            two.process.terminate()
            until_so(lambda: load.broken, 60)


def test_the_grace_that_the_figures_need_is_above_what_the_supervisor_gives_its_workers(monkeypatch):
    from ss_poc.serving.supervisor import stop_seconds

    monkeypatch.setenv("SS_POC_DRAIN", str(FIGURES["drainSeconds"]))
    monkeypatch.setenv("SS_POC_TIMEOUT", str(FIGURES["timeoutSeconds"]))
    assert FIGURES["drainSeconds"] > LATE
    assert stop_seconds() == 80, "6 of draining, 60 of the longest request, 14 to leave"
