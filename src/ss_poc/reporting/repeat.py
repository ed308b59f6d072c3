"""The commands that repeat a run."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

from ..core.config import ExportConfig, OptimiseConfig, ReportConfig, RunConfig, SearchConfig, TrainConfig
from ..core.run import Run, RunPaths, data_path
from ..core.settings import flags_of
from .compare import NOT_REPEATED

__all__ = ["repeat_commands"]

# What the name of a repeated run ends in, and the characters of a name.
AGAIN, LONGEST_NAME = "_again", 100


def repeat_commands(run: Run, paths: RunPaths) -> list[str]:
    """The commands that repeat a run under another version name: every setting that has not its default is named.

    They are for the folder that holds `result`, where a container sees the same paths.
    """
    data = {"img_path": data_path(paths, run.data.img_path), "json_path": data_path(paths, run.data.json_path)}
    chosen = run.operating["chosen"]  # all that runs of earlier versions kept of the search's settings
    searched = {"miss_cost": chosen["miss_cost"], "max_false_alarm": chosen["max_false_alarm"], **run.search_settings}
    place = {"result": paths.result.name, "img_dir_name": paths.img_dir_name,
             "model_name": paths.model_name[:LONGEST_NAME - len(AGAIN)] + AGAIN}
    stages: list[tuple[str, type[RunConfig], Mapping[str, Any]]] = [
        ("train", TrainConfig, {**dataclasses.asdict(run.config), **data, **dict.fromkeys(NOT_REPEATED, False)}),
        ("export", ExportConfig, {}), ("post_processing", SearchConfig, searched),
        ("optimise", OptimiseConfig, run.engine_settings), ("report", ReportConfig, {})]
    return [shlex.join(["python", "-m", f"ss_poc.{name}", *flags_of(config, {**settings, **place})])
            for name, config, settings in stages]
