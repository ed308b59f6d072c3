"""The images for hosts with a GPU, on a host without one: only the driver is missing, and they do their work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from containers import PORT, Project, ask, docker

pytestmark = [pytest.mark.docker, pytest.mark.slow]

CA = "/etc/ssl/certs/ca-certificates.crt"
# Every library of CUDA, TensorFlow and ONNX Runtime's CUDA build that another one needs and the image lacks.
MISSING = """
cd .venv/lib/python3*/site-packages
LD_LIBRARY_PATH=$(for folder in nvidia/*/lib tensorflow; do printf '%s:' "$PWD/$folder"; done)
export LD_LIBRARY_PATH
for file in nvidia/*/lib/*.so* tensorflow/lib*.so.2 onnxruntime/capi/libonnxruntime_providers_cuda.so; do
    [ ! -e "$file" ] || ldd "$file" | sed -n 's/^[[:space:]]*\\(.*\\) => not found/\\1/p'
done | sort -u
"""


@pytest.fixture(scope="module")
def deployed(project: Project, bento: Path) -> Path:
    """A Bento as version v_1 of the project."""
    target = project.folder / "deploy/KerasSegmentationService/segment/v_1"
    shutil.copytree(bento, target, symlinks=True)
    project.own()
    return target


def build(project: Project, dockerfile: str, tag: str) -> None:
    done = project.run("docker", "build", "-f", dockerfile, "--target", "gpu", "-t", tag, "--build-arg", "VERSION=v_1",
                       "--build-arg", f"BASE_IMAGE={os.environ['BASE_IMAGE']}",
                       *(("--secret", f"id=ca,src={os.environ['EXTRA_CA']}") if os.environ.get("EXTRA_CA") else ()),
                       ".", timeout=1800, DOCKER_BUILDKIT="1")
    assert done.returncode == 0, done.stderr[-3000:]


def missing(image: str) -> list[str]:
    return docker("run", "--rm", "--entrypoint", "sh", image, "-c", MISSING).split()


def until_ready(container: str, port: int = 8892) -> tuple[str, int]:
    """Address of a container's service, once it is ready."""
    address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", container), port
    until = time.monotonic() + 90
    while time.monotonic() < until:
        try:
            if ask("/readyz", place=address)[0] == 200:
                return address
        except OSError:
            time.sleep(0.5)
    raise AssertionError(docker("logs", container))


@pytest.fixture
def container() -> Iterator[str]:
    yield f"ss-poc-gpu-{PORT}"
    docker("rm", "-f", f"ss-poc-gpu-{PORT}", check=False)


def test_the_serving_image_lacks_the_driver_alone_says_so_in_one_sentence_and_serves(project, deployed, labelled,
                                                                                     container):
    build(project, "Dockerfile.serve", "ss-poc-serve:gpu-test")
    assert missing("ss-poc-serve:gpu-test") == ["libcuda.so.1"]
    docker("run", "-d", "--name", container, "--read-only", "--tmpfs", "/tmp", "--tmpfs", "/state", "--memory", "2g",
           "ss-poc-serve:gpu-test")
    place = until_ready(container)
    ready = json.loads(ask("/readyz", place=place)[1])
    assert ready["engine"] != "onnxruntime-cuda" and len(ready["engines_refused"]) == 1
    assert re.match(r"onnxruntime-cuda cannot be used: no GPU answers", ready["engines_refused"][0])
    status, body = ask("/predict", labelled / "01.png", place)
    assert status == 200 and json.loads(body)["labels"] == ["scratch", "pit"]
    told = subprocess.run(["docker", "logs", container], text=True, capture_output=True)
    for line in (told.stdout + told.stderr).splitlines():
        json.loads(line)  # our own lines alone, nothing that ONNX Runtime prints for its developers


def test_the_training_image_lacks_the_driver_alone_and_trains_on_the_cpu(project, container):
    build(project, "Dockerfile", "ss-poc-trainer:gpu-test")
    assert missing("ss-poc-trainer:gpu-test") == ["libcuda.so.1"]
    built = docker("run", "--rm", "--entrypoint", "/app/.venv/bin/python", "ss-poc-trainer:gpu-test", "-c",
                   "import tensorflow as tf\n"
                   "print(tf.test.is_built_with_cuda(), tf.config.list_physical_devices('GPU'))")
    assert built.splitlines()[-1] == "True []"
    folder = "/app/coco-annotator/datasets/tiny"
    told = docker("run", "--name", container, "--user", "0", "--volume",
                  f"{project.folder}/coco-annotator/datasets:/app/coco-annotator/datasets:ro",
                  "ss-poc-trainer:gpu-test", "--img_path", folder, "--budget", "60s")
    assert "3/3 bento_deploy" in told and "epoch 2" in told


STANDIN = """ARG BASE_IMAGE
FROM ${BASE_IMAGE}
COPY ca.crt /etc/ssl/certs/ca-certificates.crt
RUN python3 -m venv /opt/pip
ENV PATH=/opt/pip/bin:$PATH PIP_CERT=/etc/ssl/certs/ca-certificates.crt SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
"""


def test_the_dockerfile_that_bentoml_writes_builds_and_serves(project, deployed, labelled, container, tmp_path):
    # Python's own image cannot be pulled everywhere: the base image takes its place, with pip.
    (tmp_path / "Dockerfile").write_text(STANDIN)
    shutil.copy(os.environ.get("EXTRA_CA") or CA, tmp_path / "ca.crt")
    docker("build", "-t", "ss-poc-standin:python", "--build-arg", f"BASE_IMAGE={os.environ['BASE_IMAGE']}",
           str(tmp_path))
    written = (deployed / "env/docker/Dockerfile").read_text()
    assert written.count("\nFROM python:") == 1
    (tmp_path / "Dockerfile.bento").write_text(re.sub(r"\nFROM \S+", "\nFROM ss-poc-standin:python", written))
    docker("build", "-f", str(tmp_path / "Dockerfile.bento"), "-t", "ss-poc-bento:test", str(deployed))
    docker("run", "-d", "--name", container, "ss-poc-bento:test")
    place = until_ready(container, 3000)
    status, body = ask("/predict", labelled / "01.png", place)
    assert status == 200 and json.loads(body)["labels"] == ["scratch", "pit"]
    docker("rm", "-f", container)
    docker("image", "rm", "ss-poc-bento:test")
