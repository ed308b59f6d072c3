"""Which photographs are whose: every shard finds out by itself, from their names alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from ..core.config import parse_nth
from ..core.errors import ConfigError

__all__ = ["MOST_SHARDS", "Shard", "shard_of"]

MOST_SHARDS = 99_999
# Where schedulers say which of the equal jobs this one is, counted from 0; and how such jobs are asked for.
INDEX_VARIABLES = {"JOB_COMPLETION_INDEX": "completions: {count} and completionMode: Indexed",
                   "SLURM_ARRAY_TASK_ID": "sbatch --array=0-{last}"}


@dataclass(frozen=True)
class Shard:
    """One of `count` shards of a folder of photographs.

    Attributes:
        number: which one, 1..count.
        count: of shards; 1 for a run that is not divided.
    """

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, name: str) -> bool:
        """Return whether the photograph of this name is one of this shard's: the same on every machine, on every day.

        A name that is added or removed moves no other name to another shard.
        """
        digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1


def shard_of(shard: str | None, shards: int | None, environment: Mapping[str, str]) -> Shard:
    """Return the shard that this process works on.

    Args:
        shard: "3/16" for the third of sixteen, or None.
        shards: number of shards, of which the scheduler says which this is; or None.
        environment: of the process, with what the scheduler says.

    Raises:
        ConfigError: there is no such shard, or nothing says which one is meant.
    """
    if shard is not None and shards is not None:
        raise ConfigError(f"shard is {shard} and shards is {shards}", "one of them",
                          "--shard 3/16, or --shards 16 where a scheduler says which of them this is")
    if shard is not None:
        return Shard(*parse_nth("shard", shard))
    return Shard() if shards is None else _scheduled(shards, environment)


def _scheduled(count: int, environment: Mapping[str, str]) -> Shard:
    for variable, how in INDEX_VARIABLES.items():
        text = environment.get(variable, "")
        if not text:
            continue
        if not text.isdecimal() or int(text) >= count:
            raise ConfigError(f"{variable} is {text} and there are {count} shards", f"a number from 0 to {count - 1}",
                              f"start the jobs with {how.format(count=count, last=count - 1)}")
        return Shard(int(text) + 1, count)
    raise ConfigError(f"shards is {count}, and nothing says which of them this is", "one of "
                      + ", ".join(INDEX_VARIABLES) + ", as Kubernetes and Slurm set them",
                      f"name it yourself: --shard 1/{count}")
