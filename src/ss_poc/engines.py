"""What runs the exported graph: ONNX Runtime or OpenVINO, in which precision, and whether this machine can.

No engine is imported before it is asked for: a host may have one of them only.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .artifacts import GRAPH_FILE
from .config import ENGINES
from .errors import EngineError

__all__ = ["INT8_FILES", "Run", "load_engine"]

# (N, h, w, 3) float32 in 0..255 to (N, h, w, C) float32 in 0..1; may be called from several threads.
Run = Callable[[np.ndarray], np.ndarray]

INT8_FILES = ("model-int8.xml", "model-int8.bin")
# OpenVINO multiplies in bfloat16 of its own accord where the processor can: the precision is always named.
PRECISIONS = {"openvino": "f32", "openvino-bf16": "bf16", "openvino-int8": "f32"}


def load_engine(name: str, folder: Path, threads: int = 0) -> Run:
    """Load the graph of an export folder into an engine.

    Args:
        name: one of ENGINES.
        folder: export folder, its files checked.
        threads: of the engine; 0 for one a core this process may use.

    Raises:
        EngineError: the engine is not installed, the processor cannot, or the graph does not load.
    """
    if name not in ENGINES:
        raise EngineError(f"engine {name!r} is not known", "one of " + ", ".join(ENGINES))
    # Counted here because the engines count the machine's cores, not those a container may use.
    threads = threads or len(os.sched_getaffinity(0))
    return _onnxruntime(folder, threads) if name == "onnxruntime" else _openvino(name, folder, threads)


def _onnxruntime(folder: Path, threads: int) -> Run:
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError(f"onnxruntime cannot be used: {error}", fix="pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    path = folder / GRAPH_FILE
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common public base
        raise EngineError(f"{path} cannot be loaded: {error}", "an ONNX graph", "export the model again") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    _one_of_each(path, len(inputs), len(outputs))
    name = inputs[0].name
    return lambda batch: session.run(None, {name: batch})[0]


def _one_of_each(path: Path, inputs: int, outputs: int) -> None:
    if inputs != 1 or outputs != 1:
        raise EngineError(f"{path} has {inputs} inputs and {outputs} outputs", "one of each", "export the model again")


def _openvino(name: str, folder: Path, threads: int) -> Run:
    os.environ.setdefault("OPENVINO_TELEMETRY_ENABLE", "0")
    try:
        import openvino
    except ImportError as error:
        raise EngineError(f"{name} cannot be used: {error}", fix="pip install openvino") from error
    core = openvino.Core()
    if name == "openvino-bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise EngineError("openvino-bf16 cannot be used: this processor does not multiply bfloat16")
    path = folder / (INT8_FILES[0] if name == "openvino-int8" else GRAPH_FILE)
    try:
        model = core.read_model(path)
        _one_of_each(path, len(model.inputs), len(model.outputs))
        # One window at a time: its kernels are made for the very size they get.
        model.reshape([1, *(dimension.get_length() for dimension in list(model.inputs[0].partial_shape)[1:])])
        compiled = core.compile_model(model, "CPU", {
            "INFERENCE_PRECISION_HINT": PRECISIONS[name], "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False})
    except RuntimeError as error:
        raise EngineError(f"{path} cannot be loaded: {str(error).strip().splitlines()[-1]}", "a graph for OpenVINO",
                          "export the model again") from error
    local = threading.local()

    def request() -> Any:  # a request is used by one thread at a time
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        return local.request

    def run(batch: np.ndarray) -> np.ndarray:
        return np.concatenate([request().infer([window[None]])[0] for window in batch])

    return run
