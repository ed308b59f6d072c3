"""A Ray cluster by its address. Ray is loaded when it is asked for: nothing else here needs it."""

from __future__ import annotations

import logging
import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..core.errors import EngineError

__all__ = ["PACKAGE", "connected"]

# Travels to the machines of the cluster; and the seconds an address may take to answer.
PACKAGE, PATIENCE = Path(__file__).resolve().parents[1], 5.0


def connected(address: str | None) -> Any:
    """Ray, connected to the cluster of an address, or with one of its own on this machine.

    Args:
        address: such as `10.0.0.5:6379`, `auto` or `local`; None: `RAY_ADDRESS`, else `local`.

    Raises:
        EngineError: Ray is not installed, no Ray answers at the address, or it is one of another version.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise EngineError(f"Ray is not installed here: {error}", "the packages of requirements-ray.txt",
                          "pip install -r requirements-ray.txt") from error
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    _check_answers(address)
    try:
        # Without the packages of ray[default] a dashboard of our own fails, after a minute and with a page of reasons.
        context = ray.init(address, runtime_env={"py_modules": [str(PACKAGE)]}, logging_level="error",
                           include_dashboard=None if find_spec("aiohttp_cors") or address != "local" else False)
    except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and bare Exception here
        raise _refused(address, str(error), ray.__version__) from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if context.dashboard_url:
        print(f"Ray's dashboard: http://{context.dashboard_url}", file=sys.stderr, flush=True)
    return ray


def _check_answers(address: str) -> None:
    """Raise EngineError where nothing listens at an address: Ray itself would go on asking for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), PATIENCE).close()
    except OSError as error:
        raise _refused(address, error.strerror or str(error), "") from error


def _refused(address: str, reason: str, version: str) -> EngineError:
    if "ersion mismatch" in reason:
        return EngineError(f"the Ray cluster at {address} is of another version: {' '.join(reason.split())}",
                           f"Ray {version} and the same Python on all machines",
                           "install the cluster's version here, or this one there")
    if address == "local":
        return EngineError(f"Ray could not be started here: {reason.strip().splitlines()[0]}",
                           "a Ray of its own on this machine",
                           "see its logs in /tmp/ray/session_latest/logs, or name an --address")
    return EngineError(f"no Ray answers at {address}: {reason.strip().splitlines()[0]}",
                       "the address of a cluster's head, such as 10.0.0.5:6379, or auto on one of its machines",
                       "start one with ray start --head; where it asks for a token, set RAY_AUTH_MODE=token and copy "
                       "the head's ~/.ray/auth_token; or drop --address for this machine alone")
