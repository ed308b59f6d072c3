"""Containers that really run: trained in, served from, carried elsewhere, by a user of the docker group."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from clones import share_environments
from containers import PORT, ROOT, USER, Project, ask, docker

pytestmark = pytest.mark.docker


TRAIN = ("--img_path", "coco-annotator/datasets/tiny", "--epoch", "2", "--size", "64x96", "--encoder", "compact16")


@pytest.fixture(scope="module")
def trained(project: Project) -> subprocess.CompletedProcess[str]:
    """Version v_1, trained and packaged in a container."""
    done = project.run("sh", "trainer.sh", *TRAIN)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


# --- training


def test_training_says_its_mode_and_shows_its_progress(trained):
    assert "mode: docker (an engine answers" in trained.stdout
    for number, stage in enumerate(("train", "finish", "bento_deploy"), 1):
        assert f"{number}/3 {stage}" in trained.stdout
    assert "epoch 1" in trained.stdout and "epoch 2" in trained.stdout


def test_every_file_belongs_to_the_user(project, trained):
    found = [*project.folder.rglob("*")]
    assert len(found) > 100
    assert {path.lstat().st_uid for path in found} == {USER}


def test_both_modes_write_the_same_files_and_the_same_run(project, trained, tmp_path):
    native = Project(tmp_path)
    share_environments(tmp_path, ".venv", ".venv-serve")
    done = subprocess.run(["sh", "trainer.sh", *TRAIN], cwd=tmp_path, text=True, capture_output=True, timeout=600,
                          env={**os.environ, "MODE": "native"})
    assert done.returncode == 0, done.stderr[-2000:]

    def names(of: Project) -> set[str]:
        # The best model's name holds its loss, events theirs the machine's; serving wheels are the same file elsewhere.
        # The twin in int8 stays where it was measured to be faster, which a busy machine may say once and not twice.
        return {name.rsplit("/", 1)[0] + "/*" if name.endswith(".keras") or "events.out" in name else name
                for name in of.files("result", "deploy") if ".server" not in name and "/model-int8." not in name}

    assert names(native) == names(project)
    runs = [json.loads((of.folder / "result/tiny/segment/v_1/run.json").read_text()) for of in (native, project)]
    assert runs[0]["config"] == {**runs[1]["config"], "cache_mb": runs[0]["config"]["cache_mb"]}
    assert runs[0]["data"] == runs[1]["data"] and runs[0]["split"] == runs[1]["split"]
    assert runs[0]["data"]["img_path"] == "coco-annotator/datasets/tiny"


def test_a_run_that_is_there_already_is_refused_and_with_reuse_used(project, trained):
    again = project.run("sh", "trainer.sh", *TRAIN)
    assert again.returncode == 1 and "holds a run already" in again.stdout + again.stderr
    assert "building the image" not in again.stdout
    reused = project.run("sh", "trainer.sh", *TRAIN, "--reuse")
    assert reused.returncode == 0 and "is trained already; using it" in reused.stdout


def test_a_typo_is_said_before_any_container_is_started(project):
    done = project.run("sh", "trainer.sh", "--epochs", "2")
    assert done.returncode == 2 and "--epochs" in done.stderr


@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_photographs_outside_of_the_project_are_shown_to_the_container(project, trained, tmp_path, kind):
    outside = project.folder.parent / f"photos, {kind}"
    shutil.copytree(project.folder / "coco-annotator/datasets/tiny", outside, dirs_exist_ok=True)
    given = str(outside) if kind == "absolute" else os.path.relpath(outside, project.folder)
    name = ("--img_dir_name", kind, "--model_name", kind)  # v_1 is a version of another data set
    done = project.run("sh", "trainer.sh", "--img_path", given, *name, *TRAIN[2:], "--epoch", "1")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    kept = json.loads((project.folder / f"result/{kind}/segment/{kind}/run.json").read_text())["data"]["img_path"]
    assert kept == given


def test_an_interrupt_stops_the_container_and_the_run_can_be_resumed(project, trained):
    # So many that training is not over before the engine has stopped it: an epoch may take a tenth of a second.
    flags = (*TRAIN[:2], "--model_name", "v_interrupted", "--epoch", "80", *TRAIN[4:])
    with open(project.folder / "log", "w") as log:
        process = subprocess.Popen(**project.command("sh", "trainer.sh", *flags), stdout=log, stderr=log,
                                   start_new_session=True)
        until = time.monotonic() + 180
        while "epoch 2/" not in Path(log.name).read_text():
            assert time.monotonic() < until and process.poll() is None, Path(log.name).read_text()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
    assert "go on with the same command and --resume" in Path(log.name).read_text()
    assert docker("ps", "-q", "--filter", "name=ss-poc-trainer-") == ""
    folder = project.folder / "result/tiny/segment/v_interrupted"
    reached = len((folder / "log/log.out").read_text().splitlines()) - 1
    run = json.loads((folder / "run.json").read_text())
    run["config"]["epoch"] = reached + 2  # as if so many had been asked for: nobody needs to wait for all 80
    (folder / "run.json").write_text(json.dumps(run))
    done = project.run("sh", "trainer.sh", *flags, "--epoch", str(reached + 2), "--resume")
    assert done.returncode == 0, done.stderr[-2000:]
    assert len((folder / "log/log.out").read_text().splitlines()) == 1 + reached + 2


def test_a_changed_source_file_makes_the_image_anew_but_not_its_packages(project, trained):
    packages = docker("history", "--no-trunc", "-q", "ss-poc-trainer:cpu")
    (project.folder / "src/ss_poc/__init__.py").write_text('"""Changed."""\n')
    try:
        done = project.run("sh", "trainer.sh", *TRAIN, "--reuse")
        assert done.returncode == 0 and "building the image ss-poc-trainer:cpu" in done.stdout
        began = time.monotonic()
        assert docker("history", "--no-trunc", "-q", "ss-poc-trainer:cpu") != packages
        assert time.monotonic() - began < 60
        assert '"""Changed."""' in docker("run", "--rm", "--entrypoint", "cat", "ss-poc-trainer:cpu",
                                          "src/ss_poc/__init__.py")
    finally:
        shutil.copy(ROOT / "src/ss_poc/__init__.py", project.folder / "src/ss_poc/__init__.py")
        project.own()


def test_without_the_right_to_the_socket_it_is_said_and_done_natively(project):
    done = project.run("sh", "trainer.sh", "--epoch", "0", groups="", MODE="auto")
    assert done.returncode == 2  # the wrong epoch ends it, after the mode was chosen
    assert "mode: native (everything in .venv), because this user may not use the Docker engine" in done.stdout
    wanted = project.run("sh", "trainer.sh", *TRAIN, groups="")
    assert wanted.returncode == 1 and "usermod -aG docker" in wanted.stderr


def test_an_engine_that_is_dead_ends_in_one_sentence(project):
    done = project.run("sh", "trainer.sh", *TRAIN, DOCKER_HOST="unix:///nowhere/docker.sock")
    assert done.returncode == 1 and "MODE is docker, but no Docker engine answers" in done.stderr


def test_a_gpu_that_is_wanted_and_is_not_there_ends_in_one_sentence(project):
    done = project.run("sh", "trainer.sh", *TRAIN, "--reuse", GPU="yes")
    assert done.returncode == 1 and "has no NVIDIA runtime" in done.stderr


# --- serving


@pytest.fixture
def served(project: Project, trained: object) -> Iterator[str]:
    """Version v_1 served by a container, whose name it gives."""
    done = project.run("sh", "server.sh", service_version="v_1")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    yield f"ss-poc-{PORT}"
    project.run("sh", "server.sh", "stop")


class Load:
    """Clients that ask until they are told to stop, and what they were answered: statuses and names of errors.

    They ask the container itself: what the engine holds on the published port accepts before it knows whether anybody
    listens inside.
    """

    def __init__(self, container: str, photo: Path, clients: int = 4) -> None:
        self.answers: list[int | str] = []
        address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(photo, (address, 8892))) for _ in range(clients)]

    def _ask(self, photo: Path, place: tuple[str, int]) -> None:
        while not self._stop.is_set():
            try:
                self.answers.append(ask("/predict", photo, place)[0])
            except OSError as error:
                self.answers.append(type(error).__name__)
                time.sleep(0.01)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def photo(project: Project) -> Path:
    return project.folder / "coco-annotator/datasets/tiny/01.png"


def test_a_container_answers_as_the_process_would_and_says_who_it_is(project, served, photo):
    status, body = ask("/predict", photo)
    assert status == 200 and json.loads(body)["labels"] == ["scratch", "pit"]
    told = project.run("sh", "server.sh", "status")
    assert told.returncode == 0 and f"container {served}" in told.stdout
    assert "version v_1 is served by 1 of 1" in told.stdout
    assert "predict" in project.run("sh", "server.sh", "logs").stdout


def test_a_container_can_do_little_else(served):
    found = json.loads(docker("inspect", served))[0]
    host = found["HostConfig"]
    assert found["Config"]["User"] == f"{USER}:{USER}"
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and "no-new-privileges" in host["SecurityOpt"]
    assert host["Memory"] == 2 * 2**30 and host["NanoCpus"] > 0 and host["PidsLimit"] == 512
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"]["Config"] == {"max-file": "6", "max-size": "10m"}
    writable = {mount["Destination"] for mount in found["Mounts"] if mount["RW"]}
    assert writable == {"/state"}
    done = subprocess.run(["docker", "exec", served, "sh", "-c", "echo x >/app/x"], text=True, capture_output=True)
    assert done.returncode and "Read-only file system" in done.stderr


def test_a_container_becomes_healthy(served):
    until = time.monotonic() + 60
    while docker("inspect", "--format", "{{.State.Health.Status}}", served) != "healthy":
        assert time.monotonic() < until
        time.sleep(0.5)


def test_no_training_package_is_in_the_serving_image_and_it_is_small(served):
    listed = docker("exec", served, "ls", ".venv/lib/python3.11/site-packages").split()
    assert {"tensorflow", "keras", "albumentations"}.isdisjoint(listed) and "openvino" in listed
    assert int(docker("image", "inspect", "--format", "{{.Size}}", "ss-poc-serve:v_1")) < 800e6


def test_versions_are_exchanged_inside_without_a_failed_request(project, served, photo):
    shutil.copytree(project.folder / "result/tiny/segment/v_1", project.folder / "result/tiny/segment/v_2")
    project.own()
    packaged = docker("run", "--rm", "--user", f"{USER}:{USER}", "--env", "PYTHONPATH=src",
                      "--volume", f"{project.folder}/result:/app/result",
                      "--volume", f"{project.folder}/deploy:/app/deploy",
                      "--volume", f"{project.folder}/coco-annotator/datasets:/app/coco-annotator/datasets:ro",
                      "--entrypoint", ".venv/bin/python", "ss-poc-trainer:cpu", "-m", "ss_poc.bento_deploy",
                      "--img_dir_name", "tiny", "--model_name", "v_2")
    assert "packaged" in packaged
    with Load(served, photo) as load:
        deployed = project.run("sh", "server.sh", "deploy", "v_2")
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        back = project.run("sh", "server.sh", "rollback")
        assert back.returncode == 0, back.stdout + back.stderr
    assert "version v_1 is served" in project.run("sh", "server.sh", "status").stdout
    assert len(load.answers) > 20 and set(load.answers) == {200}
    # After a crash of the container, what was exchanged last is served again.
    assert project.run("sh", "server.sh", "deploy", "v_2").returncode == 0
    docker("restart", "-t", "5", served)
    until = time.monotonic() + 60
    while "version v_2 is served" not in project.run("sh", "server.sh", "status").stdout:
        assert time.monotonic() < until
        time.sleep(0.5)


def test_stopping_under_load_answers_every_accepted_request(project, served, photo):
    with Load(served, photo) as load:
        time.sleep(2)
        stopped = project.run("sh", "server.sh", "stop")
        assert stopped.returncode == 0, stopped.stderr
    # Who comes after the port is closed finds nobody there; whoever was let in before was answered. Whom the kernel let
    # into its queue, and the service not yet, is told so by a reset: one a client at most.
    assert load.answers.count(200) > 10 and load.answers.count("ConnectionResetError") <= 4
    assert set(load.answers) <= {200, 503, "ConnectionRefusedError", "ConnectionResetError", "TimeoutError", "OSError"}
    assert docker("ps", "-aq", "--filter", f"name={served}") == ""


def test_another_folder_leaves_a_port_that_is_not_its_own_alone(project, served):
    other = Project(Path(tempfile.mkdtemp(prefix="ss-poc-other-")))
    other.folder.chmod(0o755)
    for words in (["status"], ["stop"], ["rollback"], ["logs"]):
        done = other.run("sh", "server.sh", *words)
        assert done.returncode == 1 and f"port {PORT} is served by the project in {project.folder}" in done.stderr
    shutil.rmtree(other.folder)
    assert project.run("sh", "server.sh", "status").returncode == 0


def test_a_full_disk_does_not_stop_predictions(project, trained, photo):
    state = project.folder / "deploy/.server" / PORT
    state.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=64k,uid={USER},gid={USER}", "tmpfs", str(state)], check=True)
    try:
        done = project.run("sh", "server.sh", service_version="v_1")
        assert done.returncode == 0, done.stdout + done.stderr
        with contextlib.suppress(OSError), open(state / "filler", "wb") as filler:
            filler.write(bytes(10**6))
        assert [ask("/predict", photo)[0] for _ in range(5)] == [200] * 5
    finally:
        project.run("sh", "server.sh", "stop")
        subprocess.run(["umount", str(state)], check=True)


def test_a_port_that_is_taken_ends_in_one_sentence_and_leaves_nothing(project, trained):
    with socket.create_server(("0.0.0.0", int(PORT))):
        done = project.run("sh", "server.sh", service_version="v_1")
    assert done.returncode == 1 and f"port {PORT} is taken by another program" in done.stderr
    assert docker("ps", "-aq", "--filter", f"name=ss-poc-{PORT}") == ""


def test_a_bundle_comes_up_on_a_host_that_has_nothing_else(project, trained, photo):
    done = project.run("sh", "server.sh", "bundle", "v_1")
    assert done.returncode == 0, done.stdout + done.stderr
    file = project.folder / "ss-poc-v_1.tar.gz"
    docker("image", "rm", "-f", "ss-poc-serve:v_1")
    (project.folder / "deploy").rename(project.folder / "deploy-before")
    models = project.folder / "deploy/KerasSegmentationService/segment/v_1/models"
    models.mkdir(parents=True)
    (models / "model.json").write_text('{\n "name": "bolts",\n "version": "v_1"\n}')
    project.own()
    try:
        refused = project.run("sh", "server.sh", "load", file.name)
        assert refused.returncode == 1 and "has a version v_1 of the data set bolts" in refused.stderr
        assert [path.name for path in models.iterdir()] == ["model.json"]
        loaded = project.run("sh", "server.sh", "load", file.name, OVERWRITE="yes")
        assert loaded.returncode == 0, loaded.stdout + loaded.stderr
        assert ask("/predict", photo)[0] == 200
        assert (project.folder / "deploy/KerasSegmentationService/segment/v_1/bento.yaml").is_file()
    finally:
        project.run("sh", "server.sh", "stop")
        shutil.rmtree(project.folder / "deploy")
        (project.folder / "deploy-before").rename(project.folder / "deploy")


def test_a_damaged_bundle_is_refused_by_its_checksum(project, trained):
    file = project.folder / "damaged.tar.gz"
    file.write_bytes(b"not what was written")
    (project.folder / "damaged.tar.gz.sha256").write_text(f"{'0' * 64}  damaged.tar.gz\n")
    done = project.run("sh", "server.sh", "load", file.name)
    assert done.returncode == 1 and "is damaged" in done.stderr


# --- without a network


def test_both_images_are_built_without_a_network_from_the_wheelhouse(project, trained):
    filled = project.run("sh", "trainer.sh", "wheelhouse", timeout=1800)
    assert filled.returncode == 0, filled.stdout[-2000:] + filled.stderr[-2000:]
    try:
        for file, tag in (("Dockerfile", "ss-poc-offline:train"), ("Dockerfile.serve", "ss-poc-offline:serve")):
            built = project.run("docker", "build", "--network", "none", "--no-cache", "-f", file, "--target", "cpu",
                                "--build-arg", "WHEELS=local", "--build-arg", f"BASE_IMAGE={os.environ['BASE_IMAGE']}",
                                "--build-arg", "VERSION=v_1", "-t", tag, ".", timeout=1800, DOCKER_BUILDKIT="1")
            assert built.returncode == 0, built.stderr[-3000:]
    finally:
        shutil.rmtree(project.folder / "wheelhouse")
        docker("image", "rm", "-f", "ss-poc-offline:train", "ss-poc-offline:serve", check=False)


# --- compose


def test_the_compose_file_names_what_the_scripts_build(project, trained, photo):
    compose = ["docker", "compose"] if not subprocess.run(["docker", "compose", "version"], capture_output=True
                                                          ).returncode else ["docker-compose"]
    if not shutil.which(compose[0]):
        pytest.skip("no docker compose here")
    state = {"SERVICE_VERSION": "v_1", "USER_ID": str(USER), "GROUP_ID": str(USER)}
    up = project.run(*compose, "--profile", "serve", "up", "-d", "--no-build", **state)
    try:
        assert up.returncode == 0, up.stderr
        until = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if ask("/predict", photo)[0] == 200:
                    break
            assert time.monotonic() < until
            time.sleep(0.5)
    finally:
        project.run(*compose, "--profile", "serve", "down", **state)
