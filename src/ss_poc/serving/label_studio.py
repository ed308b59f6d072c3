"""What Label Studio's ML backend needs: its images read, and predictions written as its regions.

Protocol: `POST /setup`, `POST /predict`, `GET /health` (github.com/HumanSignal/label-studio-ml-backend).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import httpx

from ..core.config import ServeConfig
from ..core.errors import RequestError
from ..core.masks import mask_to_polygons
from ..formats.label_studio import Control, results_of
from ..inference.predictor import Prediction

__all__ = ["image_name", "load_image", "regions"]

FETCH_SECONDS = 20.0


def regions(prediction: Prediction, offered: Sequence[Control]) -> list[dict[str, Any]]:
    """Write a prediction as results of Label Studio: polygons where the interface has them, else brush strokes.

    A class is written with the first control that offers a label of its name; one that none offers is left out.
    """
    found: list[dict[str, Any]] = []
    for channel, label in enumerate(prediction.labels):
        control = next((control for control in offered if label in control.labels), None)
        mask = prediction.mask[..., channel]
        if control is None or not mask.any():
            continue
        segmentation = prediction.rles[channel] if control.kind == "brushlabels" else mask_to_polygons(mask)
        found += [{**result, "score": round(prediction.scores[channel], 4)}
                  for result in results_of(segmentation, label, mask.shape, [control], f"ss-poc-{channel}")]
    return found


def image_name(reference: str) -> str:
    """Read the file name out of a task's reference to its image."""
    parts = _split(reference)
    return Path(unquote(parse_qs(parts.query).get("d", [parts.path])[0])).name or "image"


def load_image(reference: str, config: ServeConfig, count: Callable[[int], None]) -> bytes:
    """Read a task's image: inline data, a file of the folder Label Studio serves, or fetched from Label Studio.

    Nothing is fetched from anywhere but `label_studio_url`: a task must not make the service call other machines.

    Args:
        reference: what the task says.
        config: where Label Studio is, and the limit of bytes.
        count: called with the number of bytes of each piece before it is kept; raises where all requests together hold
            too many.

    Raises:
        RequestError: the reference leads elsewhere, or to nothing (400), or to too large a file (413).
    """
    if reference.startswith("data:"):
        try:
            content = reference.split(",", 1)[1]
            count(len(content) * 3 // 4)  # four characters are three bytes
            return base64.b64decode(content, validate=True)
        except (IndexError, ValueError) as error:
            raise RequestError("the task's data: address is damaged", "data:image/png;base64,…") from error
    parts = _split(reference)
    if parts.path.endswith("/data/local-files/") and config.label_studio_files:
        return _local(parse_qs(parts.query).get("d", [""])[0], Path(config.label_studio_files), config.max_bytes, count)
    if not config.label_studio_url:
        raise RequestError(f"the task's image is {reference[:100]!r}, and no Label Studio is named to fetch it from",
                           "its address", "set SS_POC_LABEL_STUDIO_URL, and SS_POC_LABEL_STUDIO_TOKEN")
    home = urlsplit(config.label_studio_url)
    if (parts.scheme or parts.netloc) and (parts.scheme, parts.netloc) != (home.scheme, home.netloc):
        raise RequestError(f"the task's image lies at {parts.scheme}://{parts.netloc}",
                           f"an image of {config.label_studio_url}", "upload it to Label Studio")
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return _fetch(f"{home.scheme}://{home.netloc}", "/" + path.lstrip("/"), config, count)


def _split(reference: str) -> SplitResult:
    try:
        return urlsplit(reference)
    except ValueError as error:
        raise RequestError(f"the task's image is {reference[:100]!r}, which is no address", "an address",
                           "check the task's data") from error


def _local(name: str, root: Path, most: int, count: Callable[[int], None]) -> bytes:
    try:
        path = (root / name).resolve()
        found = path.is_relative_to(root.resolve()) and path.is_file()
    except (OSError, ValueError, RuntimeError) as error:
        raise RequestError(f"{name[:100]!r} is no name of a file", "a file of the folder of local files") from error
    if not found:
        raise RequestError(f"there is no file {name!r} in the folder of local files", "a file below it",
                           "check SS_POC_LABEL_STUDIO_FILES")
    size = path.stat().st_size
    if size > most:
        raise _too_large(most)
    count(size)
    return path.read_bytes()


def _fetch(home: str, path: str, config: ServeConfig, count: Callable[[int], None]) -> bytes:
    try:
        with (httpx.Client(base_url=home, timeout=FETCH_SECONDS, follow_redirects=False, trust_env=False) as client,
              client.stream("GET", path, headers=_authorization(client, config.label_studio_token)) as answer):
            if answer.status_code != 200:
                raise RequestError(f"Label Studio answered {answer.status_code} for the task's image", "200",
                                   "check SS_POC_LABEL_STUDIO_TOKEN")
            return _bounded(answer, config.max_bytes, count)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
        raise RequestError(f"Label Studio does not answer: {error}", f"an image from {home}",
                           "check SS_POC_LABEL_STUDIO_URL") from error


def _bounded(answer: httpx.Response, most: int, count: Callable[[int], None]) -> bytes:
    data = bytearray()
    for piece in answer.iter_bytes():
        if len(data) + len(piece) > most:
            raise _too_large(most)
        count(len(piece))
        data += piece
    return bytes(data)


def _too_large(most: int) -> RequestError:
    return RequestError("the task's image is too large", f"at most {most} bytes",
                        "use a smaller file, or raise SS_POC_MAX_BYTES", status=413)


def _authorization(client: httpx.Client, token: str | None) -> dict[str, str]:
    """Header that Label Studio wants: its newer tokens (JWT) are first exchanged for one that is short-lived."""
    if token and token.count(".") == 2:
        answer = client.post("/api/token/refresh", json={"refresh": token})
        if answer.status_code == 200:
            return {"Authorization": f"Bearer {answer.json()['access']}"}
    return {"Authorization": f"Token {token}"} if token else {}
