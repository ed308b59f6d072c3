"""What this process may use of the machine: less than all of it where it runs in a container; and how it ends."""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ModelError

__all__ = ["cores", "ending_in_order", "free_memory", "give_memory_back", "memory_limit", "memory_used",
           "require_processor", "share_cores", "wide_vectors"]

# On two cores 23 instead of 16 crops a second were trained on (docs/training-tried.md); more cores: not measured.
FEW_CORES = 2

CGROUP, MEMINFO = Path("/sys/fs/cgroup"), Path("/proc/meminfo")
CPUINFO = Path("/proc/cpuinfo")
# What TensorFlow's wheels are compiled for on x86, by the kernel's words. Without one of them it ends the process.
TENSORFLOW_NEEDS = {"pni": "SSE3", "ssse3": "SSSE3", "sse4_1": "SSE4.1", "sse4_2": "SSE4.2", "avx": "AVX"}


def cores() -> int:
    """Cores to keep busy: those this process may run on, or as many as the container's quota pays for."""
    count = len(os.sched_getaffinity(0))
    # Microseconds of processor time, and of the period they are granted for; "max" or -1 where there is no limit.
    words = [*_words("cpu.max"), *_words("cpu/cpu.cfs_quota_us"), *_words("cpu/cpu.cfs_period_us")]
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit():
        count = min(count, max(1, math.ceil(int(words[0]) / int(words[1]))))
    return count


def share_cores() -> None:
    """Have TensorFlow, which must not be loaded yet, run an operation on each core instead of each on all of them.

    Those of a small network are too short to be shared. With more cores than FEW_CORES, or where its variables are set
    already, TensorFlow's own setting stays.
    """
    if cores() <= FEW_CORES:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(cores()))


def require_processor() -> None:
    """Check that this processor has what TensorFlow, which must not be loaded yet, is compiled for.

    Raises:
        ModelError: it lacks an instruction set.
    """
    flags = _processor_flags()
    missing = [name for flag, name in TENSORFLOW_NEEDS.items() if flags is not None and flag not in flags]
    if missing:
        raise ModelError(f"this processor has no {', '.join(missing)}",
                         f"a processor with {', '.join(TENSORFLOW_NEEDS.values())}, which TensorFlow is compiled for",
                         "train on another machine; in a virtual machine, give it the processor of its host "
                         "(QEMU: -cpu host). Serving needs no TensorFlow")


def wide_vectors() -> bool:
    """Whether this processor computes 512 bits at a time (AVX-512), as that of the documented times does."""
    return "avx512f" in (_processor_flags() or ())


def _processor_flags() -> set[str] | None:
    """What an x86 processor can do, by the kernel's words; None for another one."""
    lines = CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines() if CPUINFO.is_file() else []
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), None)


def free_memory() -> int:
    """Bytes this process may still use: the machine's available memory, or what the container's limit leaves."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if MEMINFO.is_file():
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines() if ":" in line)
        free = int(lines.get("MemAvailable", f"{free // 1024} kB").split()[0]) * 1024
    # Version 2 of control groups, then version 1. Files once read count as used, but go when memory is asked for.
    for limit, used, stat, idle in (("memory.max", "memory.current", "memory.stat", "inactive_file"),
                                    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes",
                                     "memory/memory.stat", "total_inactive_file")):
        most, taken, counts = _words(limit), _words(used), _words(stat)
        if most and taken and most[0].isdigit():
            files = int(counts[counts.index(idle) + 1]) if idle in counts else 0
            free = min(free, max(0, int(most[0]) - int(taken[0]) + files))
    return free


def memory_limit() -> int:
    """Bytes this process may use at most: the least of the container's limit, `ulimit`'s, and the machine's memory."""
    words = [*_words("memory.max"), *_words("memory/memory.limit_in_bytes")]
    limits = [int(word) for word in words if word.isdigit()]
    own = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    limits += [limit for limit in own if limit != resource.RLIM_INFINITY]
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *limits])


def memory_used() -> int:
    """Bytes of memory this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _words(name: str) -> list[str]:
    """What a file of the kernel's control groups says, none where it is not there."""
    path = CGROUP / name
    return path.read_text().split() if path.is_file() else []


def give_memory_back() -> None:
    """Return to the system what this process has freed; the C library would keep it: 50 MB once a graph is loaded."""
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another C library than glibc
        return


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Where a scheduler asks this process to end (SIGTERM), end it by SystemExit: what it has to close is closed."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
