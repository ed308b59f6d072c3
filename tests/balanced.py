"""benchmarks/balancer.py, the small proxy, in front of services."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from served import free_port

BALANCER = Path(__file__).resolve().parents[1] / "benchmarks/balancer.py"


@dataclass
class Balanced:
    """A proxy that runs."""

    port: int
    process: subprocess.Popen[str]

    def leave(self, port: int) -> None:
        """Have it give no more connections to a service."""
        self.process.stdin.write(f"leave {port}\n")
        self.process.stdin.flush()


@contextmanager
def balanced(*ports: int, by: str = "random") -> Iterator[Balanced]:
    """A proxy in front of the services of some ports."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(BALANCER), "--port", str(port), "--by", by, "--to",
                                *map(str, ports)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == "ready\n"
        yield Balanced(port, process)
    finally:
        process.communicate(timeout=20)
