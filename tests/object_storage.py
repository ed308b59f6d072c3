"""A server of S3's protocol on this machine, for tests."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import free_port

MOTO = Path(__file__).resolve().parents[1] / ".venv-moto" / "bin" / "moto_server"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true"}


def serve() -> Iterator[str]:
    """Yield the address of a moto server, which the environment names; skip where moto is not installed."""
    if not MOTO.is_file():
        pytest.skip(f"there is no {MOTO}: see requirements-moto.txt")
    address = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen([MOTO, "-H", "127.0.0.1", "-p", address.rpartition(":")[2]], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"{address}/moto-api/", timeout=1).close()
            break
        except OSError:
            time.sleep(0.2)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": address}.items():
            patch.setenv(name, value)
        yield address
    process.terminate()
    process.wait()


def make_bucket(server: str) -> str:
    """Make a bucket on a server of this address; return its own address."""
    from pyarrow import fs

    name = f"bucket-{time.monotonic_ns()}"
    files = fs.S3FileSystem(endpoint_override=server.removeprefix("http://"), scheme="http", access_key="test",
                            secret_key="test", region="us-east-1", allow_bucket_creation=True)
    files.create_dir(name)
    return f"s3://{name}"


def put(folder: Path, address: str) -> None:
    """Copy a folder to an address."""
    from pyarrow import fs

    files, base = fs.FileSystem.from_uri(address)
    fs.copy_files(str(folder), base, fs.LocalFileSystem(), files)
