"""Running the project's shell scripts in tests."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ["annotator.sh", "labels.sh", "line.sh", "trainer.sh", "server.sh", "train_serve.sh", "test.sh"]


def call(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, text=True, capture_output=True,
                          timeout=120, stdin=subprocess.DEVNULL)


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
