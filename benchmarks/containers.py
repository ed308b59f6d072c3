"""How large the images are, layer by layer, and how long a service takes to answer, in a container and without.

    service_version=v_1 sh server.sh      (builds ss-poc-serve:v_1; sh trainer.sh has built ss-poc-trainer:cpu)
    python benchmarks/containers.py --version v_1

Cold start: from the command that starts it until /readyz says 200, container and process in turns. The disk's cache is
warm after the first round.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np

PORT = 18893
STATE = Path("deploy/.server/benchmark")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", default="v_1")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    serving = f"ss-poc-serve:{options.version}"
    for image in ("ss-poc-trainer:cpu", serving):
        print(f"\n{image}\n\n| MB | layer |\n| ---: | --- |")
        for size, made_by in layers(image):
            print(f"| {size / 1e6:.1f} | {made_by} |")
    STATE.mkdir(parents=True, exist_ok=True)
    ways = {"container": (["docker", "run", "--rm", "--name", "ss-poc-benchmark", "-p", f"127.0.0.1:{PORT}:8892",
                           "--read-only", "--tmpfs", "/tmp", "--tmpfs", "/state", serving],
                          ["docker", "stop", "ss-poc-benchmark"]),
            "process": ([".venv-serve/bin/python", "src/ss_poc/serving/supervisor.py", "run", str(STATE), "--host",
                         "127.0.0.1", "--port", str(PORT), "--python", ".venv-serve/bin/python", "--version",
                         options.version], [])}
    found: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, (start, stop) in ways.items():
            found[way].append(ready_after(start, stop))
    print("\n| start of a service | s until it answers, median | lowest | highest |\n| --- | ---: | ---: | ---: |")
    for way, seconds in found.items():
        print(f"| {way} | {np.median(seconds):.1f} | {min(seconds):.1f} | {max(seconds):.1f} |")


def layers(image: str) -> list[tuple[float, str]]:
    """Bytes and origin of each layer that is not empty, the newest first."""
    listed = subprocess.run(["docker", "history", "--human=false", "--no-trunc", "--format",
                             "{{.Size}}\t{{.CreatedBy}}", image], text=True, capture_output=True, check=True).stdout
    rows = [line.split("\t", 1) for line in listed.splitlines()]
    return [(float(size), re.sub(r"\s+", " ", text)[:80].replace("|", "/")) for size, text in rows if size != "0"]


def ready_after(start: Sequence[str], stop: Sequence[str]) -> float:
    """Seconds from a command to the first 200 of /readyz; what was started is stopped."""
    began = time.monotonic()
    process = subprocess.Popen(start, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env={**os.environ, "SS_POC_DRAIN": "0"})
    try:
        while True:
            if process.poll() is not None:
                raise SystemExit(f"{' '.join(start)} ended with {process.returncode}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/readyz", timeout=1):
                    return time.monotonic() - began
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
    finally:
        if stop:
            subprocess.run(stop, check=True, capture_output=True)
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
