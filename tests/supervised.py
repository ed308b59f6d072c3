"""A real supervisor that serves versions of a folder, with stand-ins for their workers where those do not matter."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from served import free_port

SUPERVISOR = Path(__file__).resolve().parents[1] / "src/ss_poc/serving/supervisor.py"
STATE = "deploy/.server/test"
# Says "ready", answers every connection with the name of its version, leaves when others serve in its place. A version
# that is called slow waits for a file "go" first.
WORKER = """
import os, pathlib, socket, sys, threading, time
listening, lifeline = socket.socket(fileno=int(sys.argv[2])), int(sys.argv[4])
version = pathlib.Path.cwd().parent.name
while version == "slow" and not pathlib.Path("go").exists():
    time.sleep(0.02)
os.write(lifeline, b"ready")
threading.Thread(target=lambda: os._exit(len(os.read(lifeline, 1)) - 1), daemon=True).start()
while True:
    with listening.accept()[0] as connection:
        connection.sendall(version.encode())
"""


@dataclass
class Site:
    """A project folder with versions, and a supervisor that serves the first of them."""

    folder: Path
    port: int
    process: subprocess.Popen[str]

    @property
    def state(self) -> Path:
        return self.folder / STATE

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, str(SUPERVISOR), "ask", STATE, *words], cwd=self.folder, text=True,
                              capture_output=True, timeout=60)

    def say(self, line: bytes) -> bytes:
        """Send bytes to the control socket, as no client of ours would; return what comes back until it is closed."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.state / "control"))
            try:
                connection.sendall(line)
                connection.shutdown(socket.SHUT_WR)
                return connection.makefile("rb").read()
            except (BrokenPipeError, ConnectionResetError):
                return b""

    def version(self) -> str:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            return connection.makefile().read()

    def workers(self) -> list[int]:
        """Numbers of all processes that the supervisor has started and that live."""
        found = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for path in found for pid in path.read_text().split()]


def until_so(condition, seconds: float = 60) -> None:
    """Wait for a condition; it must come true within that time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def lay_out(folder: Path, *versions: str) -> None:
    """Versions whose workers are stand-ins."""
    for version in versions:
        source = folder / "deploy/KerasSegmentationService/segment" / version / "src/ss_poc"
        source.mkdir(parents=True)
        (source.parents[1] / "bento.yaml").write_text("")
        (source / "__init__.py").write_text("")
        (source / "keras_segment.py").write_text(WORKER)


@contextmanager
def supervised(folder: Path, *flags: str, workers: int = 1) -> Iterator[Site]:
    """Serve v_1 of a folder; `flags` go to the supervisor."""
    environment = {**os.environ, "SS_POC_WORKERS": str(workers)}
    environment.pop("PYTHONPATH", None)
    port = free_port()
    process = subprocess.Popen([sys.executable, str(SUPERVISOR), "run", STATE, "--host", "127.0.0.1", "--port",
                                str(port), "--python", sys.executable, "--version", "v_1", *flags], cwd=folder,
                               env=environment, text=True, stderr=subprocess.PIPE)
    try:
        yield Site(folder, port, process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def stop(process: subprocess.Popen[bytes], state: Path) -> None:
    """Stop a supervisor that nobody asks anything any more; its log is printed, for a test that fails."""
    process.terminate()
    try:
        assert process.wait(60) in (0, -signal.SIGKILL)  # the test may have killed it
    finally:
        print((state / "log").read_text())
