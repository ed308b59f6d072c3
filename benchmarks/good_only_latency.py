"""What the memory of good photographs costs: milliseconds of one window on ONNX Runtime, with it and without.

    python benchmarks/good_only_latency.py --size 256 320

All networks answer in turn, so that whatever else the machine does slows all of them. Weights are drawn at random:
they do not change the time.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

from ss_poc.networks.build import build_model
from ss_poc.networks.onnx_file import convert
from ss_poc.networks.views import with_views


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=[256, 320], help="height and width of a window")
    parser.add_argument("--encoders", nargs="+", help="the others are compared with the first",
                        default=["compact24", "compact24+good", "compact16", "compact16+good"])
    parser.add_argument("--views", default="single", help="single or turned, as `train --views`")
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    image = np.random.default_rng(0).uniform(0, 255, (1, *options.size, 3)).astype(np.float32)
    sessions = {encoder: exported(encoder, options.size, options.views) for encoder in options.encoders}
    seconds: dict[str, list[float]] = {encoder: [] for encoder in sessions}
    for _ in range(options.rounds):
        for encoder, session in sessions.items():
            began = time.perf_counter()
            session.run(None, {session.get_inputs()[0].name: image})
            seconds[encoder].append(time.perf_counter() - began)
    p50 = {encoder: 1000 * float(np.median(found[5:])) for encoder, found in seconds.items()}
    peer = options.encoders[0]
    print(f"| network | ms, p50 | times {peer} |\n| --- | ---: | ---: |")
    for encoder, milliseconds in p50.items():
        print(f"| {encoder} | {milliseconds:.1f} | {milliseconds / p50[peer]:.2f} |")


def exported(encoder: str, size_hw: list[int], views: str) -> onnxruntime.InferenceSession:
    """The network as a graph, on all cores."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        model = with_views(build_model("compact", encoder, 1, size_hw), views)
        model(np.zeros((1, *size_hw, 3), np.float32))  # Keras exports what has been called
        convert(model, path)
        return onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()
