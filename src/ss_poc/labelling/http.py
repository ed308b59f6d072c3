"""An HTTP client for labelling tools. Its errors say what was asked, what the tool answered and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from ..core.errors import AnnotatorError

__all__ = ["SECONDS", "Client", "NotFoundError"]

SECONDS = 120.0


class NotFoundError(AnnotatorError):
    """The tool has nothing at this address (404)."""


class Client(httpx.Client):
    """An `httpx.Client` that raises an AnnotatorError where the tool does not answer, or answers with 400 and above.

    Args:
        tool: its name, for errors.
        url: where it answers.
        headers: sent with every request.
    """

    def __init__(self, tool: str, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.tool, self.url = tool, url.rstrip("/")
        # Two programs of one machine talk without the proxy of the plant.
        super().__init__(base_url=self.url, headers=dict(headers or {}), timeout=SECONDS, trust_env=False)

    def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request, as every method of the client does.

        Raises:
            NotFoundError: status 404.
            AnnotatorError: no answer, or another status of 400 and above.
        """
        try:
            answer = super().send(request, **options)
        except httpx.HTTPError as error:
            raise AnnotatorError(f"{self.tool} does not answer at {self.url}: {error}", "an answer",
                                 "sh annotator.sh start") from error
        if answer.status_code < 400:
            return answer
        what = (f"{self.tool} refused {request.method} {request.url.path} ({answer.status_code}): "
                f"{answer.text[:300]}")
        if answer.status_code in (401, 403):
            raise AnnotatorError(what, "the account that annotator.sh made",
                                 "ANNOTATOR_LOGIN and ANNOTATOR_PASSWORD name another account")
        kind = NotFoundError if answer.status_code == 404 else AnnotatorError
        raise kind(what, fix="sh annotator.sh logs may show more")

    def call(self, method: str, path: str, **request: Any) -> Any:
        """Send a request and return the json of the answer; None where the answer holds none.

        Raises:
            AnnotatorError: as `send` raises it.
        """
        answer = self.request(method, path, **request)
        try:
            return answer.json() if answer.content else None
        except ValueError:
            return None
