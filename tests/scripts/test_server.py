"""server.sh: versions are served, exchanged and taken back. The service is replaced by a small stand-in."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time

import pytest
from served import free_port
from shell import ROOT, call, write_program

SHELLS = ["sh", "dash", "bash", "zsh"]
REPORT = {"zsh": "setopt; typeset +; functions | cut -c1-60; pwd",
          "bash": "set -o; shopt; compgen -v; declare -F; pwd; trap"}


@pytest.mark.parametrize("options", ["", "set -eu; "])
@pytest.mark.parametrize("shell", SHELLS)
def test_sourcing_leaves_the_shell_as_it_was(shell, options, tmp_path):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    if shell in REPORT:
        # From elsewhere: these shells can tell where a sourced file lies.
        report, place, source = REPORT[shell], tmp_path, f"source '{ROOT}/server.sh' --help"
    else:
        # dash passes no arguments to a sourced file; it sees those of the shell.
        report = "set -o; set | grep -v '^_='; pwd; trap"
        place, source = ROOT, ". ./server.sh"
    before, after, out = (tmp_path / name for name in ("before", "after", "out"))
    script = (f"{options}service_version=v_none; set -- --help; {{ {report}; }} >'{before}'; {source} >'{out}'; "
              f"{{ {report}; }} >'{after}'; echo alive")
    done = call(shell, *(["-f"] if shell == "zsh" else []), "-c", script, cwd=place)
    assert done.stdout.strip() == "alive", done.stderr
    assert before.read_text() == after.read_text() and len(after.read_text()) > 100
    assert out.read_text().startswith("usage: sh server.sh")


@pytest.mark.parametrize("shell", SHELLS)
def test_sourced_server_uses_the_version_of_the_shell_and_gives_its_status_back(shell, project):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    source = "source" if shell in ("bash", "zsh") else "."
    done = call(shell, *(["-f"] if shell == "zsh" else []), "-c",
                f"service_version=v_none; {source} ./server.sh; echo status $?", cwd=project)
    assert done.stdout.strip() == "status 1" and "no version v_none" in done.stderr


STANDIN = """
import os, socket, sys, threading, http.server
from pathlib import Path
bento = Path.cwd().parent
if os.environ.get("BREAK") or (bento / "bad").is_file():
    sys.exit("a broken model")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = "" if bento.name == "v_1" else ', "name":"bolts"'
        self.send_response(200); self.end_headers(); self.wfile.write(f'{{"ready":true{name}}}'.encode())
class Server(http.server.ThreadingHTTPServer):
    def __init__(self, listening):
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close(); self.socket = listening; self.server_name, self.server_port = "", 0
lifeline = int(sys.argv[sys.argv.index("--lifeline") + 1])
threading.Thread(target=lambda: (os.read(lifeline, 1), os._exit(0)), daemon=True).start()
server = Server(socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1])))
os.write(lifeline, b"ready")
server.serve_forever()
"""


@pytest.fixture
def served(project, tmp_path):
    """A project whose workers are a stand-in: a web server that answers /readyz; v_1 has no name yet."""
    for name in ("v_1", "v_2"):
        folder = project / "deploy/KerasSegmentationService/segment" / name
        (folder / "src").mkdir(parents=True, exist_ok=True)
        (folder / "bento.yaml").write_text(name)
    (tmp_path / "standin.py").write_text(STANDIN)
    write_program(project / ".venv-serve/bin/python", f"""#!/bin/sh
case "$*" in
*keras_segment*) exec "{sys.executable}" "{tmp_path}/standin.py" "$@" ;;
*) exec "{sys.executable}" "$@" ;;
esac
""")
    setup = project / "scripts/setup.sh"
    setup.write_text(setup.read_text() + "\nserving_env() { :; }\n")
    port = str(free_port())

    def server(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        # Not through a pipe: the server keeps its end open and would hold the test up.
        out = tmp_path / "out"
        with out.open("w") as file:
            done = subprocess.run(["sh", "server.sh", *words], cwd=project, stdout=file, stderr=subprocess.STDOUT,
                                  env={**os.environ, "PORT": port, **environment}, timeout=90,
                                  stdin=subprocess.DEVNULL)
        return subprocess.CompletedProcess(done.args, done.returncode, out.read_text(), "")
    server.port, server.project = int(port), project
    yield server
    server("stop")


def test_server_starts_is_seen_and_stops(served):
    assert served("status").returncode == 3
    started = served("start")
    assert started.returncode == 0 and "version v_1 is served: http://127.0.0.1:" in started.stdout
    assert served("status").returncode == 0
    assert "data set" not in served("status").stdout, "models packaged earlier have no name"
    assert "served already" in served("start").stdout
    assert served("stop").returncode == 0 and served("status").returncode == 3
    assert "nothing is served" in served("stop").stdout


def test_another_version_takes_over_and_rollback_goes_back(served):
    served("start")
    pid = (served.project / f"deploy/.server/{served.port}/pid").read_text()
    assert "version v_2 is served, in place of v_1" in served("start", "--service_version", "v_2").stdout
    assert "version v_2" in served("status").stdout and "before it: version v_1" in served("status").stdout
    assert served("rollback").returncode == 0 and "version v_1" in served("status").stdout
    assert served("deploy", "v_2").returncode == 0 and "version v_2" in served("status").stdout
    assert "served already" in served("deploy", "v_2").stdout
    assert "data set: bolts\n" in served("status").stdout
    assert (served.project / f"deploy/.server/{served.port}/pid").read_text() == pid


def test_deploy_without_a_name_is_a_wrong_call_and_rollback_needs_a_server(served):
    assert served("deploy").returncode == 2
    done = served("rollback")
    assert done.returncode == 1 and "nothing is served" in done.stdout


def test_rollback_is_remembered_over_a_crash(served):
    served("start")
    served("deploy", "v_2")
    os.kill(int((served.project / f"deploy/.server/{served.port}/pid").read_text()), 9)
    assert served("start", "--service_version", "v_2").returncode == 0
    assert served("rollback").returncode == 0 and "version v_1" in served("status").stdout


def test_repackaged_version_is_started_anew(served):
    served("start")
    (served.project / "deploy/KerasSegmentationService/segment/v_1/bento.yaml").write_text("built again")
    assert "served already" not in served("start").stdout


def test_busy_port_is_said_with_its_owner(served):
    owner = subprocess.Popen([sys.executable, "-m", "http.server", str(served.port)], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", served.port)) == 0:
                    break
            time.sleep(0.05)
        done = served("start")
        assert done.returncode == 1 and f"port {served.port} is taken by process {owner.pid}" in done.stdout
        assert "http.server" in done.stdout
    finally:
        owner.kill()
        owner.wait()


def test_version_that_is_not_there_names_those_that_are(served):
    done = served("start", service_version="v_9")
    assert done.returncode == 1 and "no version v_9" in done.stdout and "v_1 v_2" in done.stdout


def test_bad_model_is_refused_and_the_old_version_keeps_serving(served):
    served("start")
    (served.project / "deploy/KerasSegmentationService/segment/v_2/bad").touch()
    done = served("start", "--service_version", "v_2")
    assert done.returncode == 1 and "a broken model" in done.stdout and "nothing was exchanged" in done.stdout
    assert "version v_1" in served("status").stdout and served("status").returncode == 0


def test_server_that_dies_at_start_is_said_with_its_last_words(served):
    done = served("start", BREAK="yes")
    assert done.returncode == 1 and "a broken model" in done.stdout and "is not served" in done.stdout
    assert served("status").returncode == 3


def test_pid_of_another_program_is_not_taken_for_ours(served):
    state = served.project / f"deploy/.server/{served.port}"
    state.mkdir(parents=True)
    (state / "pid").write_text(str(os.getpid()))
    assert served("status").returncode == 3
    assert "nothing is served" in served("stop").stdout


def test_log_is_shown_and_a_missing_one_is_said(served):
    assert served("logs").returncode == 1
    served("start")
    assert served("logs").returncode == 0
