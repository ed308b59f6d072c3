"""A real PostgreSQL of this machine's packages, for tests that need one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from served import free_port


def _program(name: str) -> str:
    found = [shutil.which(name), *map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))]
    return next(path for path in [*found, ""] if path is not None)


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of a database that is made now and removed afterwards; the test is skipped where there is none."""
    if not _program("initdb"):
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    port, folder = free_port(), Path(tempfile.mkdtemp())
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []  # it refuses to run as root
    if become:
        shutil.chown(folder, "postgres")
    data = str(folder / "data")
    subprocess.run([*become, _program("initdb"), "-D", data, "-U", "line", "--auth=trust", "--no-sync"], check=True,
                   capture_output=True, cwd="/")
    flags = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    control = [*become, _program("pg_ctl"), "-D", data, "-w", "-l", str(folder / "log"), "-o", flags]
    subprocess.run([*control, "start"], check=True, capture_output=True, cwd="/")
    try:
        yield f"postgresql+psycopg://line@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd="/")
        shutil.rmtree(folder, ignore_errors=True)
