"""The container that the Helm chart describes, run by Docker: its user, root, limits, probes and end."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from containers import Project, ask, docker
from helm_charts import SERVICE, Document, only, rendered, variables

pytestmark = pytest.mark.docker

NAME = "ss-poc-chart"
# One core, so that it is not the machine's number; what is collected goes to an emptyDir.
VALUES = ("--set", "image.tag=v_chart,resources.limits.cpu=1,collect.perDay=5,env.SS_POC_MAX_IMAGES=7")


@dataclass
class Running:
    """The container, the pod's description, and where it listens."""

    pod: Document
    place: tuple[str, int]

    @property
    def described(self) -> Document:
        (found,) = self.pod["containers"]
        return found

    def probe(self, name: str) -> int:
        """Status that a probe of the kubelet would get; 0: no answer."""
        asked = self.described[f"{name}Probe"]["httpGet"]
        ports = {port["name"]: port["containerPort"] for port in self.described["ports"]}
        try:
            return ask(asked["path"], place=(self.place[0], ports[asked["port"]]))[0]
        except OSError:
            return 0

    def inside(self, *command: str) -> str:
        return docker("exec", NAME, *command)


def as_docker(pod: Document) -> list[str]:
    """What `docker run` needs to give a container what the kubelet would."""
    (found,) = pod["containers"]
    context, own, limits = pod["securityContext"], found["securityContext"], found["resources"]["limits"]
    flags = ["--user", f"{context['runAsUser']}:{context['runAsGroup']}", "--cpus", str(limits["cpu"]), "--memory",
             limits["memory"].replace("Gi", "g"), "--stop-timeout", str(pod["terminationGracePeriodSeconds"])]
    flags += [f"--cap-drop={name}" for name in own["capabilities"]["drop"]]
    flags += ["--read-only"] * own["readOnlyRootFilesystem"]
    flags += ["--security-opt=no-new-privileges"] * (not own["allowPrivilegeEscalation"])
    kinds = {volume["name"]: volume for volume in pod["volumes"]}
    for mount in found["volumeMounts"]:
        assert "emptyDir" in kinds[mount["name"]]
        flags += ["--tmpfs", mount["mountPath"]]
    for name, value in variables(found).items():
        flags += ["--env", f"{name}={value}"]
    return [*flags, found["image"]]


@pytest.fixture(scope="module")
def running(project: Project, bento: Path) -> Iterator[Running]:
    """The rendered container, ready; its image is that of server.sh."""
    pod = only(rendered(SERVICE, *VALUES), "Deployment")["spec"]["template"]["spec"]
    folder = project.folder / "deploy/KerasSegmentationService/segment/v_chart"
    shutil.copytree(bento, folder, symlinks=True)
    project.own()
    done = project.run("sh", "server.sh", service_version="v_chart")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    project.run("sh", "server.sh", "stop")
    docker("rm", "-f", NAME, check=False)
    docker("run", "-d", "--name", NAME, *as_docker(pod))
    address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", NAME)
    found = Running(pod, (address, 8892))
    until = time.monotonic() + 120
    while found.probe("startup") != 200:
        alive = docker("inspect", "--format", "{{.State.Running}}", NAME) == "true"
        assert alive and time.monotonic() < until, docker("logs", NAME)
        time.sleep(0.2)
    yield found
    docker("rm", "-f", NAME)


def test_all_probes_are_answered(running):
    assert [running.probe(name) for name in ("startup", "readiness", "liveness")] == [200, 200, 200]


def test_the_process_is_the_user_and_may_nothing_else(running):
    status = dict(line.split(":", 1) for line in running.inside("cat", "/proc/1/status").splitlines() if ":" in line)
    assert status["Uid"].split() == status["Gid"].split() == ["1000"] * 4
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2", "the engine's own profile, as RuntimeDefault"


def test_it_writes_nowhere_but_where_it_is_meant_to(running):
    for place in ("/app/x", "/var/tmp/x", "/home/x"):
        done = subprocess.run(["docker", "exec", NAME, "touch", place], text=True, capture_output=True)
        assert done.returncode and "Read-only file system" in done.stderr, place
    running.inside("touch", "/state/x", "/tmp/x")


def test_the_engine_has_the_threads_and_the_memory_of_the_limits(running):
    code = "from ss_poc.core.config import ServeConfig; from ss_poc.core.host import memory_limit; " \
           "print(ServeConfig().engine_threads, memory_limit())"
    said = docker("exec", "--workdir", "/app/deploy/KerasSegmentationService/segment/v_chart/src", NAME,
                  "/app/.venv/bin/python", "-c", code)
    assert said.split() == ["1", str(2 * 2**30)]


def test_it_predicts_and_collects_as_its_values_say(running, labelled):
    status, body = ask("/predict", labelled / "01.png", running.place)
    assert status == 200 and json.loads(body)["labels"] == ["scratch", "pit"]
    assert json.loads(ask("/info", place=running.place)[1])["limits"]["images"] == 7
    until = time.monotonic() + 20
    while "proposals" not in running.inside("ls", "/collected"):
        assert time.monotonic() < until
        time.sleep(0.2)


def test_it_ends_within_its_grace_after_the_hook(running):
    """The last test: the container is gone then."""
    hook, drain = running.described["lifecycle"]["preStop"]["exec"]["command"], 6
    began = time.monotonic()
    running.inside(*hook)
    assert running.probe("readiness") == 200, "the hook comes before SIGTERM"
    assert time.monotonic() - began > 5
    stopping = subprocess.Popen(["docker", "stop", NAME], stdout=subprocess.DEVNULL)
    time.sleep(2)
    assert running.probe("readiness") == 503 and running.probe("liveness") == 200
    assert ask("/predict", Path(__file__).parents[2] / "docs/images/demo.jpg", running.place)[0] == 200
    assert stopping.wait(running.pod["terminationGracePeriodSeconds"]) == 0
    assert time.monotonic() - began > 5 + drain
    assert docker("inspect", "--format", "{{.State.ExitCode}} {{.State.OOMKilled}}", NAME) == "0 false"
