"""A copy of the project for the tests of the shell layer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from shell import ROOT, SCRIPTS


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The scripts and sources in a folder with a space and Korean in its name."""
    folder = tmp_path / "내 project"
    for name in ("scripts", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in (*SCRIPTS, "pyproject.toml", "requirements.lock", "requirements-serve.lock", "requirements-dev.lock",
                 "requirements-line.lock",
                 "requirements-gpu.txt", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    return folder
