"""Asking a labelling tool over HTTP, with errors that say what it was asked and what it said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from ..core.errors import AnnotatorError

__all__ = ["Api"]

SECONDS = 120.0


class Api:
    """A tool's HTTP interface.

    Args:
        tool: its name, for errors.
        url: where it answers.
        headers: sent with every request.
    """

    def __init__(self, tool: str, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.tool, self.url = tool, url.rstrip("/")
        # A proxy of the plant has no business between two programs of one machine.
        self._client = httpx.Client(base_url=self.url, headers=dict(headers or {}), timeout=SECONDS, trust_env=False)

    def call(self, method: str, path: str, allowed: tuple[int, ...] = (), **request: Any) -> Any:
        """Ask, and return the json of the answer; None where it has none, or one of the statuses in `allowed`.

        Raises:
            AnnotatorError: no answer, or a status of 400 and above.
        """
        try:
            answer = self._client.request(method, path, **request)
        except httpx.HTTPError as error:
            raise AnnotatorError(f"{self.tool} does not answer at {self.url}: {error}", "an answer",
                                 "sh annotator.sh start") from error
        if answer.status_code in allowed:
            return None
        if answer.status_code in (401, 403):
            raise AnnotatorError(f"{self.tool} refused {method} {path} ({answer.status_code}): {answer.text[:300]}",
                                 "the account annotator.sh made",
                                 "ANNOTATOR_LOGIN and ANNOTATOR_PASSWORD name another one")
        if answer.status_code >= 400:
            raise AnnotatorError(f"{self.tool} refused {method} {path} ({answer.status_code}): {answer.text[:300]}",
                                 fix="sh annotator.sh logs may show more")
        try:
            return answer.json() if answer.content else None
        except ValueError:
            return None
