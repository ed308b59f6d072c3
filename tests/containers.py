"""A copy of the project that a user of the docker group works in, for tests that need a Docker engine."""

from __future__ import annotations

import grp
import http.client
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from conftest import draw_set

ROOT = Path(__file__).resolve().parents[1]
FILES = ("annotator.sh", "trainer.sh", "server.sh", "train_serve.sh", "Dockerfile", "Dockerfile.serve",
         ".dockerignore", "compose.yaml", "pyproject.toml", "LICENSE", "README.md",
         *(path.name for path in ROOT.glob("requirements*")))
USER = 12345
PORT = "18892"
STACK = "coco-annotator/docker-compose.yml"


def docker(*command: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *command], text=True, capture_output=True, timeout=600)
    if check and done.returncode:
        raise AssertionError(f"docker {' '.join(command)}: {done.stderr}")
    return done.stdout.strip()


class Project:
    """A copy of the project that belongs to a user of the docker group."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in FILES:
            shutil.copy(ROOT / name, folder)
        for name in ("scripts", "src"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        draw_set(folder / "coco-annotator" / "datasets" / "tiny", 12)
        shutil.copy(ROOT / STACK, folder / STACK)
        self.own()

    def own(self) -> None:
        """Give everything to the user."""
        subprocess.run(["chown", "-R", f"{USER}:{USER}", str(self.folder)], check=True)

    def command(self, *command: str, groups: str = "docker", **environment: str) -> dict[str, Any]:
        """What subprocess needs to run a command as the user."""
        group = f"--groups={grp.getgrnam(groups).gr_gid}" if groups else "--clear-groups"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SS_POC_")}
        return {"args": ["setpriv", f"--reuid={USER}", f"--regid={USER}", group, *command], "cwd": self.folder,
                "env": {**kept, "MODE": "docker", "HOME": str(self.folder), "PORT": PORT, **environment}}

    def run(self, *command: str, groups: str = "docker", timeout: int = 900, **environment: str
            ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(**self.command(*command, groups=groups, **environment), text=True, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=timeout)

    def files(self, *folders: str) -> dict[str, Path]:
        """All files below folders of the project, by their place in it."""
        return {str(path.relative_to(self.folder)): path for name in folders
                for path in sorted((self.folder / name).rglob("*")) if path.is_file()}


def ask(path: str, photo: Path | None = None, place: tuple[str, int] = ("127.0.0.1", int(PORT))) -> tuple[int, bytes]:
    """Status and body."""
    connection = http.client.HTTPConnection(*place, timeout=30)
    if photo:
        body = (b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n' + photo.read_bytes()
                + b"\r\n--x--\r\n")
        connection.request("POST", path, body, {"Content-Type": "multipart/form-data; boundary=x"})
    else:
        connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()
