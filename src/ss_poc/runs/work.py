"""One run after the other on this machine: the commands of each, by whoever starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from ..bulk.store import Store
from ..core.errors import ArtifactError
from .plan import PlannedRun

__all__ = ["Outcome", "run_here", "train_one"]

# Of a run: "" where it is done, else what went wrong.
Outcome = tuple[PlannedRun, str]
SOURCE = Path(__file__).resolve().parents[2]


def run_here(runs: Sequence[PlannedRun]) -> Iterator[Outcome]:
    """Do runs one after the other; what they say goes to the terminal. One that fails does not stop the others."""
    for run in runs:
        print(f"run {run.name}", flush=True)
        yield run, train_one(run)


def train_one(run: PlannedRun, output: IO[bytes] | None = None) -> str:
    """Do the commands of a run until one fails; one that is done is not repeated.

    Args:
        run: to be done.
        output: for what they say; None for the terminal.

    Returns:
        "" where it is done, else what went wrong.
    """
    store = Store(str(run.paths.result / run.paths.img_dir_name))
    try:
        with store.claim(f".{run.paths.model_name}.lock", f"the run {run.name}") as claim:
            return "" if run.done else _commands(run, output, claim)
    except ArtifactError as error:
        return error.what


def _commands(run: PlannedRun, output: IO[bytes] | None, claim: int | None) -> str:
    kept = () if claim is None else (claim,)  # until the last of the processes has ended, even without this one
    path = os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])
    for words in run.commands():
        with subprocess.Popen([sys.executable, *words], stdout=output, stderr=output, pass_fds=kept,
                              env={**os.environ, "PYTHONPATH": path}) as process:
            try:
                status = process.wait()
            except BaseException:
                process.terminate()
                raise
        if status:
            return f"{words[1]} ended with status {status}"
    return ""
