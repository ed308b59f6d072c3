"""benchmarks/balancer.py: which service a connection is given to."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from balanced import balanced


@contextmanager
def named(name: bytes) -> Iterator[int]:
    """A service that says its name to each connection, and holds it until the client is done; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        def serve() -> None:
            while True:
                try:
                    connection = listening.accept()[0]
                except OSError:
                    return
                threading.Thread(target=hold, args=(connection,), daemon=True).start()

        def hold(connection: socket.socket) -> None:
            with connection:
                connection.sendall(name)
                connection.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def asked(port: int) -> tuple[socket.socket, bytes]:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    return connection, connection.recv(1)


def test_the_fewest_open_connections_count_and_closed_ones_no_longer_do():
    with named(b"a") as first, named(b"b") as second, balanced(first, second, by="fewest") as proxy:
        held, name = asked(proxy.port)
        with held:
            others = set()
            for _ in range(10):
                connection, other = asked(proxy.port)
                others.add(other)
                connection.sendall(b".")
                assert connection.recv(1) == b"", "closed by the service, so the proxy knows"
                connection.close()
                time.sleep(0.05)
            assert others == {b"a", b"b"} - {name}


def test_a_service_that_leaves_gets_no_more_connections():
    with named(b"a") as first, named(b"b") as second, balanced(first, second) as proxy:
        proxy.leave(first)
        names = []
        while names[-10:] != [b"b"] * 10:
            connection, name = asked(proxy.port)
            connection.close()
            names.append(name)
            assert len(names) < 200


def test_a_service_that_is_not_there_costs_the_client_its_connection():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        gone = listening.getsockname()[1]
    with balanced(gone) as proxy:
        connection = socket.create_connection(("127.0.0.1", proxy.port), timeout=10)
        assert connection.recv(1) == b""
