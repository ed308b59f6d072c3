"""A service for lines to ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from line_service import Asked, asked
from served import free_port


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Asked]:
    """A service whose model marks what is bright."""
    with asked(free_port(), tmp_path_factory.mktemp("service")) as found:
        yield found


@pytest.fixture
def stopping() -> Iterator[threading.Event]:
    """Set at the end of the test, so that what it started ends."""
    found = threading.Event()
    yield found
    found.set()
