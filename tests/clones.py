"""A copy of the project as a new user gets it, with the environments that are there already."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def clone_into(folder: Path, *environments: str) -> Path:
    """Copy the project into `folder`; tests are skipped, with the reason, where an environment is not set up."""
    made = shutil.ignore_patterns(".git", ".venv*", ".*_cache", "__pycache__", "*.egg-info", "result", "deploy",
                                  "datasets", ".annotator", "build")
    shutil.copytree(ROOT, folder, ignore=made)
    share_environments(folder, *environments)
    return folder


def share_environments(folder: Path, *environments: str) -> None:
    """Give a copy of the project the environments of this one, which must not be made anew for it: they would from then
    on import the copy."""
    for name in environments:
        if not (ROOT / name / ".ready").is_file():
            pytest.skip(f"{name} is not set up; .ci/run does it")
        (folder / name).symlink_to(ROOT / name)
    # The environments are known by the folder they were made for.
    env = folder / "scripts" / "env.sh"
    env.write_text(env.read_text().replace("--version; pwd;", f"--version; echo '{ROOT}';"))
