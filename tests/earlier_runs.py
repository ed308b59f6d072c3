"""Runs as a training leaves them, without training."""

from __future__ import annotations

import json
from pathlib import Path

from ss_poc.core.config import TrainConfig
from ss_poc.core.files import write_json
from ss_poc.core.run import RunPaths
from ss_poc.training.claim import claim_folder
from ss_poc.training.plan import make_plan


def files_of(folder: Path) -> dict[str, bytes]:
    """Path and content of every file below a folder."""
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def earlier_run(config: TrainConfig, status: str) -> RunPaths:
    """A run of that status where `config` would write one, with a file of its own."""
    plan = make_plan(config)
    claim_folder(plan)
    written = json.loads(plan.paths.run_json.read_text())
    write_json(plan.paths.run_json, {**written, "status": status})
    plan.paths.model.mkdir()
    (plan.paths.model / "model_1_0.5.keras").write_bytes(b"weights")
    return plan.paths
