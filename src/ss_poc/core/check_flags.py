"""Flags of train, checked for shell scripts before anything is installed or started.

    python -m ss_poc.config --img_path photos --epoch 9        (print KEY=VALUE lines)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .config import TrainConfig
from .errors import ConfigError
from .files import read_json
from .run import RunPaths
from .settings import from_flags

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Check flags of train; print `result`, `data_set`, `version`, `img_path`, `export` (no: labels that were exported
    now would not be used, or be refused) and a `reads` for each path that training reads, as KEY=VALUE lines.

    Needs no package.

    Raises:
        ConfigError: a setting that cannot be, or a path with a line break.
    """
    config = from_flags(TrainConfig, argv, "Check flags of train; print KEY=VALUE lines for shell scripts.",
                        examples=__doc__)
    weights = Path(config.weights) if config.weights and config.weights.endswith(".keras") else None
    if weights and weights.parent.name == "model":  # in its run's folder, which says what the weights are for
        weights = weights.parents[1]
    earlier = _labels_of_earlier(config)
    labels = config.json_path or earlier
    if earlier and (not earlier.exists() or earlier.resolve().is_relative_to(Path(config.img_path).resolve())):
        labels = config.json_path  # a mount of its own for what is missing, or seen already, would be an error
    reads = [str(path) for path in (config.img_path, labels, config.augmentation, weights) if path]
    lines = [("result", str(Path(config.result))), ("data_set", config.data_set), ("version", config.model_name),
             ("img_path", _within(config.img_path)), ("export", "no" if config.json_path or earlier else "yes"),
             *(("reads", path) for path in reads)]
    for key, value in lines:
        if len(value.splitlines()) != 1:
            raise ConfigError(f"{key} is {value!r}", "one line of text", "rename the file or folder")
    print(*(f"{key}={value}" for key, value in lines), sep="\n")


def _within(path: str) -> str:
    """A folder as the scripts compare it: no `/` at its end, and below the current folder without the way to there."""
    folder = Path(path)
    return str(folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder)


def _labels_of_earlier(config: TrainConfig) -> Path | None:
    """The labels of the run that is gone on with or used, from the project's folder; None where there is none."""
    paths = RunPaths(Path(config.result), config.data_set, config.model_name)
    for run_json in (paths.replacement.run_json, paths.run_json):
        if (config.resume or config.reuse) and run_json.is_file():
            return Path(paths.result.parent, read_json(run_json)["data"]["json_path"])
    return None
