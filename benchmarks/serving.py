"""How near the service comes to the bare engine, and how far from Keras `model.predict`; one run, one table.

    sh trainer.sh --img_path coco-annotator/datasets/demo --architecture unet --encoder efficientnetb0 --size 256x256 \
        --budget 3m --model_name b0_256
    .venv/bin/python benchmarks/serving.py --run result/demo/segment/b0_256

The load comes from a process of its own, over connections that stay open, with a 512x512 JPEG. Everything shares the
machine's cores: what the load takes is missing to the service. `in process` is decode + engine + encode, one after the
other, without a server.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from ss_poc.answers import answer
from ss_poc.artifacts import RunPaths, deploy_folder, read_run
from ss_poc.engines import load_engine
from ss_poc.images import decode_image, resize_image
from ss_poc.inference import Predictor

ROOT = Path(__file__).resolve().parents[1]
CORES = len(os.sched_getaffinity(0))


def main() -> None:
    options = parse()
    if options.load:
        print(json.dumps(asyncio.run(load(options.port, options.clients, options.seconds, Path(options.photo)))))
        return
    run = Path(options.run)
    paths = RunPaths(run.parents[2], run.parents[1].name, run.name)
    with tempfile.TemporaryDirectory() as scratch:
        photo = Path(scratch) / "photo.jpg"
        photo.write_bytes(photograph(paths))
        inside = in_process(paths, photo)
        best = bare_engine(paths, photo)
        ours = measure(paths, photo, worker(paths), options.seconds)
        bento = measure(paths, photo, bentoml_serve(paths), options.seconds)
        keras = measure(paths, photo, keras_service(paths), options.seconds)
    report(inside, best, ours, bento, keras)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="result/demo/segment/b0_256", help="a run that was exported and packaged")
    parser.add_argument("--seconds", type=float, default=15.0, help="of load, each time")
    parser.add_argument("--load", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--clients", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--photo", help=argparse.SUPPRESS)
    return parser.parse_args()


def photograph(paths: RunPaths) -> bytes:
    """A validation photograph with something on it, as a 512x512 JPEG."""
    found = read_run(paths)
    predictor = Predictor.load(paths.export, paths.rules)
    files = [Path(found["data"]["img_path"]) / name for name in found["split"]["valid"]]
    covered = [predictor.predict(decode_image(path)).mask.any(axis=-1).mean() for path in files[:40]]
    middle = int(np.argsort(covered)[len(covered) * 3 // 4])
    image = resize_image(decode_image(files[middle]), (512, 512))
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=90)
    print(f"photograph: {files[middle].name}, {covered[middle]:.1%} covered, {len(buffer.getvalue()) // 1024} KiB")
    return buffer.getvalue()


def median_ms(work: Callable[[], object], seconds: float = 4.0) -> float:
    """Median milliseconds of a call, warm."""
    for _ in range(3):
        work()
    times, until = [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return float(np.median(times) * 1000)


def in_process(paths: RunPaths, photo: Path) -> dict[str, float]:
    """Milliseconds of decoding, of the bare engine, and of all that makes the answer."""
    from pydantic_core import to_json

    predictor = Predictor.load(paths.export, paths.rules, threads=CORES)
    run, data = load_engine(predictor.engine, paths.export, CORES), photo.read_bytes()
    image = decode_image(data)
    batch = resize_image(image, predictor.spec.size_hw)[None].astype(np.float32)
    probability = run(batch)
    fixed = Predictor(predictor.spec, predictor.rules, lambda _: probability, predictor.floors)
    body = to_json(answer(fixed.predict(image), predictor, "photo.jpg", 0.0))
    print(f"engine: {predictor.engine}, answer of {len(body) / 1024:.1f} KiB")
    return {"decode": median_ms(lambda: decode_image(data)), "engine": median_ms(lambda: run(batch)),
            "encode": median_ms(lambda: to_json(answer(fixed.predict(image), predictor, "photo.jpg", 0.0)))}


def bare_engine(paths: RunPaths, photo: Path) -> dict[str, float]:
    """Images a second of the engine alone, for each way to share the cores out, and batches."""
    predictor = Predictor.load(paths.export, paths.rules)
    small = resize_image(decode_image(photo), predictor.spec.size_hw)[None].astype(np.float32)
    found = {}
    for threads, callers, batch_size in ((CORES, 1, 1), (1, CORES, 1), (CORES, CORES, 1), (CORES, 1, 4), (CORES, 1, 8)):
        run = load_engine(predictor.engine, paths.export, threads)
        batch = np.repeat(small, batch_size, axis=0)
        found[f"{threads} threads, {callers} callers, batch {batch_size}"] = throughput(run, batch, callers)
    for way, rate in found.items():
        print(f"bare engine, {way}: {rate:.1f} images/s")
    return found


def throughput(run: Callable[[np.ndarray], np.ndarray], batch: np.ndarray, callers: int, seconds: float = 5.0) -> float:
    counts = [0] * callers
    run(batch)
    until = time.perf_counter() + seconds

    def call(index: int) -> None:
        while time.perf_counter() < until:
            run(batch)
            counts[index] += len(batch)

    threads = [threading.Thread(target=call, args=(index,)) for index in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


Started = tuple[subprocess.Popen[bytes], int, float]


def worker(paths: RunPaths) -> Started:
    """Our worker, as server.sh starts it."""
    listening = socket.create_server(("127.0.0.1", 0))
    source = deploy_folder(ROOT / "deploy", paths.model_name) / "src"
    return start([sys.executable, "-m", "ss_poc.keras_segment", "--fd", str(listening.fileno())],
                 listening.getsockname()[1], source, listening.fileno())


def bentoml_serve(paths: RunPaths) -> Started:
    """The same Bento under `bentoml serve`."""
    port = free_port()
    return start([sys.executable, "-m", "bentoml", "serve", str(deploy_folder(ROOT / "deploy", paths.model_name)),
                  "--host", "127.0.0.1", "--port", str(port)], port, ROOT)


def keras_service(paths: RunPaths) -> Started:
    """What the proof of concept did."""
    port = free_port()
    os.environ["MODEL"] = str(paths.best_model().absolute())
    return start([sys.executable, "-m", "bentoml", "serve", "benchmarks.keras_service:KerasPredict", "--host",
                  "127.0.0.1", "--port", str(port)], port, ROOT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(command: list[str], port: int, folder: Path, *fds: int) -> Started:
    """Start a server, return it with its port and the seconds until it was ready."""
    environment = {**os.environ, "BENTOML_DO_NOT_TRACK": "true", "TF_CPP_MIN_LOG_LEVEL": "3"}
    if not fds:
        environment["PYTHONPATH"] = f"{ROOT / 'src'}:{ROOT}" if "keras_service" in " ".join(command) else ""
    else:
        environment.pop("PYTHONPATH", None)
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, pass_fds=fds, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=0.5):
                return process, port, time.perf_counter() - began
        except OSError:
            if process.poll() is not None or time.perf_counter() - began > 120:
                raise SystemExit(f"{' '.join(command)} did not start") from None
            time.sleep(0.02)


def measure(paths: RunPaths, photo: Path, started: Started, seconds: float) -> dict[str, float]:
    """Latency at one client, images a second at 16, memory, seconds to ready."""
    process, port, ready = started
    try:
        ask_load(port, 1, 3, photo)
        alone, many = ask_load(port, 1, seconds, photo), ask_load(port, 16, seconds, photo)
        return {"ready": ready, "p50": alone["p50"], "rate": many["rate"], "p95 at 16": many["p95"],
                "failed": alone["failed"] + many["failed"], "MB": resident_mb(process.pid)}
    finally:
        process.terminate()
        process.wait(60)


def ask_load(port: int, clients: int, seconds: float, photo: Path) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, "--load", "--port", str(port), "--clients", str(clients),
                           "--seconds", str(seconds), "--photo", str(photo)], capture_output=True, text=True,
                          check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def resident_mb(pid: int) -> float:
    """Resident memory of a process and all below it, in MB of 1e6 bytes."""
    total, todo = 0.0, [pid]
    while todo:
        here = todo.pop()
        status = Path(f"/proc/{here}/status").read_text()
        total += int(status.split("VmRSS:")[1].split()[0]) * 1024 / 1e6
        todo += [int(child) for task in Path(f"/proc/{here}/task").iterdir()
                 for child in (task / "children").read_text().split()]
    return total


async def load(port: int, clients: int, seconds: float, photo: Path) -> dict[str, float]:
    """Ask as fast as answers come, over one connection a client."""
    boundary, data = "x" * 24, photo.read_bytes()
    body = (f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
            "Content-Type: image/jpeg\r\n\r\n").encode() + data + f"\r\n--{boundary}--\r\n".encode()
    request = ("POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
               f"Content-Type: multipart/form-data; boundary={boundary}\r\n"
               f"Content-Length: {len(body)}\r\n\r\n").encode() + body
    times: list[float] = []
    failed = 0
    until = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            started = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            times.append(time.perf_counter() - started)
            failed += not head.startswith(b"HTTP/1.1 200")
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return {"p50": float(np.median(times) * 1000), "p95": float(np.quantile(times, 0.95) * 1000),
            "rate": (len(times) - failed) / seconds, "failed": failed}


def report(inside: dict[str, float], best: dict[str, float], ours: dict[str, float], bento: dict[str, float],
           keras: dict[str, float]) -> None:
    """The table and the ratios."""
    whole, top = sum(inside.values()), max(best.values())
    print(f"\nin process: {' + '.join(f'{name} {value:.1f}' for name, value in inside.items())} = {whole:.1f} ms; "
          f"bare engine's best: {top:.1f} images/s; {CORES} cores\n")
    print("| service | p50 ms, 1 client | x in process | images/s, 16 clients | x bare engine | p95 ms at 16 | "
          "ready s | MB | failed |\n" + "| --- " * 9 + "|")
    for name, found in (("ours (server.sh)", ours), ("ours (bentoml serve)", bento),
                        ("Keras model.predict in BentoML", keras)):
        print(f"| {name} | {found['p50']:.1f} | {found['p50'] / whole:.2f} | {found['rate']:.1f} | "
              f"{found['rate'] / top:.2f} | {found['p95 at 16']:.0f} | {found['ready']:.1f} | {found['MB']:.0f} | "
              f"{found['failed']:.0f} |")
    print(f"\nours against Keras model.predict: {ours['rate'] / keras['rate']:.1f}x the images/s, "
          f"{keras['p50'] / ours['p50']:.1f}x faster at one client")


if __name__ == "__main__":
    main()
