"""Photographs predicted on a Ray cluster. Ray is loaded when it is asked for: nothing else here needs it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..core.config import PredictConfig
from ..core.errors import ConfigError, EngineError
from ..core.run import RunPaths
from ..inference.predictor import Predictor
from ..inference.reading import Unread, decoded
from ..measuring.settings import PartRules
from .predict import Job
from .ray_address import connected
from .rows import SCHEMA, Row, error_rows, predicted_rows
from .store import Store

__all__ = ["RayCluster"]

# Photographs that are read and predicted together, unless that were too many blocks for Ray.
TOGETHER, MOST_BLOCKS = 16, 10_000


class RayCluster:
    """A Ray cluster as a source of predictions, to be used in a `with`: of an address, or on this machine alone.

    Args:
        config: names the address, the number of actors and the CPUs of each.
        paths: of the run whose model predicts; its files travel to the actors.
        job: what is predicted.

    Raises:
        EngineError: Ray is not installed, no Ray answers at the address, or it is one of another version.
    """

    def __init__(self, config: PredictConfig, paths: RunPaths, job: Job) -> None:
        self._config, self._job = config, job
        self._files = {"export": _files(paths.export), "valid": {
            path.name: path.read_bytes() for path in (paths.rules, paths.operating_point) if path.is_file()}}
        self._rules = paths.rules.name

    def __enter__(self) -> RayCluster:
        self._ray = connected(self._config.address)
        return self

    def __exit__(self, *raised: object) -> None:
        self._ray.shutdown()

    def __call__(self, names: Sequence[str]) -> Iterator[Sequence[Row]]:
        """Predict photographs: a `Source`. Those that are gone when their turn comes are errors too."""
        left = set(names)
        try:
            for table in self._tables(names) if left else ():
                for name, rows in groupby(table.to_pylist(), key=lambda row: row["image"]):
                    left.discard(name)
                    yield list(rows)
        except self._ray.exceptions.RayError as error:
            raise EngineError(f"the Ray cluster gave up: {_last_line(error)}", "a cluster that goes on to the end",
                              "run the same command again: what is done is kept") from error
        for name in sorted(left):
            yield error_rows(Unread(name, "the file is gone"))

    def _tables(self, names: Sequence[str]) -> Iterator[pa.Table]:
        ray, cpus, actors = self._ray, self._config.actor_cpus, self._actors()
        store = Store(self._job.photographs.place)
        # Actors hold all CPUs until the end: who reads for them asks for none, or would wait for ever. Without a limit
        # Ray would start a process for each block at once.
        photographs = ray.data.read_binary_files(
            [f"{store.base}/{name}" for name in names], filesystem=store.files, include_paths=True,
            ignore_missing_paths=True, num_cpus=0, concurrency=actors,
            override_num_blocks=min(MOST_BLOCKS, len(names), max(actors, len(names) // TOGETHER)))
        found = photographs.map_batches(
            Actor, batch_size=TOGETHER, batch_format="pyarrow", num_cpus=cpus,
            compute=ray.data.ActorPoolStrategy(size=actors),
            fn_constructor_args=([ray.put(self._files)], self._rules, self._job.predictor.engine, cpus,
                                 self._job.threshold, store.base, self._job.rules))
        return found.iter_batches(batch_size=None, batch_format="pyarrow")

    def _actors(self) -> int:
        cpus, each = int(self._ray.cluster_resources().get("CPU", 0)), self._config.actor_cpus
        actors = self._config.actors or max(1, cpus // each)
        if actors * each > cpus:
            raise ConfigError(f"{actors} actors with {each} CPUs each, and the cluster has {cpus} CPUs",
                              f"at most {cpus} CPUs in all", "fewer --actors or --actor_cpus")
        return actors


class Actor:
    """A process of the cluster that holds one session of the engine, and decodes and predicts the photographs it gets.

    Args:
        files: a list with Ray's reference to the model's files: name of the folder → name → content.
        rules: name of the file with the rules.
        engine: that must run the graph.
        threads: of the engine.
        threshold: probability in 0..1 for every class, or None for each rule's own.
        base: the names of the photographs are relative to it.
        part_rules: by which parts are judged; None where they are not.
    """

    def __init__(self, files: Sequence[Any], rules: str, engine: str, threads: int, threshold: float | None,
                 base: str, part_rules: PartRules | None) -> None:
        import ray

        self._folder = tempfile.TemporaryDirectory(prefix="ss-poc-")
        model = Path(self._folder.name)
        for folder, contents in ray.get(files[0]).items():
            (model / folder).mkdir()
            for name, content in contents.items():
                (model / folder / name).write_bytes(content)
        self._predictor = Predictor.load(model / "export", model / "valid" / rules, threads, engine)
        if self._predictor.engine != engine:
            raise EngineError(f"a machine of the cluster cannot run {engine}: {'; '.join(self._predictor.refused)}",
                              "one engine for all photographs", "--engine onnxruntime runs everywhere")
        self._threshold, self._base, self._part_rules = threshold, base, part_rules

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Predict photographs.

        Args:
            batch: with the columns `path` and `bytes`.

        Returns:
            Their rows, as `SCHEMA` says.
        """
        rows: list[Row] = []
        for path, content in zip(batch["path"].to_pylist(), batch["bytes"], strict=True):
            name = path.removeprefix(self._base).lstrip("/")
            read = decoded(content.as_py(), name, self._predictor.spec.levels)
            rows += predicted_rows(self._predictor, name, read, self._threshold, self._part_rules)
        return pa.Table.from_pylist(rows, SCHEMA)


def _last_line(error: Exception) -> str:
    """Where an error of an actor begins, Ray puts its whole traceback before it."""
    return str(error).strip().splitlines()[-1]


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
