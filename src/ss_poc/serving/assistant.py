"""Answers the clicks of Label Studio's smart tools where no model is served yet: on the first day, before any training.

    python -m ss_poc.assistant --port 8894
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import uvicorn

from ..core.config import ServeConfig
from ..core.settings import check_bounds, from_environment, from_flags, setting
from .app import application
from .metrics import start_logging
from .state import ServiceState

__all__ = ["AssistantConfig", "main"]


@dataclass(frozen=True)
class AssistantConfig:
    """Settings of the assistant; its limits are those of the service (SS_POC_…)."""

    host: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(8894, "port to listen on", least=1, most=65535)

    def __post_init__(self) -> None:
        check_bounds(self)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command, until it is told to stop."""
    config = from_flags(AssistantConfig, argv, "Answer clicks in Label Studio, without a model.", examples=__doc__)
    start_logging()
    # Label Studio alone asks it, on the same machine, and sends no token.
    state = ServiceState.of(replace(from_environment(ServeConfig), api_token=None))
    state.without_model = True
    uvicorn.run(application(state), host=config.host, port=config.port, log_config=None, access_log=False)
