"""Files of a multipart request, read into memory within limits of size and time."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

import anyio
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from ..core.config import ServeConfig
from ..core.errors import RequestError, ServiceError

__all__ = ["Upload", "read_body", "read_files"]

# Python knows a hundred more, some of which fail on names or make what no answer can hold.
CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1")


@dataclass(frozen=True)
class Upload:
    """One field of a form: its name, the file's name and content; `is_file` is False for a text."""

    field: str
    name: str
    data: bytes
    is_file: bool = True


class _Parser(MultiPartParser):
    # Never a temporary file: a full disk must not stop predictions.
    spool_max_size = sys.maxsize


async def read_files(request: Request, config: ServeConfig, count: Callable[[int], None], most: int) -> list[Upload]:
    """Read all fields of a multipart form into memory.

    Args:
        request: with its body unread.
        config: limits of bytes and seconds.
        count: called with the number of bytes of each piece that comes in; raises where all requests together hold
            too many.
        most: number of files that are taken.

    Raises:
        RequestError: no form, or more than `most` files (400), another content type (415), too large (413).
        ServiceError: too slow (408), or no memory left for it (503).
    """
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        raise RequestError(f"the request's content type is {kind or 'missing'}",
                           "multipart/form-data with a file 'image', or image/… where the body is the image",
                           "curl -X POST URL -F image=@photo.jpg",
                           status=415 if kind else 400)
    charset = parse_options_header(kind)[1].get(b"charset", b"utf-8").decode("latin-1").lower()
    if charset not in CHARSETS:
        raise RequestError(f"the form's charset is {charset[:40]!r}", " or ".join(CHARSETS), "leave charset out")
    parser = _Parser(request.headers, _limited(request, config, count), max_files=most, max_fields=16)
    try:
        with anyio.fail_after(config.upload_timeout):
            form = await parser.parse()
            return [await _part(field, value) for field, value in form.multi_items()]
    except MultiPartException as error:
        raise RequestError(f"the form cannot be read: {error.message}",
                           f"multipart/form-data with at most {most} files") from error
    except TimeoutError:
        raise _too_slow(config) from None


async def read_body(request: Request, config: ServeConfig, count: Callable[[int], None]) -> bytes:
    """Read the body of a request that is no form, within the same limits.

    Raises:
        RequestError: too large (413).
        ServiceError: as `read_files`.
    """
    try:
        with anyio.fail_after(config.upload_timeout):
            return b"".join([piece async for piece in _limited(request, config, count)])
    except TimeoutError:
        raise _too_slow(config) from None


def _too_slow(config: ServeConfig) -> ServiceError:
    return ServiceError(f"the request had not arrived after {config.upload_timeout} s", "the whole request",
                        "check the connection, or raise SS_POC_UPLOAD_TIMEOUT", 408)


async def _part(field: str, value: UploadFile | str) -> Upload:
    if isinstance(value, str):
        return Upload(field, "", b"", is_file=False)
    data = await value.read()
    await value.close()
    # A lone surrogate can be in no answer, as it can't be written in UTF-8.
    name = (value.filename or "image").encode("utf-8", "replace").decode("utf-8")
    return Upload(field, name, data)


async def _limited(request: Request, config: ServeConfig,
                   count: Callable[[int], None]) -> AsyncGenerator[bytes, None]:
    too_large = RequestError("the request is too large", f"at most {config.max_bytes} bytes",
                             "send a smaller file, or raise SS_POC_MAX_BYTES", status=413)
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > config.max_bytes:
        raise too_large
    received = 0
    try:
        async for piece in request.stream():
            received += len(piece)
            if received > config.max_bytes:
                raise too_large
            count(len(piece))
            yield piece
    except ClientDisconnect:
        raise ServiceError("the client left before its request was whole", status=408) from None
