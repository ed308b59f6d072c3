"""What can go wrong, said so that a user can act on it: what happened, what was expected, what to do."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from typing import NoReturn

__all__ = ["AnnotatorError", "ArtifactError", "ConfigError", "DataError", "EngineError", "ImageError", "ModelError",
           "RequestError", "SegmentError", "ServiceError", "run_command"]


class SegmentError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        what: what happened, with the value that was met.
        expected: what would have been right.
        fix: what the user can do about it.
    """

    def __init__(self, what: str, expected: str = "", fix: str = "") -> None:
        self.what, self.expected, self.fix = what, expected, fix
        super().__init__(what)

    def __str__(self) -> str:
        lines = [self.what]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.fix:
            lines.append(f"  to do:    {self.fix}")
        return "\n".join(lines)


class ConfigError(SegmentError):
    """A setting that cannot be."""


class DataError(SegmentError):
    """A data set that cannot be trained on."""


class ImageError(SegmentError):
    """An image that cannot be read; `status` is the HTTP status that says so (400, 413, 415 or 422)."""

    def __init__(self, what: str, expected: str = "", fix: str = "", status: int = 400) -> None:
        super().__init__(what, expected, fix)
        self.status = status


class ArtifactError(SegmentError):
    """A file between two stages that is missing, damaged or not what it says it is."""


class EngineError(SegmentError):
    """An engine that cannot run a graph on this machine."""


class ModelError(SegmentError):
    """A network that cannot be built, loaded or exported."""


class AnnotatorError(SegmentError):
    """A labelling tool that does not answer, or refuses."""


class RequestError(SegmentError):
    """A request that asks for something impossible; `status` is the HTTP status that says so (400, 404, 413 or 415)."""

    def __init__(self, what: str, expected: str = "", fix: str = "", status: int = 400) -> None:
        super().__init__(what, expected, fix)
        self.status = status


class ServiceError(SegmentError):
    """A request that the service does not answer, whatever it asks for: `status` is 401, 408, 503 or 504.

    `retry_after`: seconds after which the same request may succeed; 0 where waiting does not help.
    """

    def __init__(self, what: str, expected: str = "", fix: str = "", status: int = 503, retry_after: int = 0) -> None:
        super().__init__(what, expected, fix)
        self.status, self.retry_after = status, retry_after


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run a stage as a command and exit: 0 done, 1 a known error, 2 a wrong call, 130 interrupted."""
    try:
        code = main() or 0
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 2
    except SegmentError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"error: the disk is full ({error.filename or error})\n"
              "  to do:    free some space and run the same command again; finished files are whole", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
