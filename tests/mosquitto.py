"""A real MQTT broker of this machine's packages, and a client that notes what it hears."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from served import free_port

PROGRAM = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")


@dataclass
class Broker:
    """A broker that can be killed and started again on its port."""

    folder: Path
    settings: str = "allow_anonymous true"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nuser root\n{self.settings}\n")
        self.process = subprocess.Popen([str(PROGRAM), "-c", str(config)], stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert self.process.poll() is None
                time.sleep(0.02)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


@contextmanager
def broker(folder: Path, settings: str = "allow_anonymous true") -> Iterator[Broker]:
    if not PROGRAM:
        pytest.skip("no MQTT broker here: apt-get install mosquitto")
    found = Broker(folder, settings)
    found.start()
    try:
        yield found
    finally:
        found.kill()


@contextmanager
def listening(port: int, topic: str) -> Iterator[list[tuple[str, bytes, bool]]]:
    """What is published below a topic: topic, payload, and whether it was retained."""
    heard: list[tuple[str, bytes, bool]] = []
    # A session that outlives a broker. Each listener has its own: what one did not confirm would be told to the next.
    client = mqtt.Client(CallbackAPIVersion.VERSION2, f"listener-{uuid.uuid4()}", clean_session=False)
    client.reconnect_delay_set(1, 1)
    client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)
    subscribed = threading.Event()
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _, __, message: heard.append((message.topic, message.payload, message.retain))
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert subscribed.wait(20)
    try:
        yield heard
    finally:
        client.disconnect()
        client.loop_stop()
