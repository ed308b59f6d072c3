"""The project as a user of the docker group has it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import PORT, Project, docker


@pytest.fixture(scope="module")
def project(engine: str) -> Iterator[Project]:
    """The project, with a comma, a space and Korean in its place; its images stay for the next run of the tests."""
    place = Path(tempfile.mkdtemp(prefix="ss-poc-docker-"))  # pytest's own folders are root's alone
    place.chmod(0o755)
    folder = place / "내, project"
    folder.mkdir()
    yield Project(folder)
    shutil.rmtree(place)
    for name in docker("ps", "-aq", "--filter", f"name=ss-poc-{PORT}").split():
        docker("rm", "-f", name)
