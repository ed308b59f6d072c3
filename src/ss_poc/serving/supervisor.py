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
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Failure", "Supervisor", "Worker", "main"]

BENTOS = Path("deploy/KerasSegmentationService/segment")
READY_SECONDS, LEAVE_SECONDS = 120.0, 14.0
LONGEST_LINE, CLIENT_SECONDS = 65536, 10.0  # of a command: most bytes, and for how long more of it is waited for
LOG_BYTES, LOG_FILES, LONGEST_PAUSE = 10_000_000, 5, 30.0
LOG = logging.getLogger("supervisor")
# What starting a worker raises where there is no room for a process, a thread or a descriptor, or the socket is closed.
NO_ROOM = (OSError, RuntimeError, ValueError)


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

    def wait_ready(self, seconds: float, needless: Callable[[], bool]) -> None:
        """Return once the worker takes requests; Failure, with the last lines of its log, if not within that time.

        Args:
            seconds: how long it may take.
            needless: is asked now and then; once it says true, nobody needs the worker any more: Failure as well.
        """
        until, word = time.monotonic() + seconds, b""
        self.lifeline.settimeout(0.1)
        while time.monotonic() < until and not needless():
            try:
                word = self.lifeline.recv(5)
            except TimeoutError:
                continue
            except OSError:  # the worker was stopped meanwhile
                pass
            break
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
            if seconds:
                LOG.warning("worker %s has not left after %g s and is killed", self.process.pid, seconds)
            self.process.kill()
            self.process.wait()
        self.lifeline.close()


class Supervisor:
    """The listening socket, and the workers of the version that is served.

    Args:
        options: `state` (folder), `python`, `host`, `port` of the command line. SS_POC_WORKERS: the number of workers.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.state, self.python = Path(options.state), str(Path(options.python).absolute())
        self.count = int(os.environ.get("SS_POC_WORKERS") or 1)
        self.listening = socket.create_server((options.host, options.port), backlog=2048)
        self.workers, self.starting = list[Worker](), list[Worker]()
        self.version = self.previous = self.unnoted = ""
        self.restarts, self.pause = 0, 0.5
        # Commands come one after the other; while one starts workers, those that die are started again all the same.
        self.commands, self.lock = threading.RLock(), threading.Lock()
        # Set by a signal. No threading.Event: `set` blocks for ever where the signal comes just as `wait` has its lock.
        self.leaving = False
        self.metrics = tempfile.mkdtemp(prefix="ss-poc-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.environment = {**os.environ, "BENTOML_HOME": str((self.state / "home").absolute()),
                            "BENTOML_DO_NOT_TRACK": "true", "ORT_DISABLE_TELEMETRY": "1"}
        if self.count > 1:  # in memory: a full disk must not stop predictions
            self.environment["PROMETHEUS_MULTIPROC_DIR"] = self.metrics

    def start(self, version: str) -> list[Worker]:
        """Start the workers of a version, return them once all are ready; Failure, and none is left, if they cannot."""
        if Path(version).name != version or not (BENTOS / version / "bento.yaml").is_file():
            raise Failure(f"there is no version {version}")
        self.starting, until = [], time.monotonic() + READY_SECONDS
        try:
            for _ in range(self.count):
                with self.lock:  # so that `stop` finds each worker among those that start, or none is launched
                    self.starting.append(self.launch(version))
            for worker in self.starting:
                worker.wait_ready(max(0.1, until - time.monotonic()), lambda: self.leaving)
        except Failure:
            stop_all(self.starting, 0)
            if self.leaving:
                raise Failure("the server is being stopped") from None
            raise
        return self.starting

    def launch(self, version: str) -> Worker:
        """Start one worker; Failure where there is no room for it, or the server is being stopped."""
        if self.leaving:
            raise Failure("the server is being stopped")
        try:
            return Worker(self.python, version, self.listening, self.environment)
        except NO_ROOM as error:
            raise Failure(f"version {version} could not be started: {error}") from None

    def exchange(self, version: str) -> str:
        """Serve another version (or the same one, packaged anew) in place of what is served; return what to tell.

        Raises:
            Failure: it could not be started; what was served is served still.
        """
        with self.commands:
            new = self.start(version)
            with self.lock:
                if self.leaving:
                    stop_all(new, 0)
                    raise Failure("the server is being stopped")
                old, self.workers, self.starting = self.workers, new, []
                if version != self.version:
                    self.previous, self.version = self.version, version
                threading.Thread(target=stop_all, args=(old, stop_seconds(), True), daemon=True).start()
                self.note()
            place = f", in place of {self.previous}" if self.previous else ""
            return f"version {version} is served{place}{self.unnoted}"

    def rollback(self) -> str:
        """Serve the version before this one again; return what to tell. Failure as of `exchange`, or there is none."""
        with self.commands:
            if not self.previous:
                raise Failure("there is no version to go back to")
            return self.exchange(self.previous)

    def note(self) -> None:
        """Write down for the next start which version is served and which came before; on a full disk, `watch` does."""
        temporary = self.state / ".served.json"
        try:
            with temporary.open("w") as file:
                json.dump({"version": self.version, "previous": self.previous}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.state / "served.json")
            self.unnoted = ""
        except OSError as error:
            if not self.unnoted:
                LOG.error("which version is served could not be noted: %s", error)
            self.unnoted = f"\nnot noted yet, so a restart may serve another version: {error}"

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
        return "\n".join(lines) + self.unnoted

    def watch(self) -> None:
        """Start workers again that died, until the server is told to stop; the pause grows while they keep dying."""
        while self.rest(0.1):
            with self.lock:
                if self.unnoted:
                    self.note()
                dead = [worker for worker in self.workers if worker.process.poll() is not None]
                if not dead:
                    continue
                LOG.warning("worker %s ended with %s", dead[0].process.pid, dead[0].process.returncode)
                if time.monotonic() - dead[0].started > 60:
                    self.pause = 0.5
            if self.pause > 0.5 and not self.rest(self.pause):
                return
            self.pause = min(LONGEST_PAUSE, self.pause * 2)
            try:
                self.replace(dead[0])
            except Failure as failure:  # the next round tries again
                if not self.leaving:
                    LOG.error("%s", failure)

    def rest(self, seconds: float) -> bool:
        """Wait that long, or until the server is told to stop; return whether it goes on."""
        until = time.monotonic() + seconds
        while not self.leaving and time.monotonic() < until:
            time.sleep(0.1)
        return not self.leaving

    def replace(self, dead: Worker) -> None:
        """Start a worker in place of one that died, unless another version is served; Failure where it cannot be."""
        with self.lock:
            if dead not in self.workers:
                return
            dead.lifeline.close()
            fresh = self.launch(self.version)
            self.workers[self.workers.index(dead)] = fresh
            self.restarts += 1
        fresh.wait_ready(READY_SECONDS, lambda: self.leaving)

    def stop(self) -> None:
        """Take no more connections, answer what was accepted, remove what only a running server needs."""
        self.leaving = True
        self.listening.close()
        with self.lock:
            stop_all(self.starting, 0)
            stop_all(self.workers, stop_seconds() if self.workers else 0)
        shutil.rmtree(self.metrics, ignore_errors=True)
        for name in ("pid", "control"):
            (self.state / name).unlink(missing_ok=True)


def stop_seconds() -> float:
    """How long workers may take to leave: requests come for SS_POC_DRAIN and take SS_POC_TIMEOUT, then a little."""
    return float(os.environ.get("SS_POC_DRAIN") or 1) + float(os.environ.get("SS_POC_TIMEOUT") or 60) + LEAVE_SECONDS


def stop_all(workers: list[Worker], seconds: float, replaced: bool = False) -> None:
    """Stop workers side by side, see `Worker.stop`."""
    threads = [threading.Thread(target=worker.stop, args=(seconds, replaced)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def open_control(state: Path) -> socket.socket:
    """The socket that commands come through; OSError where the disk takes none."""
    path = state / "control"
    path.unlink(missing_ok=True)
    control = socket.socket(socket.AF_UNIX)
    control.bind(str(path))
    path.chmod(0o600)
    control.listen()
    return control


def listen(supervisor: Supervisor, control: socket.socket) -> None:
    """Answer everybody who connects to the control socket; a client that says nothing keeps none waiting."""
    while True:
        try:
            connection, _ = control.accept()
            threading.Thread(target=answer, args=(supervisor, connection), daemon=True).start()
        except NO_ROOM as error:
            LOG.error("a command was not heard: %s", error)
            time.sleep(1)


def answer(supervisor: Supervisor, connection: socket.socket) -> None:
    """Carry out the command that comes through a connection, and tell what became of it."""
    connection.settimeout(CLIENT_SECONDS)
    with connection, connection.makefile("rb") as file:
        try:
            said = {"ok": True, "text": carry_out(supervisor, file.readline(LONGEST_LINE))}
        except (Failure, OSError) as failure:
            said = {"ok": False, "text": str(failure)}
        except Exception as error:  # one that nobody foresaw
            LOG.exception("a command failed")
            said = {"ok": False, "text": f"the command failed: {error!r}"}
        with contextlib.suppress(OSError):  # the client may be gone; what it asked for is done all the same
            connection.sendall(json.dumps(said).encode() + b"\n")


def carry_out(supervisor: Supervisor, line: bytes) -> str:
    """Carry out a line with a JSON list of words, and return what to tell; Failure if it is none of ours, or fails."""
    verbs: dict[Any, Any] = {("deploy", 1): supervisor.exchange, ("rollback", 0): supervisor.rollback,
                             ("status", 0): supervisor.status}
    try:
        verb, *names = json.loads(line if line.endswith(b"\n") else b"")
        carry = verbs[verb, len(names)]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Failure(f"unknown command {line[:80]!r}; expected deploy NAME, rollback or status") from None
    return str(carry(*map(str, names)))


def last_served(state: Path) -> tuple[str, str]:
    """The version that was served from a state folder, and the one before it; empty where none was."""
    try:
        found = json.loads((state / "served.json").read_text())
        return str(found["version"]), str(found["previous"])
    except (OSError, ValueError, KeyError, TypeError):
        return "", ""


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM."""
    state, supervisor = Path(options.state), None
    try:
        state.mkdir(parents=True, exist_ok=True)
        LOG.addHandler(logging.handlers.RotatingFileHandler(state / "log", maxBytes=LOG_BYTES, backupCount=LOG_FILES)
                       if options.log == "file" else logging.StreamHandler(sys.stdout))
        LOG.setLevel(logging.INFO)
        supervisor = Supervisor(options)
        begin(supervisor, options)
    except (Failure, OSError) as failure:
        if supervisor:
            told = supervisor.leaving
            supervisor.stop()
            if told:
                return 0
        LOG.error("%s", failure)
        print(failure, file=sys.stderr, flush=True)
        return 1
    supervisor.watch()
    supervisor.stop()
    return 0


def begin(supervisor: Supervisor, options: argparse.Namespace) -> None:
    """Start the workers and take commands; OSError where there is no room for the files that `server.sh` looks for."""
    version, previous = last_served(supervisor.state) if options.go_on else ("", "")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(supervisor, "leaving", True))
    supervisor.version, supervisor.previous = version or options.version, previous or options.previous
    supervisor.workers, supervisor.starting = supervisor.start(supervisor.version), []
    supervisor.note()
    try:
        threading.Thread(target=listen, args=(supervisor, open_control(supervisor.state)), daemon=True).start()
        (supervisor.state / "pid").write_text(str(os.getpid()))
    except OSError as error:
        if not options.go_on:
            raise
        LOG.error("deploy, rollback and status may not work: %s", error)  # nobody is there to mend it: serve


def ask(options: argparse.Namespace) -> int:
    """Send a command to the supervisor of a state folder, print what it says."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(Path(options.state) / "control"))
        except OSError:
            return 3
        try:
            connection.sendall(json.dumps(options.words).encode() + b"\n")
            with connection.makefile("r", encoding="utf-8") as file:
                said = json.loads(file.readline())
        except (OSError, ValueError):
            said = {"ok": False, "text": "the server went away"}
        except KeyboardInterrupt:
            said = {"ok": False, "text": "interrupted; the server goes on with what it was asked for"}
    print(said["text"], file=sys.stdout if said["ok"] else sys.stderr)
    return 0 if said["ok"] else 1


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
    return int(options.command(options))


if __name__ == "__main__":
    sys.exit(main())
