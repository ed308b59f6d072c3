"""What a training takes over from an earlier run: the network and split of the one whose weights it starts from, and
all settings of the one it goes on with."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.config import ChosenConfig, TrainConfig
from ..core.errors import ArtifactError, ConfigError
from ..core.files import read_json
from ..core.run import RunPaths, read_run
from ..data.dataset import Dataset, Sample
from ..data.facts import Survey
from ..data.folds import split_fold
from ..data.split import SPLIT_FILE, split_samples, together, valid_fraction_for, workpiece_of
from .recipe import CHOSEN, Choice

__all__ = ["as_started", "changed_settings", "like", "recipe_of", "run_of", "split_of", "survey_of"]

# Settings that say how a command is to be run, not what the run is: they may change when it goes on.
NOT_OF_THE_RUN = ("resume", "reuse", "overwrite", "cache_mb", "result", "img_path", "json_path")


def run_of(weights: str | None) -> dict[str, Any]:
    """The run.json of the run that a weights file belongs to; {} where the file does not lie in a run's folder."""
    if not weights or not weights.endswith(".keras"):
        return {}
    folder = Path(weights).resolve().parent.parent
    if not (folder / "run.json").is_file() or len(folder.parents) < 4:
        return {}
    return read_run(RunPaths(folder.parents[2], folder.parents[1].name, folder.name))


def like(config: TrainConfig, before: dict[str, Any]) -> TrainConfig:
    """The network and scale of the run before, where none are named: its weights fit no other.

    Args:
        config: what the user named.
        before: run.json of the run that the weights come from, or {}.
    """
    then = before.get("config", {})
    scale = () if config.size is not None or config.scale is not None else ("scale", "size")
    values = {name: then[name] for name in ("architecture", "encoder", *scale)
              if name in then and getattr(config, name) is None}
    return dataclasses.replace(config, **values)


def split_of(config: TrainConfig, dataset: Dataset, before: dict[str, Any]) -> dict[str, list[str]]:
    """Names of the images that train and that validate, as `{"train": [...], "valid": [...]}`.

    Going on from a run on the same folder, its images stay where they were: what trained then must not validate now. So
    do those of a data set made of good photographs whose place is known.
    A new photograph that is a copy of a known one, or shows the workpiece of a known one, joins it.

    Args:
        config: names the fold or the fraction that validates, the seed and the pattern of workpieces.
        dataset: to split.
        before: run.json of the run that the weights come from, or {}.

    Raises:
        DataError: there are too few different images or workpieces.
        ConfigError: a fold is named, and the weights come from a run on the same folder.
    """
    same = before.get("data", {}).get("img_path") == os.path.abspath(config.img_path)
    if config.fold and same:
        raise ConfigError(f"fold is {config.fold}, and the weights know photographs of {config.img_path}",
                          "weights that have seen none of what validates", "--weights none, synthetic or imagenet, "
                          "or those of a run on other photographs")
    made = Path(config.img_path) / SPLIT_FILE
    known = before["split"] if same else read_json(made) if config.good_only and made.is_file() else {}
    split, new = _joined(together(dataset.samples, config.group or ""), known, config.group or "")
    unsplit = [sample for members in new for sample in members]
    names: tuple[list[str], list[str]] = [sample.name for sample in unsplit], []
    if config.fold:
        names = split_fold(unsplit, config.fold, config.group or "")
    elif not known or len(new) >= 2:
        fraction = config.valid or valid_fraction_for([sample.size_hw for sample in dataset.samples])
        names = split_samples(unsplit, fraction, config.seed, config.group or "")
    for side, found in zip(("train", "valid"), names, strict=True):
        split[side] += found
    return {side: sorted(names) for side, names in split.items()}


def _joined(groups: Sequence[Sequence[Any]], known: dict[str, list[str]],
            pattern: str) -> tuple[dict[str, list[str]], list[Sequence[Sample]]]:
    """Names of the photographs that a known split decides on, and the groups that it knows nothing of."""
    sides = {name: side for side in ("train", "valid") for name in known.get(side, [])}
    # By name, not by member: a known photograph may have been deleted since, and its workpiece trained all the same.
    workpieces = {workpiece_of(name, pattern): side for side in ("valid", "train") for name in known.get(side, [])}
    workpieces.pop("", None)
    split: dict[str, list[str]] = {"train": [], "valid": []}
    new = []
    for members in groups:
        sides_here = {sides.get(sample.name) or workpieces.get(workpiece_of(sample.name, pattern))
                      for sample in members}
        sides_here.discard(None)
        if not sides_here:
            new.append(members)
            continue
        joined = "train" if "train" in sides_here else "valid"
        for sample in members:
            split[sides.get(sample.name, joined)].append(sample.name)
    return split, new


def as_started(run: dict[str, Any], config: TrainConfig, dataset: Dataset) -> ChosenConfig:
    """The config to go on with: the settings that a run was started with.

    Args:
        run: its run.json.
        config: what the user named now.
        dataset: as it is now.

    Raises:
        ArtifactError: images or labels have changed, or another version started the run.
        ConfigError: a setting differs.
    """
    if run["data"]["fingerprint"] != dataset.fingerprint:
        raise ArtifactError("the images or labels have changed since this run was started",
                            f"fingerprint {run['data']['fingerprint'][:12]}…, got {dataset.fingerprint[:12]}…",
                            "--model_name v_2 for a new run beside it, --overwrite for one in its place")
    then = run["config"]
    _refuse_unknown({*CHOSEN} - {*then})
    changed = changed_settings(then, config)
    if changed:
        raise ConfigError("settings differ from those the run was started with: " + "; ".join(changed),
                          "the same settings", "repeat the same command, or start a new run: --model_name v_2")
    return ChosenConfig(**vars(dataclasses.replace(config, **_left_open(then, config))))


def changed_settings(then: dict[str, Any], config: TrainConfig) -> list[str]:
    """What a user names otherwise than a run was started with; what is left open is that of the run.

    Args:
        then: `config` of its run.json.
        config: what the user names now.
    """
    now = {**dataclasses.asdict(config), **_left_open(then, config)}
    return [f"{name}: was {then[name]!r}, is {now[name]!r}" for name in then
            if name not in NOT_OF_THE_RUN and now[name] != then[name]]


def _left_open(then: dict[str, Any], config: TrainConfig) -> dict[str, Any]:
    return {name: then[name] for name in (*CHOSEN, "valid") if name in then and getattr(config, name) is None}


def survey_of(run: dict[str, Any]) -> Survey:
    """The facts that a run.json holds of the images that train. Raises ArtifactError where another version wrote it."""
    stored = run["survey"]
    facts = dataclasses.fields(Survey)
    _refuse_unknown({fact.name for fact in facts if fact.default is dataclasses.MISSING} - {*stored})
    values: dict[str, Any] = {fact.name: tuple(stored[fact.name]) if isinstance(stored[fact.name], list)
                              else stored[fact.name] for fact in facts if fact.name in stored}
    return Survey(**values)


def recipe_of(run: dict[str, Any]) -> list[Choice]:
    """The rows that a run.json holds of what the recipe chose."""
    return [Choice(**row) for row in run["recipe"]]


def _refuse_unknown(names: set[str]) -> None:
    if names:
        raise ArtifactError(f"the run was started by another version, which did not know {', '.join(sorted(names))}",
                            "a run of this version", "start it anew: --overwrite, or another --model_name")
