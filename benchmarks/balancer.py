"""A small proxy that shares connections out among services of this machine, for benchmarks/replicas.py and for tests.

    .venv/bin/python benchmarks/balancer.py --port 8000 --to 8001 8002 --by random

It says `ready` once it listens. A connection stays with the service it was given to, as it does behind a Kubernetes
Service. `leave 8001` on standard input: 8001 gets no more new connections.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys


class Balancer:
    """Shares connections out.

    Args:
        ports: where the services listen.
        by: `random`, as a Kubernetes Service does it, or `fewest`: the one with the fewest open connections.
    """

    def __init__(self, ports: list[int], by: str) -> None:
        self.open, self.by = dict.fromkeys(ports, 0), by

    def choose(self) -> int:
        """The port of the service that the next connection goes to."""
        if self.by == "random":
            return random.choice([*self.open])
        fewest = min(self.open.values())
        return random.choice([port for port, count in self.open.items() if count == fewest])

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a client's connection to one of a service; a service that refuses it costs the client its connection."""
        port = self.choose()
        self.open[port] += 1
        try:
            with contextlib.suppress(OSError):
                there, back = await asyncio.open_connection("127.0.0.1", port)
                await asyncio.gather(pump(reader, back), pump(there, writer))
        finally:
            writer.close()
            if port in self.open:
                self.open[port] -= 1

    async def obey(self) -> None:
        """Carry out what is said on standard input, until it is closed."""
        loop, lines = asyncio.get_running_loop(), asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        while line := await lines.readline():
            self.open.pop(int(line.split()[1]), None)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction of a connection until its end."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def run(options: argparse.Namespace) -> None:
    """Serve until standard input is closed."""
    balancer = Balancer(options.to, options.by)
    async with await asyncio.start_server(balancer.pass_on, "127.0.0.1", options.port, backlog=2048):
        print("ready", flush=True)
        await balancer.obey()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", type=int, nargs="+", required=True, help="ports of the services")
    parser.add_argument("--by", choices=("random", "fewest"), default="random")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
