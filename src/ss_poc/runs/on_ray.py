"""Runs as tasks of a Ray cluster whose machines see the same folders."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..bulk.ray_address import connected
from ..core.errors import ConfigError
from .plan import PlannedRun
from .work import Outcome, train_one

__all__ = ["run_on_ray"]


def run_on_ray(runs: Sequence[PlannedRun], address: str, cpus: int | None, gpus: int | None) -> Iterator[Outcome]:
    """Do runs on a cluster, as many at a time as it has room for. What each says goes to a file beside its folder.

    Args:
        runs: to be done.
        address: of the cluster.
        cpus, gpus: of each run; None: a GPU where the cluster has any, and its share of the CPUs of a machine.

    Raises:
        EngineError: no Ray answers at the address, or it is one of another version.
        ConfigError: no machine of the cluster has so many CPUs and GPUs.
    """
    ray = connected(address)
    try:
        share = _share(ray.nodes(), cpus, gpus)
        task = ray.remote(num_cpus=share[0], num_gpus=share[1])(_train)
        waiting = {task.remote(run, str(Path.cwd())): run for run in runs}
        while waiting:
            (done,), _ = ray.wait([*waiting], num_returns=1)
            run = waiting.pop(done)
            try:
                yield run, ray.get(done)
            except ray.exceptions.RayError as error:
                yield run, f"the Ray cluster gave it up: {str(error).strip().splitlines()[-1]}"
    finally:
        ray.shutdown()


def _train(run: PlannedRun, place: str) -> str:
    if not Path(place).is_dir():
        return f"{socket.gethostname()} does not see the folder {place}"
    with contextlib.chdir(place):
        log = run.paths.folder.with_name(f"{run.paths.model_name}.log")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            failed = train_one(run, output)
    return f"{failed}; see {log}" if failed else ""


def _share(nodes: Sequence[dict[str, Any]], cpus: int | None, gpus: int | None) -> tuple[int, int]:
    """CPUs and GPUs of each run, where some machine has them."""
    found = [(int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0))) for node in nodes
             if node["Alive"]]
    gpus = int(any(has for _, has in found)) if gpus is None else gpus
    fit = [pair for pair in found if pair[0] and pair[1] >= gpus]
    if cpus is None:
        cpus = min((max(1, has[0] * gpus // has[1]) if gpus else has[0] for has in fit), default=1)
    if not any(has >= cpus for has, _ in fit):
        machines = ", ".join(f"{has} and {more}" for has, more in found)
        raise ConfigError(f"a run takes {cpus} CPUs and {gpus} GPUs, and the machines of the cluster have {machines}",
                          "a machine that has as many", "fewer --run_cpus or --run_gpus")
    return cpus, gpus
