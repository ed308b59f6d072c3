"""One image has all threads, several share them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ss_poc.core.errors import EngineError
from ss_poc.core.images import decode_image
from ss_poc.inference.engines import Shared, load_engine
from ss_poc.inference.predictor import Predictor

SOURCE = Path(__file__).resolve().parents[2] / "src"
IMAGE = np.zeros((1, 4, 6, 3), np.float32)


class Loader:
    """Loads engines that say for how many calls at a time they were made, once they may."""

    def __init__(self) -> None:
        self.loaded: list[int] = []
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self, streams: int):
        self.loaded.append(streams)

        def run(batch: np.ndarray) -> np.ndarray:
            assert self.go_on.wait(5)
            return np.full(len(batch), streams)

        return run


def ask(shared: Shared, loader: Loader, together: int, rounds: int) -> None:
    """So many rounds of calls that are inside at the same time."""
    with ThreadPoolExecutor(together) as pool:
        for _ in range(rounds):
            loader.go_on.clear()
            futures = [pool.submit(shared, IMAGE) for _ in range(together)]
            while shared._inside < together:
                time.sleep(0.001)
            loader.go_on.set()
            assert all(len(future.result(5)) == 1 for future in futures)


def settle(shared: Shared) -> None:
    until = time.monotonic() + 5
    while shared._changing and time.monotonic() < until:
        time.sleep(0.001)


def test_images_that_come_alone_have_all_threads():
    loader = Loader()
    shared = Shared(loader, threads=4)
    for _ in range(50):
        assert shared(IMAGE)[0] == 1
    assert loader.loaded == [1]


def test_where_images_keep_meeting_each_has_a_thread_and_where_they_no_longer_do_all_again():
    loader = Loader()
    shared = Shared(loader, threads=4)
    ask(shared, loader, together=4, rounds=12)
    settle(shared)
    assert loader.loaded == [1, 4] and shared(IMAGE)[0] == 4
    for _ in range(80):
        shared(IMAGE)
    settle(shared)
    assert loader.loaded == [1, 4, 1] and shared(IMAGE)[0] == 1


def test_two_images_that_meet_now_and_then_change_nothing():
    loader = Loader()
    shared = Shared(loader, threads=2)
    for _ in range(10):
        ask(shared, loader, together=2, rounds=1)
        for _ in range(5):
            shared(IMAGE)
    assert loader.loaded == [1]


def test_an_image_that_fails_does_not_count_as_being_inside_any_more():
    def broken(batch: np.ndarray) -> np.ndarray:
        raise RuntimeError("broken")

    shared = Shared(lambda _: broken, threads=2)
    for _ in range(60):
        with pytest.raises(RuntimeError, match="broken"):
            shared(IMAGE)
    assert shared._inside == 0 and shared.streams == 1


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_streams_that_share_the_threads_give_the_same_numbers(run, labelled, name):
    images = [decode_image(labelled / f"{number:02d}.png").astype(np.float32)[None] for number in range(4)]
    alone = load_engine(name, run.export, threads=2)
    shared = Shared(partial(load_engine, name, run.export, 2), threads=2)
    expected = [alone(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        until, form = time.monotonic() + 20, shared.streams
        while form == shared.streams:  # until it has changed its form, and once more
            form = shared.streams
            assert time.monotonic() < until
            for found, wanted in zip(pool.map(shared, images), expected, strict=True):
                np.testing.assert_allclose(found, wanted, atol=1e-5)


FIRST_TOGETHER = """
import sys, threading
from pathlib import Path
import numpy as np
from ss_poc.inference.engines import load_engine

class Window:  # asked for its numbers right before they are handed over
    def __getitem__(self, _):
        together.wait()
        return np.zeros((1, 64, 96, 3), np.float32)

engine, together = load_engine("openvino", Path(sys.argv[1]), threads=1), threading.Barrier(8)
sys.setswitchinterval(1e-6)  # threads take turns as often as they can
threads = [threading.Thread(target=engine, args=([Window()],)) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_the_very_first_images_may_come_together(run):
    # openvino's own first look at an array hangs in more than every second of such processes.
    started = [subprocess.Popen([sys.executable, "-c", FIRST_TOGETHER, str(run.export)],
                                env={**os.environ, "PYTHONPATH": str(SOURCE)}) for _ in range(4)]
    try:
        assert [process.wait(60) for process in started] == [0] * 4
    finally:
        for process in started:
            process.kill()


SIGNALLED = """
import os, signal, sys, threading
from pathlib import Path
from ss_poc.inference.engines import load_engine
caught = []
signal.signal(signal.SIGTERM, lambda *_: caught.append(1))
held = [load_engine("openvino", Path(sys.argv[1]), threads=1)]
thread = threading.Thread(target=held.clear)
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGTERM)
assert caught
"""


def test_an_engine_let_go_of_by_another_thread_leaves_signals_harmless(run):
    # openvino frees, with its last core, a stack that signals of the first thread are still handled on.
    done = subprocess.run([sys.executable, "-c", SIGNALLED, str(run.export)], timeout=60, capture_output=True,
                          text=True, env={**os.environ, "PYTHONPATH": str(SOURCE)})
    assert done.returncode == 0, done.stderr


def test_without_a_gpu_its_engine_is_refused_and_another_one_serves(run):
    with pytest.raises(EngineError, match="cannot be used"):
        load_engine("onnxruntime-cuda", run.export)
    predictor = Predictor.load(run.export, run.rules, engine="onnxruntime-cuda")
    assert predictor.engine == "onnxruntime"
    assert "onnxruntime-cuda cannot be used" in predictor.refused[0]


def test_onnx_runtime_reports_its_use_to_nobody(tmp_path):
    import onnx

    shape = ["n", 4, 6, 3]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("image", "same")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["image"], ["same"])], "g", ends[:1], ends[1:])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8),
              tmp_path / "model.onnx")
    home = tmp_path / "home"
    home.mkdir()
    # Where it takes a machine for a build server it reports nothing in any case.
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCE)}
    code = "import sys, time; from pathlib import Path; from ss_poc.inference.engines import load_engine; " \
           "load_engine('onnxruntime', Path(sys.argv[1]), 1); time.sleep(0.5)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=environment, check=True, timeout=60)
    assert [*home.rglob("*")] == [], "what reports begins with an id of the device"
