"""Object storage for the tests of bulk prediction."""

from __future__ import annotations

from collections.abc import Iterator

import object_storage
import pytest


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Address of a server of S3's protocol."""
    yield from object_storage.serve()


@pytest.fixture
def bucket(server: str) -> str:
    """Address of a new bucket."""
    return object_storage.make_bucket(server)
