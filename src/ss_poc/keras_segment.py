"""`python -m ss_poc.keras_segment` and what Bentos name their service by: see `ss_poc.serving.service`."""

from .core.errors import run_command
from .serving.service import KerasSegmentationService, main

__all__ = ["KerasSegmentationService", "main"]

if __name__ == "__main__":
    run_command(main)
