"""A line and its service together against the service alone, and the line's memory; tables on stdout.

    .venv/bin/python benchmarks/line.py --service http://127.0.0.1:8892 --photos DATA_SET
    .venv/bin/python benchmarks/line.py --memory 100000

1. Images a second: the service alone is asked by as many clients as the line has requests, then the photographs are
   put into the folder of a line with an archive, a csv and an MQTT broker (Debian's Mosquitto), until the last
   message is at the broker. Both are measured in turn, several times.
2. One photograph at a time: from its rename into the folder to its message at the broker, beside the service's own
   answer.
3. Memory (--memory): of the line alone. A stand-in for the service answers at once, the photographs are tiny.

Service, line, broker and this program share the cores of this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import httpx
import numpy as np
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from serving import free_port

SOURCE = Path(__file__).resolve().parents[1] / "src"
BROKER = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
MOST_WAITING = 200
ANSWER = json.dumps({"rle": [], "labels": [], "colors": [], "objects": [], "verdict": {"defect": False, "labels": []},
                     "model": {"name": "stand-in", "version": "v_1"}}).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", help="address of a service that runs")
    parser.add_argument("--photos", type=Path, help="folder of JPEGs to ask with")
    parser.add_argument("--count", type=int, default=1000, help="photographs of each measurement of step 1")
    parser.add_argument("--turns", type=int, default=3, help="how often each side is measured")
    parser.add_argument("--requests", type=int, default=2, help="requests at a time, of both sides")
    parser.add_argument("--single", type=int, default=200, help="photographs of step 2")
    parser.add_argument("--memory", type=int, default=0, help="parts of step 3, such as 100000; 0 leaves it out")
    options = parser.parse_args()
    if not options.memory and not (options.service and options.photos):
        parser.error("--service and --photos, or --memory")
    if options.service:
        photographs = [path.read_bytes() for path in sorted(options.photos.glob("*.jpg"))]
        throughput(photographs, options)
        latency(photographs, options)
    if options.memory:
        memory(options.memory)


def throughput(photographs: list[bytes], options: argparse.Namespace) -> None:
    """Print images a second of the service alone and of line and service, and their ratio."""
    print(f"{options.count} photographs a measurement, {options.requests} requests at a time\n")
    print("| turn | service alone, images/s | line and service, images/s | ratio | ms of a core that the line takes |")
    print("| ---: " * 5 + "|")
    ratios = []
    for turn in range(options.turns):
        alone = asked(photographs, options)
        with line(options.service, options.requests) as running:
            before = running.processor_ms()
            together = options.count / running.play(photographs, options.count)
            own = (running.processor_ms() - before) / options.count
        ratios.append(together / alone)
        print(f"| {turn + 1} | {alone:.2f} | {together:.2f} | {ratios[-1]:.3f} | {own:.1f} |", flush=True)
    print(f"\nmedian ratio {statistics.median(ratios):.3f}\n", flush=True)


def asked(photographs: list[bytes], options: argparse.Namespace) -> float:
    """Images a second of the service alone."""
    limits = httpx.Limits(max_connections=options.requests)
    with httpx.Client(base_url=options.service, timeout=60, limits=limits, trust_env=False) as client, \
            ThreadPoolExecutor(options.requests) as pool:
        def ask(number: int) -> None:
            client.post("/predict", content=photographs[number % len(photographs)],
                        headers={"Content-Type": "application/octet-stream"}).raise_for_status()

        began = time.perf_counter()
        list(pool.map(ask, range(options.count)))
        return options.count / (time.perf_counter() - began)


def latency(photographs: list[bytes], options: argparse.Namespace) -> None:
    """Print milliseconds from photograph on disk to message at the broker, and of the service's own answer."""
    answers, messages = [], []
    with line(options.service, options.requests) as running, httpx.Client(base_url=options.service, timeout=60,
                                                                          trust_env=False) as client:
        for number in range(options.single + 5):
            data = photographs[number % len(photographs)]
            began = time.perf_counter()
            client.post("/predict", content=data,
                        headers={"Content-Type": "application/octet-stream"}).raise_for_status()
            answers.append(time.perf_counter() - began)
            messages.append(running.play([data], 1))
    print("| one photograph at a time, ms | p50 | p95 |\n| --- | ---: | ---: |")
    for name, times in (("service: request to answer", answers), ("line: file in the folder to message", messages)):
        p50, p95 = np.percentile(times[5:], (50, 95)) * 1e3
        print(f"| {name} | {p50:.1f} | {p95:.1f} |")
    print(flush=True)


def memory(most: int) -> None:
    """Print the line's resident memory after 1,000 parts and later."""
    with stand_in() as address, line(address, 8, "delete") as running:
        print("| parts | resident memory of the line, MB | parts/s since |\n| ---: | ---: | ---: |")
        done = 0
        for count in sorted({1000, most // 10, most // 2, most}):
            seconds = running.play(tiny(done, count), count - done)
            print(f"| {count:,} | {running.resident_mb():.1f} | {(count - done) / seconds:.0f} |", flush=True)
            done = count


def tiny(first: int, end: int) -> Iterator[bytes]:
    """Photographs of 24 x 40 pixels, all different."""
    for number in range(first, end):
        image = np.full((24, 40, 3), 40, np.uint8)
        image[0, 0] = number % 100, number // 100 % 100, number // 10_000
        yield bytes(cv2.imencode(".png", image)[1])


@contextlib.contextmanager
def stand_in() -> Iterator[str]:
    """A program that answers every photograph at once, as a service does that finds nothing."""
    code = (f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import line; line.answer_at_once()")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def answer_at_once() -> None:
    """Be that program: print the address, and answer."""
    class Handler(BaseHTTPRequestHandler):
        protocol_version, wbufsize = "HTTP/1.1", -1

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


class Running:
    """A line that runs, and who listens at its broker."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self.folder, self.process = folder, process
        self._heard, self._wanted, self._number, self._all = 0, 0, 0, threading.Event()
        self._room = threading.Semaphore(MOST_WAITING)
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, "listener")
        self.client.on_message = self._on_message
        self.client.connect("127.0.0.1", port)
        self.client.subscribe("line/parts", qos=1)
        self.client.loop_start()

    def _on_message(self, *_: object) -> None:
        self._heard += 1
        self._room.release()
        if self._heard >= self._wanted:
            self._all.set()

    def play(self, photographs: Iterator[bytes] | list[bytes], count: int) -> float:
        """Put photographs into the folder; seconds from the first rename to the last message.

        At most MOST_WAITING files wait in the folder: a line takes what comes, not a heap of files.
        """
        self._wanted, began = self._heard + count, 0.0
        data = list(photographs) if isinstance(photographs, list) else photographs
        self._all.clear()
        for index in range(count):
            self._room.acquire(timeout=600)
            content = data[index % len(data)] if isinstance(data, list) else next(data)
            hidden = self.folder / "in" / ".part"
            hidden.write_bytes(content)
            began = began or time.perf_counter()
            hidden.rename(self.folder / "in" / f"{self._number:07d}{'.png' if content[1:4] == b'PNG' else '.jpg'}")
            self._number += 1
        if not self._all.wait(600):
            raise SystemExit(f"{self._wanted - self._heard} messages did not come: {self.log()[-2000:]}")
        return time.perf_counter() - began

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def processor_ms(self) -> float:
        """Processor time of the line since it was started."""
        user, system = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return 1000 * (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextlib.contextmanager
def line(service: str, requests: int, after: str = "move") -> Iterator[Running]:
    """A line with a folder, an archive, a csv, and a broker that is listened to."""
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        (folder / "broker.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n"
                                            "max_queued_messages 0\n")
        (folder / "line.yaml").write_text(
            f"line: press\nstate: state\nservice: {{url: '{service}', requests: {requests}}}\n"
            f"sources: [{{type: folder, name: camera, path: in, after: {after}}}]\nsinks:\n"
            "  - {type: csv, name: table, path: parts.csv}\n"
            f"  - {{type: mqtt, name: bus, host: 127.0.0.1, port: {port}, topic: line}}\n")
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        with (folder / "log").open("wb") as log, \
                subprocess.Popen([BROKER, "-c", str(folder / "broker.conf")], stderr=log) as broker, \
                subprocess.Popen([sys.executable, "-m", "ss_poc.line", "run", str(folder / "line.yaml")], stderr=log,
                                 env=environment) as process:
            try:
                while b"runs" not in (folder / "log").read_bytes():
                    assert process.poll() is None, (folder / "log").read_text()
                    time.sleep(0.05)
                time.sleep(1)  # inotify is set up
                running = Running(folder, process, port)
                yield running
                running.client.disconnect()
            finally:
                process.terminate()
                process.wait(60)
                broker.terminate()


if __name__ == "__main__":
    main()
