"""How near the service comes to the bare engine, and how far from Keras `model.predict`; one run, one table.

    sh trainer.sh --img_path coco-annotator/datasets/demo --architecture unet --encoder efficientnetb0 --size 256x256 \
        --views single --budget 3m --model_name b0_256
    .venv/bin/python benchmarks/serving.py --run result/demo/segment/b0_256

The load comes from a process of its own, over connections that stay open, with a 512x512 JPEG. Everything shares the
machine's cores: what the load takes is missing to the service. `in process` is decode + engine + encode, one after the
other, without a server. The machine's speed drifts, so all take turns, and medians of the rounds are compared.
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
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from ss_poc.core.deployed import deploy_folder
from ss_poc.core.host import cores
from ss_poc.core.images import decode_image, resize_image
from ss_poc.core.run import RunPaths, read_run
from ss_poc.inference.engines import load_engine
from ss_poc.inference.predictor import Predictor
from ss_poc.serving.answers import answer

ROOT = Path(__file__).resolve().parents[1]
CORES = cores()


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
        way = best_way(paths, photo)
        servers = {"ours (server.sh)": worker(paths), "ours (bentoml serve)": bentoml_serve(paths),
                   "Keras model.predict in BentoML": keras_service(paths)}
        try:
            rounds = [one_round(paths, photo, way, servers, options.seconds) for _ in range(options.rounds)]
            report({name: [found[name] for found in rounds] for name in rounds[0]}, servers)
        finally:
            for process, _, _ in servers.values():
                process.terminate()
                process.wait(60)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="result/demo/segment/b0_256", help="a run that was exported and packaged")
    parser.add_argument("--seconds", type=float, default=8.0, help="of load, each time")
    parser.add_argument("--rounds", type=int, default=5)
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


def median_ms(work: Callable[[], object], seconds: float = 2.0) -> float:
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
    return {"decode": median_ms(lambda: decode_image(data)), "engine": median_ms(lambda: run(batch)),
            "encode": median_ms(lambda: to_json(answer(fixed.predict(image), predictor, "photo.jpg", 0.0)))}


def best_way(paths: RunPaths, photo: Path) -> Callable[[], float]:
    """The engine alone, its cores shared out in the way and its batch as large as gives the most images a second."""
    predictor = Predictor.load(paths.export, paths.rules)
    small = resize_image(decode_image(photo), predictor.spec.size_hw)[None].astype(np.float32)
    found: dict[float, Callable[[], float]] = {}
    for streams, callers, batch_size in ((1, 1, 1), (1, CORES, 1), (CORES, CORES, 1), (1, 1, 4), (1, 1, 8)):
        way = partial(throughput, load_engine(predictor.engine, paths.export, CORES, streams),
                      np.repeat(small, batch_size, axis=0), callers)
        rate = float(np.median([way() for _ in range(3)]))
        print(f"bare engine, {streams} streams, {callers} callers, batch {batch_size}: {rate:.1f} images/s")
        found[rate] = way
    return found[max(found)]


def throughput(run: Callable[[np.ndarray], np.ndarray], batch: np.ndarray, callers: int, seconds: float = 4.0) -> float:
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
    os.environ["RUN"] = str(paths.folder.absolute())
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


def one_round(paths: RunPaths, photo: Path, way: Callable[[], float], servers: dict[str, Started],
              seconds: float) -> dict[str, dict[str, float]]:
    """Everything once: milliseconds in process, images a second of the bare engine, and each server under load."""
    found = {"in process": in_process(paths, photo), "bare engine": {"rate": way()}}
    for name, (process, port, _) in servers.items():
        alone = ask_load(port, 1, 3, photo) and ask_load(port, 1, seconds, photo)
        many = ask_load(port, 16, 4, photo) and ask_load(port, 16, seconds, photo)  # the first seconds are not counted
        found[name] = {"p50": alone["p50"], "rate": many["rate"], "p95 at 16": many["p95"],
                       "failed": alone["failed"] + many["failed"], "MB": resident_mb(process.pid)}
    return found


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


def report(rounds: dict[str, list[dict[str, float]]], servers: dict[str, Started]) -> None:
    """The table and the ratios: of each round, and then their median."""
    def each(name: str, key: str) -> np.ndarray:
        return np.array([found[key] for found in rounds[name]])

    def ratio(values: np.ndarray, others: np.ndarray) -> str:
        ratios = values / others
        return f"{np.median(ratios):.2f} ({ratios.min():.2f} to {ratios.max():.2f})"

    inside = {key: each("in process", key) for key in rounds["in process"][0]}
    whole, bare = np.sum(list(inside.values()), axis=0), each("bare engine", "rate")
    print(f"\nin process: {' + '.join(f'{key} {np.median(values):.1f}' for key, values in inside.items())} = "
          f"{np.median(whole):.1f} ms; bare engine: {np.median(bare):.1f} images/s; {CORES} cores, median of "
          f"{len(bare)} rounds\n")
    print("| service | p50 ms, 1 client | x in process | images/s, 16 clients | x bare engine | p95 ms at 16 | "
          "ready s | MB | failed |\n" + "| --- " * 9 + "|")
    for name, (_, _, ready) in servers.items():
        p50, rate = each(name, "p50"), each(name, "rate")
        print(f"| {name} | {np.median(p50):.1f} | {ratio(p50, whole)} | {np.median(rate):.1f} | {ratio(rate, bare)} | "
              f"{np.median(each(name, 'p95 at 16')):.0f} | {ready:.1f} | {each(name, 'MB').max():.0f} | "
              f"{each(name, 'failed').sum():.0f} |")
    ours, keras = list(servers)[0], list(servers)[-1]
    print(f"\nours against Keras model.predict: {ratio(each(ours, 'rate'), each(keras, 'rate'))} times the images/s, "
          f"{ratio(each(keras, 'p50'), each(ours, 'p50'))} times as fast at one client")


if __name__ == "__main__":
    main()
