"""How much of the machine a process may use, said by files of the kernel."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ss_poc.core import host
from ss_poc.core.host import cores, free_memory, memory_limit, share_cores

GIB = 2**30


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Write the files in which the kernel would say what there is."""
    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    monkeypatch.setattr(host, "CGROUP", tmp_path / "sys/fs/cgroup")
    monkeypatch.setattr(host, "MEMINFO", tmp_path / "proc/meminfo")
    return write


def memory(available: int, limit: str, used: int, idle: int = 0, version: int = 2) -> dict[str, str]:
    names = ("memory.max", "memory.current", "memory.stat", "inactive_file") if version == 2 else (
        "memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file")
    files = {"proc/meminfo": f"MemTotal: 99 kB\nMemAvailable: {available * 1024} kB\n",
             f"sys/fs/cgroup/{names[0]}": limit + "\n", f"sys/fs/cgroup/{names[1]}": f"{used * 2**20}\n"}
    if idle:
        files[f"sys/fs/cgroup/{names[2]}"] = f"anon 5\nfile 9\n{names[3]} {idle * 2**20}\nactive_file 7\n"
    return files


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("available", "limit", "used", "idle", "mib"), [
    (5000, str(2 * GIB), 500, 0, 1548),
    (1000, str(2 * GIB), 500, 0, 1000),
    (5000, str(2 * GIB), 3000, 0, 0),
    # Files once read stay in memory and count as used, but go when memory is asked for.
    (5000, str(2 * GIB), 2040, 1500, 1508)])
def test_free_memory_is_what_the_machine_and_the_container_leave(kernel, version, available, limit, used, idle, mib):
    kernel(memory(available, limit, used, idle, version))
    assert free_memory() == mib * 2**20


def test_free_memory_of_a_container_without_a_limit_is_the_machine_s(kernel):
    kernel(memory(5000, "max", 900))
    assert free_memory() == 5000 * 2**20


@pytest.mark.parametrize(("files", "expected"), [
    ({"memory.max": "2147483648\n"}, 2 * GIB), ({"memory/memory.limit_in_bytes": "1073741824\n"}, GIB),
    ({"memory.max": "max\n"}, 8 * GIB), ({"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 8 * GIB),
    ({"memory.max": "\n"}, 8 * GIB), ({}, 8 * GIB)])
def test_the_limit_of_memory_is_the_container_s_or_the_machine_s(kernel, monkeypatch, files, expected):
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 2 * 2**20, "SC_PAGE_SIZE": 4096}.__getitem__)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    kernel({f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    assert memory_limit() == expected


def test_the_limit_of_memory_is_ulimit_s_where_that_is_less():
    program = "from ss_poc.core.host import *; print(memory_limit(), memory_used())"
    words = f'ulimit -d 1000000; "{sys.executable}" -c "{program}"'
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(Path(host.__file__).parents[2])})
    limit, used = map(int, done.stdout.split())
    assert limit == 1000000 * 1024 and 2**20 < used < limit


def test_free_memory_where_the_kernel_says_nothing(kernel):
    assert 0 < free_memory() <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(("files", "expected"), [
    ({}, 8), ({"cpu.max": "max 100000\n"}, 8), ({"cpu.max": "200000 100000\n"}, 2), ({"cpu.max": "150000 100000\n"}, 2),
    ({"cpu.max": "20000 100000\n"}, 1), ({"cpu.max": "9900000 100000\n"}, 8),
    ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8)])
def test_cores_are_those_a_container_may_keep_busy(kernel, monkeypatch, files, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    kernel({f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    assert cores() == expected


# --- sharing the cores


@pytest.mark.parametrize(("count", "within", "between"), [(1, "1", "1"), (2, "1", "2"), (3, None, None),
                                                          (64, None, None)])
def test_few_cores_run_an_operation_each(monkeypatch, count, within, between):
    monkeypatch.setattr(host, "cores", lambda: count)
    environment: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", environment)
    share_cores()
    assert environment.get("TF_NUM_INTRAOP_THREADS") == within
    assert environment.get("TF_NUM_INTEROP_THREADS") == between


def test_threads_that_the_user_set_stay(monkeypatch):
    monkeypatch.setattr(host, "cores", lambda: 2)
    monkeypatch.setattr(os, "environ", {"TF_NUM_INTRAOP_THREADS": "2"})
    share_cores()
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "2"
