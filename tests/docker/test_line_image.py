"""The image of a line, built as docs/line.md says, with the rights that compose.yaml gives it."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from containers import ROOT, USER, docker
from line_service import Asked, asked
from lines import photograph, rows, until_so
from served import free_port

pytestmark = pytest.mark.docker

NAME = "ss-poc-line-test"


@pytest.fixture(scope="module")
def image(engine: str) -> str:
    """The image, built here."""
    secret = ["--secret", f"id=ca,src={os.environ['EXTRA_CA']}"] if os.environ.get("EXTRA_CA") else []
    subprocess.run(["docker", "build", "-f", "Dockerfile.line", "-t", NAME, "--build-arg", f"BASE_IMAGE={engine}",
                    *secret, "."], cwd=ROOT, check=True, env={**os.environ, "DOCKER_BUILDKIT": "1"}, timeout=900)
    return NAME


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> Iterator[Asked]:
    """A service whose model marks what is bright."""
    with asked(free_port(), tmp_path_factory.mktemp("service")) as found:
        yield found


def as_composed() -> list[str]:
    """Flags of `docker run` for what compose.yaml says of the line."""
    line = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["line"]
    flags = ["--read-only"] * line["read_only"] + [f"--tmpfs={place}" for place in line["tmpfs"]]
    flags += [f"--cap-drop={name}" for name in line["cap_drop"]]
    return [*flags, *(f"--security-opt={name}" for name in line["security_opt"]),
            f"--pids-limit={line['pids_limit']}", "--memory=1g"]


@pytest.fixture
def folder(tmp_path_factory) -> Path:
    """LINE_FOLDER, which belongs to a user who is not root."""
    found = tmp_path_factory.mktemp("line")
    for part in (found, found / "in"):
        part.mkdir(exist_ok=True)
        os.chown(part, USER, USER)
    return found


def test_a_line_in_a_container_archives_photographs_and_shows_them_as_a_user_without_rights(image, service, folder):
    port = free_port()
    (folder / "line.yaml").write_text(
        f"line: press\nstate: state\nservice: {{url: {service.url}}}\npage: {{port: {port}}}\n"
        "sources: [{type: folder, name: camera, path: in}]\nsinks: [{type: csv, name: table, path: parts.csv}]\n")
    docker("run", "-d", "--name", NAME, "--network", "host", "--user", f"{USER}:{USER}", "-v", f"{folder}:/line",
           *as_composed(), image)
    try:
        until_so(lambda: "runs" in logs(), 60)
        for number in range(3):
            hidden = folder / "in" / ".part"
            hidden.write_bytes(photograph(number, defect=number == 1))
            os.chown(hidden, USER, USER)
            hidden.rename(folder / "in" / f"{number}.png")
        until_so(lambda: (folder / "parts.csv").is_file() and len(rows(folder)) == 3, 60)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/line", timeout=10) as page:
            assert b"<title>" in page.read()
        docker("stop", NAME)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", NAME) == "0"
    finally:
        docker("rm", "-f", NAME)
    assert sorted((part.name, part.verdict) for part in rows(folder)) == [
        ("0.png", "accept"), ("1.png", "reject"), ("2.png", "accept")]
    made = [path for path in folder.rglob("*") if path.name != "line.yaml"]
    assert len(made) > 8 and {path.lstat().st_uid for path in made} == {USER}


def test_a_wrong_yaml_ends_the_container_with_all_its_errors(image, folder):
    (folder / "line.yaml").write_text("line: press\nstate: state\nsources: [{type: folder, name: in}]\n"
                                       "sinks: [{type: fax, name: a}]\n")
    done = subprocess.run(["docker", "run", "--rm", "--user", f"{USER}:{USER}", "-v", f"{folder}:/line", *as_composed(),
                           image], text=True, capture_output=True, timeout=60)
    assert done.returncode == 2 and "line 3" in done.stderr and "line 4" in done.stderr


def logs() -> str:
    done = subprocess.run(["docker", "logs", NAME], text=True, capture_output=True, timeout=30)
    return done.stdout + done.stderr
