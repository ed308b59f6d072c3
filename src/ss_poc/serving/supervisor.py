"""Keeps a version served on a port, and exchanges it for another without dropping a request.

    python supervisor.py run deploy/.server/8892 --port 8892 --python .venv-serve/bin/python --version v_1
    python supervisor.py ask deploy/.server/8892 deploy v_2         (or: rollback, status)

It needs the standard library alone and imports nothing of this package: the serving image holds a copy of this file.
`python -m ss_poc.serving.supervisor` is the same command.

The listening socket is opened once, here, and handed to the workers of whichever version is served: while those of one
version leave, those of the next take requests from the same queue. Workers that die are started again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import logging.handlers
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

__all__ = ["Failure", "Supervisor", "Worker", "main"]

BENTOS = Path("deploy/KerasSegmentationService/segment")
READY_SECONDS, STOP_SECONDS = 120.0, 75.0
LOG_BYTES, LOG_FILES = 10_000_000, 5
LONGEST_PAUSE = 30.0
LOG = logging.getLogger("supervisor")


class Failure(Exception):
    """A command that could not be carried out; what was served before is served still."""


class Worker:
    """One process that serves a version on the shared socket.

    Args:
        python: interpreter that has what a Bento needs.
        version: folder name of the Bento.
        listening: the shared socket.
        environment: of the process.
    """

    def __init__(self, python: str, version: str, listening: socket.socket, environment: dict[str, str]) -> None:
        self.version, self.started = version, time.monotonic()
        self.lifeline, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [python, "-m", "ss_poc.keras_segment", "--fd", str(listening.fileno()), "--lifeline",
                 str(theirs.fileno())], cwd=BENTOS / version / "src", env=environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(listening.fileno(), theirs.fileno()))
        self.last_lines: deque[str] = deque(maxlen=12)
        self._pump = threading.Thread(target=self._log, daemon=True)
        self._pump.start()

    def _log(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            text = line.decode("utf-8", "replace").rstrip()
            self.last_lines.append(text)
            LOG.info(text)

    def wait_ready(self, seconds: float) -> None:
        """Return once the worker takes requests.

        Raises:
            Failure: it does not within that time; the text ends with the last lines of its log.
        """
        self.lifeline.settimeout(seconds)
        try:
            word = self.lifeline.recv(5)
        except TimeoutError:
            word = b""
        self.lifeline.settimeout(None)
        if word != b"ready":
            self.stop(0)
            self._pump.join(2)
            raise Failure(f"version {self.version} could not be started:\n" + "\n".join(self.last_lines))

    def stop(self, seconds: float, replaced: bool = False) -> None:
        """Let the worker answer what it has accepted, then end it.

        Args:
            seconds: how long it may take; after that it is killed. 0: now.
            replaced: others serve in its place, so that it may take longer over its open connections.
        """
        if replaced:
            with contextlib.suppress(OSError):  # it may be dead
                self.lifeline.send(b"r")
        elif seconds:
            self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.lifeline.close()


class Supervisor:
    """The listening socket, and the workers of the version that is served.

    Args:
        options: `state` (folder), `python`, `host` and `port` of the command line. `SS_POC_WORKERS` is the number of
            workers.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.state, self.python = Path(options.state), str(Path(options.python).absolute())
        self.count = int(os.environ.get("SS_POC_WORKERS") or 1)
        self.listening = socket.create_server((options.host, options.port), backlog=2048)
        self.workers: list[Worker] = []
        self.version = self.previous = ""
        self.restarts, self.pause = 0, 0.5
        self.lock, self.leaving = threading.Lock(), threading.Event()
        home = self.state / "home"
        self.metrics = tempfile.mkdtemp(prefix="ss-poc-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.environment = {**os.environ, "BENTOML_HOME": str(home.absolute()), "BENTOML_DO_NOT_TRACK": "true"}
        if self.count > 1:  # in memory: a full disk must not stop predictions
            self.environment["PROMETHEUS_MULTIPROC_DIR"] = self.metrics

    def start(self, version: str) -> list[Worker]:
        """Start the workers of a version and return them once all are ready.

        Raises:
            Failure: there is no such version, or one of them does not get ready; none of them is left then.
        """
        if not (BENTOS / version / "bento.yaml").is_file():
            raise Failure(f"there is no version {version}")
        workers = [Worker(self.python, version, self.listening, self.environment) for _ in range(self.count)]
        until = time.monotonic() + READY_SECONDS
        try:
            for worker in workers:
                worker.wait_ready(max(0.1, until - time.monotonic()))
        except Failure:
            stop_all(workers, 0)
            raise
        return workers

    def exchange(self, version: str) -> str:
        """Serve another version (or the same one, packaged anew) in place of what is served; return what to tell.

        Raises:
            Failure: it could not be started; what was served is served still.
        """
        with self.lock:
            new = self.start(version)
            old, self.workers = self.workers, new
            if version != self.version:
                self.previous, self.version = self.version, version
            self.note()
        threading.Thread(target=stop_all, args=(old, STOP_SECONDS, True), daemon=True).start()
        return f"version {version} is served" + (f", in place of {self.previous}" if self.previous else "")

    def rollback(self) -> str:
        """Serve the version before this one again; return what to tell.

        Raises:
            Failure: there is none, or it could not be started.
        """
        if not self.previous:
            raise Failure("there is no version to go back to")
        return self.exchange(self.previous)

    def note(self) -> None:
        """Write down which version is served and which came before, for the next start."""
        temporary = self.state / ".served.json"
        temporary.write_text(json.dumps({"version": self.version, "previous": self.previous}))
        temporary.replace(self.state / "served.json")

    def status(self) -> str:
        """Tell which version is served, by which processes, since when, and which version came before."""
        alive = [worker for worker in self.workers if worker.process.poll() is None]
        age = min((time.monotonic() - worker.started for worker in alive), default=0)
        lines = [f"version {self.version} is served by {len(alive)} of {self.count} workers "
                 f"(process {', '.join(str(worker.process.pid) for worker in alive) or '-'}) for {age:.0f} s"]
        if self.previous:
            lines.append(f"before it: version {self.previous} (sh server.sh rollback)")
        if self.restarts:
            lines.append(f"workers that died and were started again: {self.restarts}")
        return "\n".join(lines)

    def watch(self) -> None:
        """Start workers again that died, until the server is told to stop; the pause grows while they keep dying."""
        while not self.leaving.wait(0.1):
            with self.lock:
                dead = [worker for worker in self.workers if worker.process.poll() is not None]
                if not dead:
                    continue
                LOG.warning("worker %s ended with %s", dead[0].process.pid, dead[0].process.returncode)
                if time.monotonic() - dead[0].started > 60:
                    self.pause = 0.5
            if self.pause > 0.5 and self.leaving.wait(self.pause):
                return
            self.pause = min(LONGEST_PAUSE, self.pause * 2)
            self.replace(dead[0])

    def replace(self, dead: Worker) -> None:
        """Start a worker in place of one that died, unless another version is served by now."""
        with self.lock:
            if dead not in self.workers:
                return
            dead.lifeline.close()
            fresh = Worker(self.python, self.version, self.listening, self.environment)
            self.workers[self.workers.index(dead)] = fresh
            self.restarts += 1
        try:
            fresh.wait_ready(READY_SECONDS)
        except Failure as failure:
            LOG.error("%s", failure)

    def stop(self) -> None:
        """Take no more connections, answer what was accepted, remove what only a running server needs."""
        self.leaving.set()
        self.listening.close()
        with self.lock:
            stop_all(self.workers, STOP_SECONDS)
        shutil.rmtree(self.metrics, ignore_errors=True)
        for name in ("pid", "control"):
            (self.state / name).unlink(missing_ok=True)


def stop_all(workers: list[Worker], seconds: float, replaced: bool = False) -> None:
    """Stop workers side by side, see `Worker.stop`."""
    threads = [threading.Thread(target=worker.stop, args=(seconds, replaced)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def listen(supervisor: Supervisor) -> None:
    """Carry out commands that come through the control socket, one after the other."""
    path = supervisor.state / "control"
    path.unlink(missing_ok=True)
    control = socket.socket(socket.AF_UNIX)
    control.bind(str(path))
    path.chmod(0o600)
    control.listen()
    while True:
        connection, _ = control.accept()
        with connection, connection.makefile("rw", encoding="utf-8") as file:
            words = json.loads(file.readline() or "[]")
            try:
                answer = {"ok": True, "text": carry_out(supervisor, words)}
            except Failure as failure:
                answer = {"ok": False, "text": str(failure)}
            file.write(json.dumps(answer) + "\n")


def carry_out(supervisor: Supervisor, words: list[str]) -> str:
    """Carry one command out and return what to tell."""
    verbs: dict[str, Any] = {"deploy": supervisor.exchange, "rollback": supervisor.rollback,
                             "status": supervisor.status}
    if not words or words[0] not in verbs:
        raise Failure(f"unknown command {words}")
    text: str = verbs[words[0]](*words[1:])
    return text


def last_served(state: Path) -> tuple[str, str]:
    """The version that was served from a state folder, and the one before it; empty where none was."""
    try:
        found = json.loads((state / "served.json").read_text())
    except (OSError, ValueError):
        return "", ""
    return found["version"], found["previous"]


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    state = Path(options.state)
    state.mkdir(parents=True, exist_ok=True)
    LOG.addHandler(logging.handlers.RotatingFileHandler(state / "log", maxBytes=LOG_BYTES, backupCount=LOG_FILES)
                   if options.log == "file" else logging.StreamHandler(sys.stdout))
    LOG.setLevel(logging.INFO)
    version, previous = last_served(state) if options.go_on else ("", "")
    version, previous = version or options.version, previous or options.previous
    supervisor = Supervisor(options)
    signal.signal(signal.SIGTERM, lambda *_: supervisor.leaving.set())
    signal.signal(signal.SIGINT, lambda *_: supervisor.leaving.set())
    try:
        supervisor.previous = previous
        supervisor.workers, supervisor.version = supervisor.start(version), version
        supervisor.note()
    except Failure as failure:
        LOG.error("%s", failure)
        print(failure, file=sys.stderr, flush=True)
        supervisor.stop()
        return 1
    (state / "pid").write_text(str(os.getpid()))
    threading.Thread(target=listen, args=(supervisor,), daemon=True).start()
    supervisor.watch()
    supervisor.stop()
    return 0


def ask(options: argparse.Namespace) -> int:
    """Send a command to the supervisor of a state folder, print what it says."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(Path(options.state) / "control"))
        except OSError:
            return 3
        with connection.makefile("rw", encoding="utf-8") as file:
            file.write(json.dumps(options.words) + "\n")
            file.flush()
            answer = json.loads(file.readline() or '{"ok": false, "text": "the server went away"}')
    print(answer["text"], file=sys.stdout if answer["ok"] else sys.stderr)
    return 0 if answer["ok"] else 1


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    serve = commands.add_parser("run", help=run.__doc__)
    serve.add_argument("state")
    serve.add_argument("--host", default="0.0.0.0")
    serve.add_argument("--port", type=int, required=True)
    serve.add_argument("--python", required=True)
    serve.add_argument("--version", default=os.environ.get("SS_POC_VERSION", ""))
    serve.add_argument("--previous", default="")
    serve.add_argument("--log", choices=("file", "-"), default="file", help="a file in the state folder, or stdout")
    serve.add_argument("--go_on", action="store_true", help="with what was served from that state folder, if anything")
    serve.set_defaults(command=run)
    command = commands.add_parser("ask", help=ask.__doc__)
    command.add_argument("state")
    command.add_argument("words", nargs="+")
    command.set_defaults(command=ask)
    options = parser.parse_args()
    code: int = options.command(options)
    return code


if __name__ == "__main__":
    sys.exit(main())
