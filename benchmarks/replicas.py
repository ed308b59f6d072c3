"""How queue, replicas and latency go together: measured, simulated, and whether the two agree; tables on stdout.

    .venv/bin/python benchmarks/replicas.py --bento deploy/KerasSegmentationService/segment/v_1 \
        --photo coco-annotator/datasets/demo/demo_0004.jpg
    .venv/bin/python benchmarks/replicas.py --alone_ms 45.1 --answers 27.5    (step 3 alone, from known times)

1. Two services run here, with one engine thread each. How long an answer takes is measured with one and with two
   requests inside a service, and none, one and two inside the other.
2. Requests come at random times through a proxy (balancer.py), to one service and to both: what clients wait is
   measured, and simulated (queueing.py) from the times of step 1.
3. Replicas on machines of their own are simulated, from the times of one service while the other has nothing to do.

Load, proxy and services share the cores of this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from queueing import Found, Speed, poisson, simulate
from serving import CORES, free_port, start

SLOTS = 2  # an engine thread, and one more that decodes meanwhile: see ServiceState.of
LOADS = (0.3, 0.5, 0.7, 0.8, 0.9)
# What is measured first: requests inside the one service, and inside the other.
STATES = ((1, 0), (2, 0), (1, 1), (2, 1), (2, 2))


def main() -> None:
    options = parse()
    if options.alone_ms:
        tables(known(options.alone_ms / 1e3, options.answers), options)
        return
    body = Path(options.photo).read_bytes()
    request = (f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nConnection: close\r\n"
               f"Content-Length: {len(body)}\r\n\r\n").encode() + body
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(service(Path(options.bento))) for _ in range(2)]
        alone = [stack.enter_context(balancer([port], "random")) for port in ports]
        setups = [(1, "random", alone[0])]
        setups += [(2, by, stack.enter_context(balancer(ports, by))) for by in ("random", "fewest")]
        before = measure(request, alone, options.seconds)
        runs = [run(request, before, *setup, load, options.real_seconds) for setup in setups for load in options.loads]
        after = measure(request, alone, options.seconds)  # the machine's speed drifts
    times = {state: np.concatenate([before[state], after[state]]) for state in before}
    report_times(times)
    check(times, runs)
    tables(measured(times, shared=False), options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bento", help="folder of a packaged version")
    parser.add_argument("--photo", help="a JPEG to ask with")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement of step 1")
    parser.add_argument("--real_seconds", type=float, default=25.0, help="of each measurement of step 2")
    parser.add_argument("--loads", type=float, nargs="+", default=[0.5, 0.7, 0.9], help="of step 2, 1: all there is")
    parser.add_argument("--count", type=int, default=6000, help="requests of each simulation of step 3")
    parser.add_argument("--alone_ms", type=float, help="step 3 alone, from known times: of an answer to one client")
    parser.add_argument("--answers", type=float, help="and answers a second to many clients")
    options = parser.parse_args()
    if not (options.bento and options.photo or options.alone_ms and options.answers):
        parser.error("--bento and --photo, or --alone_ms and --answers")
    return options


@contextlib.contextmanager
def service(bento: Path) -> Iterator[int]:
    """One replica with one engine thread; its port."""
    os.environ["SS_POC_THREADS"] = "1"
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        process, port, _ = start([sys.executable, "-m", "ss_poc.keras_segment", "--fd", str(listening.fileno())],
                                 listening.getsockname()[1], bento.absolute() / "src", listening.fileno())
    try:
        yield port
    finally:
        process.terminate()
        process.wait(90)


@contextlib.contextmanager
def balancer(ports: list[int], by: str) -> Iterator[int]:
    """A proxy in front of services; its port."""
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("balancer.py")), "--port", str(port), "--by", by, "--to"]
    process = subprocess.Popen([*command, *map(str, ports)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"ready\n"
    try:
        yield port
    finally:
        process.communicate()


async def ask(port: int, request: bytes) -> tuple[float, bool]:
    """Seconds until the answer, and whether it was one."""
    began = time.perf_counter()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.read()
        writer.close()
    except OSError:
        answer = b""
    return time.perf_counter() - began, answer.startswith(b"HTTP/1.1 200")


async def closed(request: bytes, ports: list[int], clients: tuple[int, ...], seconds: float) -> list[np.ndarray]:
    """Seconds of answers of each service, while so many clients ask it again and again, without the first second."""
    found: list[list[float]] = [[] for _ in ports]
    began = time.perf_counter()

    async def client(number: int) -> None:
        while (now := time.perf_counter()) < began + seconds:
            took, good = await ask(ports[number], request)
            assert good, "a request failed"
            if now > began + 1:
                found[number].append(took)

    await asyncio.gather(*(client(number) for number, count in enumerate(clients) for _ in range(count)))
    return [np.array(times) for times in found]


async def opened(request: bytes, port: int, arrivals: np.ndarray) -> tuple[np.ndarray, int]:
    """Seconds of the answers to requests that come when they come, and how many failed."""
    began = time.perf_counter()

    async def one(at: float) -> tuple[float, bool]:
        await asyncio.sleep(max(0.0, began + at - time.perf_counter()))
        return await ask(port, request)

    answers = await asyncio.gather(*(one(at) for at in arrivals))
    return np.array([took for took, good in answers if good]), sum(not good for _, good in answers)


Times = dict[tuple[int, int], np.ndarray]


def measure(request: bytes, ports: list[int], seconds: float) -> Times:
    """Seconds of answers by the requests inside the same service (1 or 2) and inside the other (0, 1 or 2)."""
    asyncio.run(closed(request, ports, (2, 2), 3))  # warm
    found: Times = {}
    for own, other in STATES:
        here, there = asyncio.run(closed(request, ports, (own, other), seconds))
        found[own, other] = here
        if other and other != own:
            found[other, own] = there
    return found


@dataclass(frozen=True)
class Run:
    """Requests that were sent at random times, and what their answers took."""

    replicas: int
    by: str
    load: float
    rate: float
    arrivals: np.ndarray
    seconds: np.ndarray
    failed: int


def run(request: bytes, times: Times, replicas: int, by: str, port: int, load: float, seconds: float) -> Run:
    """Send requests at random times, so many that the services have `load` of what they can do."""
    most = max(own / float(times[own, 0].mean()) for own in (1, 2)) if replicas == 1 else 4 / float(times[2, 2].mean())
    arrivals = poisson(load * most, max(20, int(load * most * seconds)), 1)
    took, failed = asyncio.run(opened(request, port, arrivals))
    return Run(replicas, by, load, load * most, arrivals, took, failed)


def report_times(times: Times) -> None:
    """Print the times of step 1."""
    print(f"{CORES} cores, two services of one engine thread each; seconds of an answer, by requests inside\n\n"
          "| inside | inside the other | mean ms | p50 ms | p95 ms | answers/s of this one |\n" + "| ---: " * 6 + "|")
    for (own, other), seconds in sorted(times.items()):
        mean = float(seconds.mean())
        print(f"| {own} | {other} | {mean * 1e3:.1f} | {ms(seconds, 0.5)} | {ms(seconds, 0.95)} | {own / mean:.1f} |")


def ms(seconds: np.ndarray, part: float) -> str:
    return f"{np.quantile(seconds, part) * 1e3:.0f}" if len(seconds) else "-"


@dataclass(frozen=True)
class Model:
    """What a replica does: requests side by side, seconds of work of each (one is drawn), how fast they get on."""

    slots: int
    work: np.ndarray
    speed: Speed

    @property
    def most(self) -> float:
        """Answers a second of a replica that always has something to do."""
        return self.slots * self.speed(self.slots, 0) / float(self.work.mean())

    def simulate(self, arrivals: np.ndarray, replicas: int, by: str) -> Found:
        work = np.random.default_rng(2).choice(self.work, len(arrivals))
        return simulate(arrivals, work, replicas, self.slots, self.speed, by)


def measured(times: Times, shared: bool) -> Model:
    """A replica with the measured times; `shared`: all replicas have one machine together."""
    base = float(times[1, 0].mean())
    return Model(SLOTS, times[1, 0], lambda own, others: base / float(
        times[min(own, SLOTS), min(others, SLOTS) * shared].mean()) if own else 1.0)


def known(alone: float, answers: float) -> Model:
    """A replica of two cores that takes `alone` seconds for a request, and gives so many answers a second to many."""
    return Model(SLOTS + 1, np.array([alone]), lambda own, others: min(1.0, answers * alone / own) if own else 1.0)


def check(times: Times, runs: list[Run]) -> None:
    """Print what clients waited through the proxy, measured and simulated side by side."""
    model = measured(times, shared=True)
    print("\nmeasured, simulated\n\n"
          "| replicas | proxy | load | requests/s | p50 ms | p95 ms | inside a replica | failed |\n"
          + "| --- " * 8 + "|")
    for one in runs:
        told = model.simulate(one.arrivals, one.replicas, one.by)
        # Little's law: so many come a second, and stay so many seconds.
        inside = len(one.seconds) / (one.arrivals[-1] - one.arrivals[0]) * float(one.seconds.mean()) / one.replicas
        print(f"| {one.replicas} | {one.by} | {one.load:.0%} | {one.rate:.1f} | "
              f"{ms(one.seconds, 0.5)}, {ms(told.seconds, 0.5)} | {ms(one.seconds, 0.95)}, {ms(told.seconds, 0.95)} | "
              f"{inside:.1f}, {told.inside:.1f} | {one.failed} |")


def tables(model: Model, options: argparse.Namespace) -> None:
    """Print what replicas on machines of their own would do."""
    print(f"\nsimulated, each replica on a machine of its own ({model.most:.1f} answers/s each), {options.count} "
          "requests\n\n"
          "| replicas | proxy | load | requests/s | p50 ms | p95 ms | p99 ms | inside a replica | refused |\n"
          + "| --- " * 9 + "|")
    for replicas in (1, 2, 4, 8):
        for by in ("random", "fewest") if replicas > 1 else ("random",):
            for load in LOADS:
                rate = load * model.most * replicas
                told = model.simulate(poisson(rate, options.count, 3), replicas, by)
                print(f"| {replicas} | {by} | {load:.0%} | {rate:.1f} | {ms(told.seconds, 0.5)} | "
                      f"{ms(told.seconds, 0.95)} | {ms(told.seconds, 0.99)} | {told.inside:.1f} | {told.refused:.1%} |",
                      flush=True)


if __name__ == "__main__":
    main()
