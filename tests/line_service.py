"""The real service application with a stand-in for the model (bright pixels are scratches), as a process of its own.

    python line_service.py PORT FOLDER
    python line_service.py PORT RULES EXPORT     (with a model of its own, and part rules)
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

HERE = Path(__file__).resolve().parent


@dataclass
class Asked:
    """A service that can be killed and started again on its port."""

    port: int
    folder: Path
    export: Path | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, __file__, str(self.port), str(self.folder),
                                         *([str(self.export)] if self.export else [])])
        until = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"{self.url}/drift.json", timeout=2, trust_env=False).raise_for_status()
                return
            except httpx.HTTPError:
                assert time.monotonic() < until and self.process.poll() is None
                time.sleep(0.05)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


@contextmanager
def asked(port: int, folder: Path, export: Path | None = None) -> Iterator[Asked]:
    service = Asked(port, folder, export)
    service.start()
    try:
        yield service
    finally:
        service.kill()


if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent / "src")]
    import uvicorn
    from asking import judging_state, state_in

    from ss_poc.serving.app import application

    if sys.argv[3:]:
        state = judging_state(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        state = state_in(Path(sys.argv[2]))
        state.served.predictor.engine = "none"
    uvicorn.run(application(state), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
