"""Asking the service: over connections that stay open, again and again while it is not ready."""

from __future__ import annotations

import logging
import threading
from typing import Any
from urllib.parse import unquote

import urllib3

from ..core.errors import SegmentError
from .settings import ServiceSettings

__all__ = ["Service", "StoppedError", "UnreadableError"]

LOG = logging.getLogger("ss_poc.line")
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0  # seconds
# A photograph that the service fails on so often is not asked for again: it would hold up all others.
MOST_FAILURES = 5
ANSWER = {"rle": list, "labels": list, "colors": list, "objects": list, "verdict": dict, "model": dict}


class UnreadableError(SegmentError):
    """A photograph that the service can say nothing about."""


class StoppedError(SegmentError):
    """The line stops before the service answered."""


class _NotReady(Exception):
    """The service does not answer now; `is_fault`: it may be this photograph that it fails on."""

    def __init__(self, reason: str, pause: float = 0, is_fault: bool = False) -> None:
        super().__init__(reason)
        self.pause, self.is_fault = pause, is_fault


class Service:
    """The service that answers.

    Args:
        settings: where it is.
        stopping: set once the line stops; what waits for the service then ends.

    Attributes:
        trouble: why it does not answer now; "" where all is well.
    """

    def __init__(self, settings: ServiceSettings, stopping: threading.Event) -> None:
        address = urllib3.util.parse_url(settings.url)
        self._headers = dict(urllib3.util.make_headers(basic_auth=unquote(address.auth)) if address.auth else {})
        if settings.token:
            self._headers["Authorization"] = f"Bearer {settings.token}"
        self._path, self._seconds = (address.path or "").rstrip("/"), settings.timeout
        self._pool = urllib3.connection_from_url(settings.url, maxsize=settings.requests, block=True, retries=False,
                                                 timeout=settings.timeout)
        self._turns, self._stopping, self.trouble = threading.Semaphore(settings.requests), stopping, ""

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def ask(self, data: bytes, request_id: str) -> dict[str, Any]:
        """Ask about one photograph, until there is an answer.

        Args:
            data: the image file's content.
            request_id: what the service's log calls the request.

        Returns:
            The service's JSON answer.

        Raises:
            UnreadableError: it is no image, too large, or the service fails on it again and again.
            StoppedError: the line stops.
        """
        pause, failures = FIRST_PAUSE, 0
        while True:
            try:
                with self._turns:
                    answer = self._ask_once(data, request_id)
                if self.trouble:
                    LOG.info("the service answers again")
                self.trouble = ""
                return answer
            except _NotReady as error:
                failures += error.is_fault
                if failures >= MOST_FAILURES:
                    raise UnreadableError(f"the service failed on it {failures} times: {error}") from None
                if not self.trouble:
                    LOG.warning("the service does not answer: %s; it is asked again", error)
                self.trouble = str(error)
                if self._stopping.wait(max(pause, min(error.pause, LONGEST_PAUSE))):
                    raise StoppedError("the line stops") from None
                pause = min(2 * pause, LONGEST_PAUSE)

    def drift(self) -> list[str]:
        """Names of the measures in which photographs differ from those of training, as its `/drift.json` says.

        Raises:
            StoppedError: the service does not say.
        """
        try:
            answer = self._pool.request("GET", f"{self._path}/drift.json", headers=self._headers)
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            return [item["measure"] for item in answer.json()["measures"] if item["shifted"]]
        except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError) as error:
            raise StoppedError(f"the service does not tell its drift: {error}") from None

    def _ask_once(self, data: bytes, request_id: str) -> dict[str, Any]:
        try:
            answer = self._pool.request("POST", f"{self._path}/predict", body=data, headers={
                **self._headers, "Content-Type": "application/octet-stream", "X-Request-ID": request_id})
        except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.SSLError) as error:
            raise _NotReady(f"it cannot be reached: {error}") from None
        except urllib3.exceptions.TimeoutError:
            raise _NotReady(f"no answer within {self._seconds:g} s") from None
        except urllib3.exceptions.HTTPError as error:
            raise _NotReady(f"it broke off: {error or type(error).__name__}", is_fault=True) from None
        if answer.status == 200:
            return _checked(answer)
        if answer.status in (400, 413, 415, 422):
            raise UnreadableError(_said(answer))
        raise _NotReady(f"status {answer.status}: {_said(answer)}", _retry_after(answer),
                        is_fault=answer.status in (500, 504))


def _checked(answer: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    try:
        found = answer.json()
        if not all(isinstance(found[name], kind) for name, kind in ANSWER.items()):
            raise ValueError("something is missing")
    except (ValueError, KeyError, TypeError) as error:
        raise _NotReady(f"its answer is none of /predict: {error}") from None
    return found


def _said(answer: urllib3.BaseHTTPResponse) -> str:
    try:
        return str(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        return answer.data[:200].decode("utf-8", "replace")


def _retry_after(answer: urllib3.BaseHTTPResponse) -> float:
    given = answer.headers.get("Retry-After", "")
    return float(given) if given.isdecimal() else 0.0
