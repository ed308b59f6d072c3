"""Latency of one image on the served graph against the same network in Keras, in one run.

    python benchmarks/inference.py --architecture compact --size 192x256
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ss_poc.core.config import parse_size
from ss_poc.networks.build import build_model
from ss_poc.networks.onnx_file import convert

import onnxruntime  # isort: skip
import tensorflow as tf  # isort: skip  (after ss_poc.networks, which loads it quietly)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="compact")
    parser.add_argument("--encoder", default="")
    parser.add_argument("--size", default="192x256")
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    size_hw = parse_size(options.size)
    model = build_model(options.architecture, options.encoder, 4, size_hw)
    image = np.random.default_rng(0).integers(0, 256, (1, *size_hw, 3)).astype(np.float32)
    model(image)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        convert(model, path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name, graph, constant = session.get_inputs()[0].name, tf.function(model), tf.constant(image)
    table(f"{options.architecture} {options.encoder or '(default encoder)'}, {options.size}, batch 1", {
        "Keras model.predict": lambda: model.predict(image, verbose=0),
        "tf.function": lambda: graph(constant).numpy(),
        "ONNX Runtime (served)": lambda: session.run(None, {name: image}),
    }, options.rounds)


def table(title: str, candidates: dict[str, Callable[[], Any]], rounds: int) -> None:
    """Time the candidates in turns, so that a busy moment of the machine hits them all, and print p50 and p95."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(rounds + 5):
        for name, run in candidates.items():
            started = time.perf_counter()
            run()
            if turn >= 5:
                taken[name].append((time.perf_counter() - started) * 1000)
    reference = float(np.median(next(iter(taken.values()))))
    print(f"\n{title}\n\n| | p50 ms | p95 ms | times as fast |\n| --- | ---: | ---: | ---: |")
    for name, values in taken.items():
        median = float(np.median(values))
        print(f"| {name} | {median:.1f} | {np.quantile(values, 0.95):.1f} | {reference / median:.1f} |")


if __name__ == "__main__":
    main()
