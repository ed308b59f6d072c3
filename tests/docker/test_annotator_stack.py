"""annotator.sh with Docker: containers that listen where coco-annotator's own would, started, asked, kept, stopped.

Its images cannot be pulled where this is tested; these stand for them on the same ports and paths.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from coco_folder import box, save_noise
from containers import ROOT, STACK, USER, Project, docker

pytestmark = pytest.mark.docker

ANNOTATOR_PORT = "18890"
DOCKERFILE = """
ARG BASE_IMAGE
FROM $BASE_IMAGE AS base
COPY coco_annotator_server.py listen.py /
COPY --chmod=755 bin /usr/local/bin
RUN ln -sf "$(command -v python3)" /usr/local/bin/python && mkdir -p /data/db
FROM base AS webserver
CMD ["run-webserver"]
FROM base AS workers
CMD ["run-workers"]
FROM base AS messageq
CMD ["run-messageq"]
FROM base AS database
"""
# What each part is asked for by the compose file and by annotator.sh. Web server and workers begin only when broker
# and database answer by their names.
PROGRAMS = {
    "run-webserver": """test -n "$SECRET_KEY" || exit 1
python /listen.py ask messageq 5672 && python /listen.py ask database 27017 || exit 1
id -u >/datasets/.user
exec python /coco_annotator_server.py 5000 /datasets""",
    "run-workers": "python /listen.py ask messageq 5672 && exec sleep 100000",
    "run-messageq": "sleep 2; exec python /listen.py 5672",
    "rabbitmq-diagnostics": "exec python /listen.py ask localhost 5672",
    "mongod": "exec python /listen.py 27017",
    "mongo": "exec python /listen.py ask localhost 27017",
    "mongodump": "exec cat /data/db/labels",
    "mongorestore": "exec cat >/data/db/labels",
}
LISTEN = """
import socket, sys
if sys.argv[1] == "ask":
    socket.create_connection((sys.argv[2], int(sys.argv[3])), timeout=3).close()
else:
    server = socket.create_server(("0.0.0.0", int(sys.argv[1])))
    while True:
        server.accept()[0].close()
"""
PARTS = {"webserver": "WEBSERVER", "workers": "WORKERS", "messageq": "BROKER", "database": "DATABASE"}
IMAGES = {f"ANNOTATOR_{name}_IMAGE": f"ss-poc-standin:{part}" for part, name in PARTS.items()}


@pytest.fixture(scope="module")
def images(engine: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Stand-ins for the four images of the stack."""
    folder = tmp_path_factory.mktemp("standins")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "listen.py").write_text(LISTEN)
    (folder / "bin").mkdir()
    for name, text in PROGRAMS.items():
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
    shutil.copy(ROOT / "tests/coco_annotator_server.py", folder)
    for part in PARTS:
        built = subprocess.run(["docker", "build", "--build-arg", f"BASE_IMAGE={engine}", "--target", part, "-t",
                                f"ss-poc-standin:{part}", str(folder)], capture_output=True, text=True,
                               env={**os.environ, "DOCKER_BUILDKIT": "1"})
        assert built.returncode == 0, built.stderr[-2000:]


class Stack(Project):
    """A user's project whose annotator is made of the stand-ins."""

    def annotator(self, *words: str, code: int = 0, **environment: str) -> str:
        done = self.run("sh", "annotator.sh", *words, ANNOTATOR_PORT=ANNOTATOR_PORT, **IMAGES, **environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(images: None) -> Iterator[Stack]:
    place = Path(tempfile.mkdtemp(prefix="ss-poc-annotator-"))
    place.chmod(0o755)
    (place / "내 project").mkdir()
    project = Stack(place / "내 project")
    yield project
    project.annotator("stop")
    shutil.rmtree(place)
    for volume in docker("volume", "ls", "-q", "--filter", "name=ss-poc-annotator_").split():
        docker("volume", "rm", volume)


@pytest.fixture(scope="module")
def started(project: Stack) -> str:
    """What the first start said."""
    return project.annotator()


def container(part: str) -> str:
    return docker("ps", "-q", "--filter", "label=com.docker.compose.project=ss-poc-annotator",
                  "--filter", f"label=com.docker.compose.service={part}")


def test_it_waits_for_the_page_and_says_where_as_whom_and_what_next(project, started):
    assert "annotator: coco-annotator" in started and "waiting for its page" in started
    assert f"label at   http://127.0.0.1:{ANNOTATOR_PORT}/" in started and "next:      sh annotator.sh new" in started
    assert re.search(r"^password   [0-9a-f]{18}$", started, re.MULTILINE)
    with urllib.request.urlopen(f"http://127.0.0.1:{ANNOTATOR_PORT}/") as answer:
        assert answer.status == 200
    again = project.annotator()
    assert "coco-annotator runs already" in again and "password" not in again
    assert "coco-annotator runs: http://127.0.0.1:18890/" in project.annotator("status")


def test_secrets_are_made_here_and_nobody_else_reads_them(project, started):
    account = project.folder / "coco-annotator/.annotator/account"
    assert account.stat().st_mode & 0o077 == 0 and account.stat().st_uid == USER
    secret = re.search("ANNOTATOR_SECRET=(.+)", account.read_text())[1]
    assert len(secret) == 48 and secret in docker("inspect", container("webserver"))
    assert "coco-annotator/.annotator/" in (ROOT / ".gitignore").read_text().splitlines()


def test_database_and_broker_are_reached_by_nobody_outside(project, started):
    for part in ("database", "messageq", "workers"):
        found = json.loads(docker("inspect", container(part)))[0]
        assert not any(found["NetworkSettings"]["Ports"].values())
        assert [*found["NetworkSettings"]["Networks"]] == ["ss-poc-annotator_inside"]
    assert json.loads(docker("network", "inspect", "ss-poc-annotator_inside"))[0]["Internal"]
    published = json.loads(docker("inspect", container("webserver")))[0]["NetworkSettings"]["Ports"]
    assert published["5000/tcp"][0] == {"HostIp": "127.0.0.1", "HostPort": ANNOTATOR_PORT}


def test_parts_are_watched_start_again_and_keep_their_data_in_a_volume(project, started):
    for part in PARTS:
        found = json.loads(docker("inspect", container(part)))[0]
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
        assert "no-new-privileges:true" in found["HostConfig"]["SecurityOpt"]
        if part != "workers":
            assert found["State"]["Health"]["Status"] in ("healthy", "starting" if part == "webserver" else "healthy")
    mounts = json.loads(docker("inspect", container("database")))[0]["Mounts"]
    assert {mount["Destination"]: mount["Type"] for mount in mounts}["/data/db"] == "volume"


def test_photographs_lie_on_this_machine_and_belong_to_the_user(project, started):
    datasets = project.folder / "coco-annotator/datasets"
    assert (datasets / ".user").read_text().strip() == str(USER) and (datasets / ".user").stat().st_uid == USER


def test_the_same_words_make_fill_and_export_a_data_set(project, started):
    assert "photos: scratch, pit; 0 photographs" in project.annotator("new", "photos", "--labels", "scratch,pit")
    folder = project.folder / "coco-annotator/datasets/photos"
    for number in range(3):
        save_noise(folder / f"{number}.png", (4, 6), number)
    project.own()
    assert "photos: 3 photographs" in project.annotator("scan", "photos")
    coco = {"images": [{"id": 1, "file_name": "1.png", "height": 4, "width": 6}],
            "categories": [{"id": 1, "name": "pit"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [box(1, 1, 4, 3)]}]}
    (project.folder / "found.json").write_text(json.dumps(coco))
    shutil.copy(folder / "1.png", project.folder / "1.png")
    assert "1 region;" in project.annotator("import", "photos", "found.json")
    said = project.annotator("export", "photos")
    assert re.search(r"1 photograph \(0 clean\), 1 region → coco-annotator/datasets/photos/\S+; 2 not", said)
    (exported,) = sorted(folder.glob(".exports/*.json"))[-1:]
    assert json.loads(exported.read_text())["annotations"][0]["segmentation"] == [box(1, 1, 4, 3)]
    assert exported.stat().st_uid == USER


def test_logs_backup_and_restore(project, started):
    assert "webserver" in project.annotator("logs")
    docker("exec", container("database"), "sh", "-c", "echo labels of monday >/data/db/labels")
    said = project.annotator("backup")
    file = re.search(r"^(annotator-\S+\.archive\.gz) holds all labels", said, re.MULTILINE)[1]
    assert (project.folder / file).read_text() == "labels of monday\n" and (project.folder / file).stat().st_uid == USER
    docker("exec", container("database"), "sh", "-c", "echo something else >/data/db/labels")
    assert f"restored {file}" in project.annotator("restore", file)
    assert docker("exec", container("database"), "cat", "/data/db/labels") == "labels of monday"


def test_stopped_and_started_again_it_has_what_was_labelled(project, started):
    docker("exec", container("database"), "sh", "-c", "echo kept >/data/db/labels")
    assert "stopped coco-annotator" in project.annotator("stop")
    assert container("webserver") == "" and "does not run" in project.annotator("status", code=3)
    assert "no annotator runs" in project.annotator("stop")
    assert "coco-annotator does not run" in project.annotator("export", "photos", code=1)
    project.annotator()
    assert docker("exec", container("database"), "cat", "/data/db/labels") == "kept"


def test_a_port_that_is_taken_ends_in_one_sentence_and_leaves_nothing(project, started):
    project.annotator("stop")
    with socket.create_server(("127.0.0.1", int(ANNOTATOR_PORT))):
        said = project.annotator(code=1)
    assert f"port {ANNOTATOR_PORT} is taken" in said and container("database") == ""
    project.annotator()


def test_images_that_are_not_there_lead_to_label_studio_or_are_named(project, started):
    project.annotator("stop")
    missing = {"ANNOTATOR_DATABASE_IMAGE": "ss-poc-standin:nowhere"}
    done = project.run("sh", "annotator.sh", ANNOTATOR_PORT=ANNOTATOR_PORT, **{**IMAGES, **missing})
    assert done.returncode == 1 and "ss-poc-standin:nowhere is neither here nor can it be pulled" in done.stderr
    assert "ANNOTATOR=label-studio" in done.stderr
    project.annotator()


def test_the_compose_file_is_sound_with_both_files_at_once(project, started):
    compose = ["docker", "compose"] if not subprocess.run(["docker", "compose", "version"], capture_output=True
                                                          ).returncode else ["docker-compose"]
    both = ["-f", "compose.yaml", "-f", STACK, "--project-directory", "."]
    done = project.run(*compose, *both, "--profile", "annotate", "--profile", "serve", "config", "--services",
                       ANNOTATOR_SECRET="x")
    assert done.returncode == 0, done.stderr
    assert {"webserver", "workers", "messageq", "database", "server"} <= {*done.stdout.split()}
    unset = project.run(*compose, *both, "--profile", "annotate", "config")
    assert unset.returncode and "start it with annotator.sh" in unset.stderr
