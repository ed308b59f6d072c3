"""scripts/python.sh and env.sh: which Python is taken; environments are made once and resumed. pip is a stand-in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shell import ROOT, call, write_program


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
