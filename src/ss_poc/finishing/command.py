"""All that follows training: export, post_processing, optimise and report, in one process.

    python -m ss_poc.finish --img_dir_name demo --model_name v_1

Each of them is also a command of its own, and does the same there. Here packages are loaded once, and an engine sees
each image that validates once: its probability map is kept until the report is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core.config import FinishConfig, SearchConfig
from ..core.run import RunPaths, update_run
from ..core.settings import from_flags
from ..inference.kept import maps_kept_in
from ..optimising import engine_choice, rule_search
from ..optimising.export import export
from ..reporting.page import report

__all__ = ["finish", "main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = from_flags(FinishConfig, argv, "All that follows training: graph, rules, engine and report.",
                        examples=__doc__)
    finish(RunPaths(Path(config.result), config.data_set, config.model_name).require())


def finish(paths: RunPaths) -> None:
    """Export a run, search its rules, choose its engine, and write its report. Say how long each took."""
    seconds: dict[str, float] = {}
    with maps_kept_in(paths.maps) as maps:
        stages: dict[str, Callable[[], object]] = {
            "export": lambda: export(paths, maps),
            "post_processing": lambda: rule_search.optimise(paths, SearchConfig(), maps),
            "optimise": lambda: engine_choice.optimise(paths, maps=maps),
            "report": lambda: report(paths, maps)}
        for name, stage in stages.items():
            print(f"\n{name}", flush=True)
            began = time.monotonic()
            stage()
            seconds[name] = round(time.monotonic() - began, 1)
    update_run(paths, finish_seconds=seconds)
    print(f"\n{sum(seconds.values()):.0f} s after training: "
          + ", ".join(f"{name} {value:.0f}" for name, value in seconds.items()), flush=True)
