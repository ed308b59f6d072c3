"""What the scripts make of the Docker engine they find, told by a stand-in for the docker command."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Answers as an engine would that has the images of HAS, and cannot pull others.
DOCKER = r"""#!/bin/sh
echo "$*" >>"$CALLS"
case "$1" in
version) [ -z "$REFUSES" ] || { echo "$REFUSES" >&2; exit 1; }; echo 28.0.0 ;;
info) echo "$RUNTIMES" ;;
image)
    case "$*" in *ss-poc.inputs*) cat "$LABEL" 2>/dev/null; exit ;; esac
    case " $HAS " in *" $3 "*) echo "sha256:1" ;; *) exit 1 ;; esac
    ;;
pull) echo "no such host" >&2; exit 1 ;;
build)
    [ -z "$BUILD_SAYS" ] || { echo "$BUILD_SAYS"; exit 1; }
    for word; do
        case $word in
        ss-poc.inputs=*) printf '%s\n' "${word#ss-poc.inputs=}" >"$LABEL" ;;
        id=pip_conf,src=*) cp "${word#id=pip_conf,src=}" "$CALLS.pip_conf" ;;
        esac
    done
    ;;
esac
"""


@pytest.fixture
def ask(tmp_path):
    """Call functions of scripts/docker.sh with the stand-in first on the PATH."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)

    def run(command: str, path: str = f"{docker.parent}:{os.environ['PATH']}",
            **environment: str) -> subprocess.CompletedProcess[str]:
        script = f". scripts/setup.sh; . scripts/docker.sh; . scripts/image.sh; {command}"
        return subprocess.run(["sh", "-eu", "-c", script], cwd=ROOT, text=True, capture_output=True, timeout=30, env={
            "CALLS": str(tmp_path / "calls"), "HAS": "", "REFUSES": "", "RUNTIMES": "{}", "HOME": str(tmp_path),
            "BUILD_SAYS": "", "LABEL": str(tmp_path / "label"),
            "PATH": path, **environment})

    return run


CHOOSE = 'choose_mode ss-poc-trainer:cpu; say "chosen $mode"'
BASE = "python:3.11.14-slim-bookworm"


def test_an_engine_that_answers_and_has_the_base_image_is_used(ask):
    assert ask(CHOOSE, HAS=BASE).stdout.splitlines() == [
        "mode: docker (an engine answers; MODE=native does without)", "chosen docker"]


def test_an_image_that_is_there_needs_no_base_image(ask):
    assert ask(CHOOSE, HAS="ss-poc-trainer:cpu").stdout.splitlines()[-1] == "chosen docker"


def test_native_is_what_was_asked_for(ask):
    assert ask(CHOOSE, HAS=BASE, MODE="native").stdout.splitlines()[-1] == "chosen native"


@pytest.mark.parametrize(("refuses", "said"), [
    ("permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
     "may not use the Docker engine (sudo usermod -aG docker"),
    ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
     "no Docker engine answers (sudo systemctl start docker)")])
def test_an_engine_that_cannot_be_used_is_done_without_and_the_reason_is_said(ask, refuses, said):
    done = ask(CHOOSE, HAS=BASE, REFUSES=refuses)
    assert done.stdout.splitlines()[-1] == "chosen native" and said in done.stdout
    wanted = ask(CHOOSE, HAS=BASE, REFUSES=refuses, MODE="docker")
    assert wanted.returncode == 1 and "chosen" not in wanted.stdout
    assert "MODE is docker, but" in wanted.stderr and said in wanted.stderr


def test_without_a_docker_command_it_is_done_without(ask, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cat", "sed", "timeout", "id"):
        (tools / name).symlink_to(shutil.which(name))
    assert "because no docker command is installed" in ask(CHOOSE, path=str(tools)).stdout


def test_a_base_image_that_cannot_be_had_ends_in_native_or_in_one_sentence(ask):
    assert ask(CHOOSE, BASE_IMAGE="mirror/python:3").stdout.splitlines()[-2:] == [
        "mode: native (everything in .venv), because the image mirror/python:3 is neither here nor can it be pulled "
        "(BASE_IMAGE names another, docker load brings one)", "chosen native"]
    wanted = ask(CHOOSE, BASE_IMAGE="mirror/python:3", MODE="docker")
    assert wanted.returncode == 1 and "mirror/python:3 is neither here" in wanted.stderr


GPU = 'choose_gpu; say "target $target"'
NVIDIA = '{"nvidia":{"path":"nvidia-container-runtime"},"runc":{"path":"runc"}}'


@pytest.mark.parametrize(("runtimes", "gpu", "target"), [
    (NVIDIA, "auto", "gpu"), (NVIDIA, "yes", "gpu"), (NVIDIA, "no", "cpu"), ('{"runc":{}}', "auto", "cpu"),
    ('{"runc":{}}', "no", "cpu")])
def test_containers_get_the_gpu_where_the_engine_can_give_it(ask, runtimes, gpu, target):
    assert ask(GPU, RUNTIMES=runtimes, GPU=gpu).stdout.splitlines()[-1] == f"target {target}"


def test_a_gpu_that_is_wanted_and_cannot_be_given_ends_with_what_to_do(ask):
    done = ask(GPU, RUNTIMES='{"runc":{}}', GPU="yes")
    assert done.returncode == 1 and "has no NVIDIA runtime" in done.stderr and "container toolkit" in done.stderr


@pytest.mark.parametrize(("options", "user"), [("[name=seccomp,profile=default]", f"{os.getuid()}:{os.getgid()}"),
                                               ("[name=seccomp name=rootless]", "0:0")])
def test_files_belong_to_the_user_with_and_without_root_in_the_engine(ask, options, user):
    assert ask("container_user", RUNTIMES=options).stdout.strip() == user


# --- images


BUILD = "target=cpu; build_image ss-poc-trainer:cpu {dockerfile} {source}"


@pytest.fixture
def sources(tmp_path):
    """A Dockerfile and a source file, and the command that builds an image of them."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "code.py").write_text("first\n")
    return BUILD.format(dockerfile=tmp_path / "Dockerfile", source=tmp_path / "src")


def builds(tmp_path: Path) -> list[str]:
    return [line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("build ")]


def test_an_image_is_built_once_and_again_where_what_it_is_made_of_changed(ask, tmp_path, sources):
    for _ in range(2):
        assert ask(sources).returncode == 0
    assert len(builds(tmp_path)) == 1
    (tmp_path / "src" / "code.py").write_text("second\n")
    assert "building the image" in ask(sources).stdout and len(builds(tmp_path)) == 2
    ask(sources, BASE_IMAGE="mirror/python:3")
    assert len(builds(tmp_path)) == 3 and "BASE_IMAGE=mirror/python:3" in builds(tmp_path)[-1]


def test_addresses_with_passwords_go_into_a_secret_and_not_into_the_command(ask, tmp_path, sources):
    index = "https://user:geheim@mirror.plant/simple"
    done = ask(sources, PIP_INDEX_URL=index, PIP_TRUSTED_HOST="mirror.plant", EXTRA_CA="/etc/plant.pem")
    assert done.returncode == 0
    assert "geheim" not in builds(tmp_path)[0] and "--secret id=ca,src=/etc/plant.pem" in builds(tmp_path)[0]
    assert (tmp_path / "calls.pip_conf").read_text().splitlines() == [
        "[global]", f"index-url = {index}", "trusted-host = mirror.plant"]


@pytest.mark.parametrize(("says", "expected"), [
    ("ERROR: BuildKit is enabled but the buildx component is missing or broken.", "this Docker has no BuildKit"),
    ("write /app/.venv/x: no space left on device", "the disk is full"),
    ("ERROR: Could not find a version that satisfies the requirement x", "the image could not be built")])
def test_a_build_that_fails_ends_in_one_sentence_and_what_to_do(ask, sources, says, expected):
    done = ask(sources + "; say went on", BUILD_SAYS=says)
    assert done.returncode == 1 and "went on" not in done.stdout
    assert says in done.stderr and f"error: {expected}" in done.stderr and "to do:" in done.stderr
