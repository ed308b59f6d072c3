"""Which photographs a shard takes, and which shard a process is."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import SOURCE

from ss_poc.bulk.shards import Shard, shard_of
from ss_poc.core.errors import ConfigError

NAMES = [f"line/{number:05d}.png" for number in range(7000)]


def test_each_photograph_is_in_one_shard_and_shards_are_of_alike_size():
    sizes = [sum(Shard(number, 7).holds(name) for name in NAMES) for number in range(1, 8)]
    assert sum(sizes) == 7000 and min(sizes) > 850 and max(sizes) < 1150


def test_a_shard_takes_the_same_photographs_in_every_process():
    # Python's own hash of a text is another one in each process.
    script = "from ss_poc.bulk.shards import Shard; print([n for n in range(40) if Shard(3, 5).holds(f'{n}.png')])"
    told = {subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": str(SOURCE), "PYTHONHASHSEED": seed},
                           text=True, capture_output=True, check=True).stdout for seed in ("1", "2")}
    assert told == {f"{[number for number in range(40) if Shard(3, 5).holds(f'{number}.png')]}\n"}


def test_the_shard_of_a_name_is_that_of_its_blake2b():
    # printf a.png | b2sum -l 64: ends in …; the digest as a number, modulo the shards.
    import hashlib

    number = int(hashlib.blake2b(b"a.png", digest_size=8).hexdigest(), 16) % 16
    assert [shard.number for shard in (Shard(n, 16) for n in range(1, 17)) if shard.holds("a.png")] == [number + 1]


def test_one_shard_of_one_takes_all():
    assert all(Shard().holds(name) for name in NAMES[:50])


@pytest.mark.parametrize(("text", "shard"), [("1/1", Shard(1, 1)), ("3/16", Shard(3, 16)), (" 16/16 ", Shard(16, 16))])
def test_a_shard_is_named_by_its_number_and_their_count(text, shard):
    assert shard_of(text, None, {}) == shard


@pytest.mark.parametrize("text", ["17/16", "0/16", "16", "3/0", "-1/4", "a/b", "3/16/2", "1/100000", ""])
def test_a_shard_that_cannot_be_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match="3/16") as caught:
        shard_of(text, None, {})
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("variable", ["JOB_COMPLETION_INDEX", "SLURM_ARRAY_TASK_ID"])
def test_schedulers_count_from_0(variable):
    assert shard_of(None, 16, {variable: "0"}) == Shard(1, 16)
    assert shard_of(None, 16, {variable: "15"}) == Shard(16, 16)


@pytest.mark.parametrize(("variable", "told"), [("JOB_COMPLETION_INDEX", "completions: 16"),
                                                ("SLURM_ARRAY_TASK_ID", "sbatch --array=0-15")])
@pytest.mark.parametrize("index", ["16", "-1", "x", "1.5"])
def test_an_index_beyond_the_shards_is_refused_with_what_to_ask_the_scheduler_for(variable, told, index):
    with pytest.raises(ConfigError) as caught:
        shard_of(None, 16, {variable: index})
    assert f"{variable} is {index}" in str(caught.value) and told in str(caught.value)


def test_shards_without_a_scheduler_are_refused():
    with pytest.raises(ConfigError, match="nothing says which") as caught:
        shard_of(None, 16, {"JOB_COMPLETION_INDEX": ""})
    assert "--shard 1/16" in str(caught.value)


def test_shard_and_shards_together_are_refused():
    with pytest.raises(ConfigError, match="one of them"):
        shard_of("3/16", 16, {"JOB_COMPLETION_INDEX": "2"})


def test_a_scheduler_alone_divides_nothing():
    # A job of an array may well predict a folder of its own.
    assert shard_of(None, None, {"JOB_COMPLETION_INDEX": "2", "SLURM_ARRAY_TASK_ID": "2"}) == Shard(1, 1)
