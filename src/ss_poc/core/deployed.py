"""Where a Bento lies, and the names of what it holds."""

from __future__ import annotations

from pathlib import Path

__all__ = ["CARD_FILE", "SAMPLES", "SERVICE", "deploy_folder"]

SERVICE = "KerasSegmentationService"
CARD_FILE = "card.json"
SAMPLES = "samples"


def deploy_folder(root: Path, version: str) -> Path:
    """Where a version's Bento lies."""
    return root / SERVICE / "segment" / version
