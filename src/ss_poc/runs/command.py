"""Many trainings from one plan.

    python -m ss_poc.runs plan.yaml --dry_run                  (the commands; start nothing)
    python -m ss_poc.runs plan.yaml                            (on this machine, one after the other)
    python -m ss_poc.runs plan.yaml --address 10.0.0.5:6379    (on a Ray cluster)
    python -m ss_poc.runs plan.yaml --shards 12                (in 12 jobs of Kubernetes or Slurm)
    python -m ss_poc.runs collect plan.yaml                    (which recipe is best)
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..bulk.shards import shard_of
from ..core.errors import ConfigError
from ..core.host import ending_in_order
from ..core.settings import check_bounds, from_flags, setting
from ..core.text_table import counted
from .on_ray import run_on_ray
from .plan import PlannedRun, read_plan
from .ranking import ranking
from .work import Outcome, run_here

__all__ = ["main"]


@dataclass(frozen=True)
class RunsConfig:
    """Settings of `python -m ss_poc.runs`."""

    plan: str = setting("", "yaml with data sets, seeds, folds and flags")
    dry_run: bool = setting(False, "print the commands of all runs, and start nothing")
    shard: str | None = setting(None, "only this shard of the runs, such as 3/16", unset="all runs")
    shards: int | None = setting(None, "number of jobs that share the runs, where Kubernetes (JOB_COMPLETION_INDEX) or "
                                       "Slurm (SLURM_ARRAY_TASK_ID) says which of them this is", least=1, most=99_999,
                                 unset="not shared")
    address: str | None = setting(None, "Ray cluster to run them on, such as 10.0.0.5:6379, auto, or local for one of "
                                        "its own on this machine", unset="this process, one after the other")
    run_cpus: int | None = setting(None, "with address: CPUs of each run", least=1, unset="all of a machine, or "
                                                                                          "those of a GPU")
    run_gpus: int | None = setting(None, "with address: GPUs of each run", least=0, unset="1 where there are any")

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.address and (self.shard or self.shards):
            raise ConfigError("address is set together with shard or shards", "one of them",
                              "drop --address, or the others: a cluster shares the runs out by itself")
        if not self.address and (self.run_cpus is not None or self.run_gpus is not None):
            raise ConfigError("run_cpus or run_gpus is set, and no address", "a Ray cluster", "add --address auto")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. The exit status is 0 if all runs are done, else 1."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["collect"]:
        return _collect(words[1:])
    config = from_flags(RunsConfig, words, "Many trainings from one plan.", positional=("plan",), examples=__doc__)
    runs = read_plan(Path(config.plan))
    if config.dry_run:
        _show(runs)
        return 0
    shard = shard_of(config.shard, config.shards, os.environ)
    mine = runs[shard.number - 1::shard.count]
    left = [run for run in mine if not run.done]
    print(f"{counted(len(mine), 'run')}, {len(mine) - len(left)} done already", flush=True)
    with ending_in_order():
        return _told(run_on_ray(left, config.address, config.run_cpus, config.run_gpus)
                     if config.address and left else run_here(left), len(left))


def _show(runs: Sequence[PlannedRun]) -> None:
    print(f"# {counted(len(runs), 'run')}, {sum(run.done for run in runs)} done")
    for run in runs:
        print(" && ".join(shlex.join(["python", *words]) for words in run.commands())
              + ("  # done" if run.done else ""))


def _told(outcomes: Iterable[Outcome], count: int) -> int:
    failed = 0
    for number, (run, wrong) in enumerate(outcomes, 1):
        failed += bool(wrong)
        print(f"run {run.name}: {wrong or 'done'} ({number} of {count})", flush=True,
              file=sys.stderr if wrong else sys.stdout)
    if failed:
        print(f"{failed} of {counted(count, 'run')} failed; the same command goes on with them", file=sys.stderr)
    return 1 if failed else 0


def _collect(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m ss_poc.runs collect", allow_abbrev=False,
                                     description="Rank the recipes of a plan by the runs that are done.")
    parser.add_argument("plan", help="the plan of the runs")
    runs = read_plan(Path(parser.parse_args(argv).plan))
    print(ranking(runs), flush=True)
    missing = [run for run in runs if not run.done]
    for run in missing:
        print(f"not done: {run.name}", file=sys.stderr)
    return 1 if missing else 0
