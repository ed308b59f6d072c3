"""Rendering the Helm charts with the real helm, and checking what comes out against the schemas of Kubernetes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SERVICE, JOBS, LINE = (ROOT / f"kubernetes/{name}" for name in ("ss-poc", "ss-poc-jobs", "ss-poc-line"))
WORKLOADS = ("Deployment", "Job", "StatefulSet")
KUBERNETES = "1.37"

Document = dict[str, Any]


def helm(*command: str) -> subprocess.CompletedProcess[str]:
    """Run helm; the test is skipped where there is none."""
    path = shutil.which("helm", path=f"{os.environ['PATH']}:{Path(sys.executable).parent}")
    if not path:
        pytest.skip("no helm here: .venv/bin/python .ci/helm.py .venv/bin")
    return subprocess.run([path, *command], text=True, capture_output=True, timeout=60)


def template(chart: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Render a chart as a release `line` of the namespace `plant`."""
    return helm("template", "line", str(chart), "--namespace", "plant", "--kube-version", KUBERNETES, *flags)


def rendered(chart: Path, *flags: str) -> list[Document]:
    """The documents that a chart makes of some values."""
    done = template(chart, *flags)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def refusal(chart: Path, *flags: str) -> str:
    """What helm says to values that it refuses."""
    done = template(chart, *flags)
    assert done.returncode == 1 and done.stdout == "", done.stdout
    return done.stderr


def only(documents: list[Document], kind: str) -> Document:
    """The one document of a kind."""
    (found,) = [document for document in documents if document["kind"] == kind]
    return found


def container(documents: list[Document]) -> Document:
    """The one container of the one workload."""
    (workload,) = [document for document in documents if document["kind"] in WORKLOADS]
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    return found


def variables(found: Document) -> dict[str, Any]:
    """Variables of a container: their values, or where these come from."""
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in found["env"]}


def check_schemas(documents: list[Document]) -> None:
    """Check documents against the schemas of Kubernetes, in which no field may be misspelled."""
    validate = pytest.importorskip("kubernetes_validate", reason="pip install -r requirements-kubernetes.txt")
    for document in documents:
        validate.validate(document, KUBERNETES, strict=True)


def check_restrictions(documents: list[Document]) -> None:
    """Check that pods keep to Kubernetes' standard `restricted`, cannot write to their root, and carry no token."""
    (workload,) = [document for document in documents if document["kind"] in WORKLOADS]
    pod, found = workload["spec"]["template"]["spec"], container(documents)
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert found["securityContext"] == {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
                                        "capabilities": {"drop": ["ALL"]}}
    assert {"cpu", "memory"} <= set(found["resources"]["limits"])
