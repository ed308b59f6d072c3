"""The engines that run an exported graph: ONNX Runtime and OpenVINO, in the precisions that this machine can compute.

An engine is imported when it is asked for, because a host may have only one of them.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..core.config import CUDA_ENGINE, SERVING_ENGINES
from ..core.errors import EngineError
from ..core.host import cores, give_memory_back
from ..core.model_spec import GRAPH_FILE

__all__ = ["INT8_FILES", "Run", "Shared", "load_engine"]

# From (N, h, w, 3) float32 in 0..255 to (N, h, w, C) float32 in 0..1. Several threads may call it at the same time.
Run = Callable[[np.ndarray], np.ndarray]

INT8_FILES = ("model-int8.xml", "model-int8.bin")
# The precision is always named, because OpenVINO would choose bfloat16 by itself where the processor has it.
PRECISIONS = {"openvino": "f32", "openvino-bf16": "bf16", "openvino-int8": "f32"}

# What the CUDA 12 build of ONNX Runtime asks of the host, see docs/docker.md, and CUDA's own words where it gets less.
LEAST_DRIVER = 525
CUDA_FAILURE = re.compile(r"CUDA failure \d+: ([^;\n]+)")

# Over about the last 20 calls: `Shared` changes its form where more than 0.6 of them overlap with another call, and
# changes it back below 0.1.
REMEMBERED, MOSTLY, SELDOM = 20, 0.6, 0.1


def load_engine(name: str, folder: Path, threads: int = 0, streams: int = 1) -> Run:
    """Load the graph of an export folder into an engine.

    Args:
        name: one of SERVING_ENGINES.
        folder: export folder, whose files were checked.
        threads: of the engine; 0 for one for each core that this process may use.
        streams: number of calls that share these threads. More calls may be made; they wait.

    Returns:
        The graph as a function, see `Run`.

    Raises:
        EngineError: the engine is unknown or not installed, this machine cannot run it, or the graph does not load.
    """
    if name not in SERVING_ENGINES:
        raise EngineError(f"engine {name!r} is not known", "one of " + ", ".join(SERVING_ENGINES))
    threads = threads or cores()
    if name.startswith("onnxruntime"):
        return _onnxruntime(name, folder, max(1, threads // streams))
    return _openvino(name, folder, threads, streams)


class Shared:
    """An engine in two forms. While calls come one by one, its threads share each image; while calls overlap, each
    thread works on an image of its own.

    Threads that share an image wait for each other after every layer. Two images at the same time are both done in
    three quarters of the time if each stays on its own core, on two cores (benchmarks/serving.py). The other form is
    loaded while the first one still works, and then takes its place, so that the weights stay in memory only once.

    Args:
        load: loads the engine for this number of calls at the same time.
        threads: of the engine; also the highest number of calls at the same time.
    """

    def __init__(self, load: Callable[[int], Run], threads: int) -> None:
        self._load, self._threads = load, threads
        self._run, self.streams = load(1), 1
        self._inside, self._crowding, self._changing, self._lock = 0, 0.0, False, threading.Lock()

    def __call__(self, batch: np.ndarray) -> np.ndarray:
        with self._lock:
            self._inside += 1
            self._crowding += ((self._inside > 1) - self._crowding) / REMEMBERED
            wanted = self._threads if self._crowding > MOSTLY else 1 if self._crowding < SELDOM else self.streams
            if wanted != self.streams and not self._changing:
                self._changing = True
                threading.Thread(target=self._change, args=(wanted,), name="engine", daemon=True).start()
            run = self._run
        try:
            return run(batch)
        finally:
            with self._lock:
                self._inside -= 1

    def _change(self, streams: int) -> None:
        try:
            self._run, self.streams = self._load(streams), streams
        finally:
            self._changing = False
        give_memory_back()


def _onnxruntime(name: str, folder: Path, threads: int) -> Run:
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError(f"{name} cannot be used: {error}", fix="pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    path = folder / GRAPH_FILE
    if name == CUDA_ENGINE:
        session = _on_gpu(onnxruntime, path, options)
    else:
        try:
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no common public base
            raise EngineError(f"{path} cannot be loaded: {error}", "an ONNX graph", "export the model again") from error
    inputs, outputs = session.get_inputs(), session.get_outputs()
    _one_of_each(path, len(inputs), len(outputs))
    name = inputs[0].name
    return lambda batch: session.run(None, {name: batch})[0]


def _on_gpu(onnxruntime: Any, path: Path, options: Any) -> Any:
    """Load a graph for the GPU, with CUDA and cuDNN from the wheels that are installed beside ONNX Runtime."""
    provider = "CUDAExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        raise EngineError(f"{CUDA_ENGINE} cannot be used: this is ONNX Runtime's build for processors",
                          fix="pip install onnxruntime-gpu in its place")
    # What it prints and logs where it finds no GPU is for its developers; our error says it once.
    onnxruntime.set_default_logger_severity(4)
    onnxruntime.preload_dlls()
    try:
        session = onnxruntime.InferenceSession(path, options, providers=[provider], enable_fallback=0)
    except Exception as error:  # onnxruntime's errors have no common public base
        found = CUDA_FAILURE.search(str(error))
        raise _no_gpu(f" ({found[1].strip()})" if found else "") from error
    if provider not in session.get_providers():  # it falls back to the processor without a word
        raise _no_gpu()
    session.enable_fallback()  # a GPU that fails later leaves the work to the processor
    return session


def _no_gpu(reason: str = "") -> EngineError:
    return EngineError(f"{CUDA_ENGINE} cannot be used: no GPU answers{reason}", f"the driver {LEAST_DRIVER} or newer",
                       "see that nvidia-smi works where this runs")


def _one_of_each(path: Path, inputs: int, outputs: int) -> None:
    if inputs != 1 or outputs != 1:
        raise EngineError(f"{path} has {inputs} inputs and {outputs} outputs", "one of each", "export the model again")


@cache
def _core(kind: Any, tensor: Any) -> Any:
    # Once, for as long as the process lives. With the last core goes a stack for signals that openvino made for the
    # thread which had the first: where another thread lets go of it, the first thread's next signal, SIGTERM say,
    # kills the process.
    # It looks numpy up at the first use of a tensor's data: two threads at it at once wait for each other for ever, one
    # with Python's lock, one with the look-up's.
    _ = tensor(np.zeros(1, np.float32)).data
    return kind()


def _openvino(name: str, folder: Path, threads: int, streams: int) -> Run:
    os.environ.setdefault("OPENVINO_TELEMETRY_ENABLE", "0")
    try:
        import openvino
    except ImportError as error:
        raise EngineError(f"{name} cannot be used: {error}", fix="pip install openvino") from error
    core = _core(openvino.Core, openvino.Tensor)
    if name == "openvino-bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise EngineError("openvino-bf16 cannot be used: this processor does not multiply bfloat16")
    path = folder / (INT8_FILES[0] if name == "openvino-int8" else GRAPH_FILE)
    try:
        model = core.read_model(path)
        _one_of_each(path, len(model.inputs), len(model.outputs))
        # One window at a time: its kernels are made for the very size they get.
        model.reshape([1, *(dimension.get_length() for dimension in list(model.inputs[0].partial_shape)[1:])])
        compiled = core.compile_model(model, "CPU", {
            "INFERENCE_PRECISION_HINT": PRECISIONS[name], "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams, "PERFORMANCE_HINT": "LATENCY" if streams == 1 else "THROUGHPUT",
            "ENABLE_CPU_PINNING": False})
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
