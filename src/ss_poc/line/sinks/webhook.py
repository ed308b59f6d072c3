"""A POST to an address for each part and alarm, signed so that its receiver knows who sent it and when."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence

import httpx

from ..outbox import Item, SinkError
from ..settings import WebhookSink

__all__ = ["Webhook", "signature"]


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """What the header `X-Line-Signature` holds: HMAC-SHA256 over the timestamp, a dot and the body, in hex.

    A receiver computes the same, compares in constant time, and refuses timestamps that are too old.
    """
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


class Webhook:
    """A sink: see the module. Whatever is not answered with a status of 200 to 299 is sent again."""

    at_a_time = 1

    def __init__(self, settings: WebhookSink) -> None:
        self.name, self.wants_pictures, self._settings = settings.name, settings.pictures, settings
        self._client = httpx.Client(timeout=settings.timeout)

    def deliver(self, items: Sequence[Item]) -> None:
        """Post each item.

        Raises:
            SinkError: the receiver does not take it.
        """
        for item in items:
            body, timestamp = item.payload(), str(int(time.time()))
            headers = {"Content-Type": "application/json", "X-Line-Id": item.key, "X-Line-Timestamp": timestamp}
            if self._settings.secret:
                headers["X-Line-Signature"] = signature(self._settings.secret, timestamp, body)
            try:
                answer = self._client.post(self._settings.url, content=body, headers=headers)
            except httpx.HTTPError as error:
                raise SinkError(f"the receiver cannot be reached: {error or type(error).__name__}") from None
            if not answer.is_success:
                raise SinkError(f"the receiver answers with status {answer.status_code}", "200 to 299")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()
