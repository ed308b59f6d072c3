"""MQTT: `<topic>/parts` and `<topic>/alarms` at QoS 1, and `<topic>/status`, retained: "online" or "offline"."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from ..outbox import Item, SinkError
from ..settings import Broker, MqttSink

__all__ = ["Mqtt", "connected"]


def connected(broker: Broker, client_id: str, will: str | None = None, **callbacks: Any) -> mqtt.Client:
    """A client that connects in the background, and again when the connection is lost.

    Args:
        broker: where.
        client_id: name of the client; a broker has one connection for each.
        will: topic that is told "offline" once the connection is lost, and "online" while there is one.
        callbacks: `on_message` and the like.
    """
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id)
    if broker.user:
        client.username_pw_set(broker.user, broker.password or None)
    if broker.tls:
        client.tls_set(str(broker.ca) if broker.ca else None, str(broker.certificate) if broker.certificate else None,
                       str(broker.key) if broker.key else None, tls_version=ssl.PROTOCOL_TLS_CLIENT)
    if will:
        client.will_set(will, "offline", qos=1, retain=True)
    for name, callback in callbacks.items():
        setattr(client, name, callback)
    client.reconnect_delay_set(1, 15)
    client.connect_async(broker.host, broker.port, keepalive=15)
    client.loop_start()
    return client


class Mqtt:
    """A sink: see the module."""

    at_a_time = 50

    def __init__(self, settings: MqttSink, line: str) -> None:
        self.name, self.wants_pictures, self._settings, self._line = settings.name, settings.pictures, settings, line
        self._client: mqtt.Client | None = None
        self._connected, self._said = threading.Event(), ""

    def deliver(self, items: Sequence[Item]) -> None:
        """Publish items, and wait until the broker has them.

        Raises:
            SinkError: it does not have them all.
        """
        try:
            client = self._connect()
            sent = [client.publish(f"{self._settings.topic}/{item.message['type']}s", item.payload(), qos=1)
                    for item in items]
            until = time.monotonic() + self._settings.timeout
            for info in sent:
                info.wait_for_publish(max(0.001, until - time.monotonic()))
                if not info.is_published():
                    raise SinkError(f"the broker does not confirm within {self._settings.timeout:g} s")
        except (ValueError, RuntimeError, OSError, SinkError) as error:
            self._forget()  # with what it has not sent: the outbox has it too, and sends it in order
            raise SinkError(f"{self._settings.host}:{self._settings.port}: {error}") from None

    def close(self) -> None:
        """Say "offline", and leave."""
        if self._client and self._connected.is_set():
            with contextlib.suppress(ValueError, RuntimeError):  # the broker says so itself where this fails
                self._client.publish(f"{self._settings.topic}/status", "offline", 1, True).wait_for_publish(2)
        self._forget()

    def _connect(self) -> mqtt.Client:
        if self._client is None:
            self._connected.clear()
            self._said = "no connection"
            self._client = connected(
                self._settings, f"ss-poc-{self._line}-{self.name}", f"{self._settings.topic}/status",
                on_connect=self._on_connect, on_disconnect=self._on_disconnect)
        if not self._connected.wait(self._settings.timeout):
            raise SinkError(self._said)
        return self._client

    def _forget(self) -> None:
        if self._client:
            client, self._client = self._client, None
            client.disconnect()
            client.loop_stop()

    def _on_connect(self, client: mqtt.Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if reason.is_failure:
            self._said = f"the broker refuses: {reason}"
            return
        client.publish(f"{self._settings.topic}/status", "online", qos=1, retain=True)
        self._connected.set()

    def _on_disconnect(self, client: mqtt.Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        if self._connected.is_set():  # else what the broker refused is the reason
            self._said = f"the connection was lost: {reason}"
        self._connected.clear()
