"""Train a network on a COCO json.

    python -m ss_poc.train --img_path coco-annotator/datasets/demo --model_name v_1
    python -m ss_poc.train --img_path photos --json_path photos/.exports/coco-1.json --epoch 100 --loss lovasz
    python -m ss_poc.train --img_path photos --budget 15m --preset accurate --model_name v_2
    python -m ss_poc.train --img_path photos --weights result/photos/segment/v_1/model/model_40_0.1234.keras \
        --model_name v_3
    python -m ss_poc.train --model_name v_1 --resume
"""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from ..core.config import TrainConfig, from_flags
from ..core.errors import ArtifactError, ConfigError
from ..core.files import remove_leftovers
from ..core.host import share_cores
from ..core.run import RunPaths, data_path, find_json, read_run, update_run
from ..data.dataset import Dataset, load_coco
from ..data.facts import Survey, survey_samples
from ..data.split import part_of, split_samples, together, valid_part
from .recipe import Choice, choose, default_architecture, machine, table

__all__ = ["main", "train"]

PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "segmentation-models", "efficientnet", "albumentations",
            "opencv-python-headless", "numpy", "pycocotools")
# Settings that the recipe may choose; a resumed run keeps what was chosen when it was started.
CHOSEN = ("architecture", "encoder", "scale", "size", "crop", "sampling", "mosaic", "strength", "batch_size",
          "cache_mb", "loss", "optimizer", "lr", "weights", "freeze", "views", "precision")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    started = time.monotonic()
    try:
        train(from_flags(TrainConfig, argv, "Train a network on a COCO json."), started)
    except KeyboardInterrupt:
        print("\nstopped; the same command with --resume goes on after the last whole epoch", flush=True)
        raise


def train(config: TrainConfig, started: float | None = None) -> RunPaths:
    """Train as `config` says and write the run's folder.

    Args:
        config: settings; those left open are chosen from the data and this machine, see `recipe`.
        started: `time.monotonic()` of when the command began, from which a budget counts; None for now.

    Raises:
        DataError: the data set cannot be trained on.
        ConfigError: settings that cannot be.
        ArtifactError: a finished run of that name is there, or there is none to resume.
    """
    started = time.monotonic() if started is None else started
    config = _with_names(config)
    paths = RunPaths(Path(config.result), config.img_dir_name, config.model_name)
    status = read_run(paths)["status"] if paths.run_json.is_file() else "absent"
    if config.reuse:
        config = dataclasses.replace(config, resume=status == "started")
    before = _run_of(config.weights)  # read now: overwriting a run may remove the weights it starts from
    _claim(paths, config, status)
    dataset = load_coco(Path(config.json_path), Path(config.img_path), progress=True)
    if status != "absent" and (config.resume or config.reuse):
        config = _as_started(read_run(paths), config, dataset)
        if status == "finished":
            print(f"{paths.folder} is trained already; using it")
            return paths
    names = read_run(paths)["split"] if config.resume else _split(config, dataset, before)
    train_samples, valid_samples = (dataset.samples_of(names[side]) for side in ("train", "valid"))
    survey = survey_samples(train_samples, len(dataset.labels), progress=True)

    config = config if config.resume else _like(config, before)
    _share(config)
    from .loop import fit, gpu_names  # TensorFlow takes seconds to load: nothing above needs it

    if not config.resume:
        here = machine(len(gpu_names()[:config.gpus or None]))
        config, rows = choose(config, survey, [sample.size_hw for sample in dataset.samples], here)
        _write_start(paths, config, dataset, names, survey, rows)
    _say(config, dataset, paths)
    fit(config, dataset, survey, train_samples, valid_samples, paths, started, _kept(dataset.labels, before))
    return paths


def _share(config: TrainConfig) -> None:
    """Few cores run an operation each where that is faster: see "What each idea gave" in docs/training.md."""
    if (config.architecture or default_architecture(config.weights)) == "compact":
        share_cores()


def _run_of(weights: str) -> dict[str, Any]:
    """What the run that a weights file belongs to was, where it still lies in its folder; {} otherwise."""
    if not weights.endswith(".keras"):
        return {}
    folder = Path(weights).resolve().parent.parent
    if not (folder / "run.json").is_file() or len(folder.parents) < 4:
        return {}
    return read_run(RunPaths(folder.parents[2], folder.parents[1].name, folder.name))


def _like(config: TrainConfig, before: dict[str, Any]) -> TrainConfig:
    """The network and scale of the run before, where none are named: its weights fit no other."""
    then = before.get("config", {})
    names = ("architecture", "encoder", *(() if config.size or config.scale else ("scale", "size")))
    values = {name: then[name] for name in names
              if name in then and getattr(config, name) == getattr(TrainConfig, name)}
    return dataclasses.replace(config, **values)


def _kept(labels: Sequence[str], before: dict[str, Any]) -> list[int | None] | None:
    """For each label its channel in the weights to start from, None for a new one; None where nothing is known."""
    if not before:
        return None
    then = list(before["data"]["labels"])
    kept = [then.index(label) if label in then else None for label in labels]
    new = [label for label, channel in zip(labels, kept, strict=True) if channel is None]
    if kept != list(range(len(then))):
        print(f"the head is renewed: the weights know {', '.join(then)}; "
              + (f"new: {', '.join(new)}" if new else "the order or number differs"), flush=True)
    return kept


def _split(config: TrainConfig, dataset: Dataset, before: dict[str, Any]) -> dict[str, list[str]]:
    """Names that train and validate.

    Going on from a run on the same folder, its images stay where they were: what trained then must not validate now.
    A new photograph that is a copy of a known one, or of its part, joins it.
    """
    same = before.get("data", {}).get("img_path") == os.path.abspath(config.img_path)
    known = before["split"] if same else {}
    sides = {name: side for side in ("train", "valid") for name in known.get(side, [])}
    # By name, not by member: a known photograph may have been deleted since, and its part trained all the same.
    parts = {part_of(name, config.group): side for side in ("valid", "train") for name in known.get(side, [])}
    parts.pop("", None)
    split: dict[str, list[str]] = {"train": [], "valid": []}
    new = []
    for members in together(dataset.samples, config.group):
        sides_here = {sides.get(sample.name) or parts.get(part_of(sample.name, config.group)) for sample in members}
        sides_here.discard(None)
        if not sides_here:
            new.append(members)
            continue
        joined = "train" if "train" in sides_here else "valid"
        for sample in members:
            split[sides.get(sample.name, joined)].append(sample.name)
    unsplit = [sample for members in new for sample in members]
    if not known or len(new) >= 2:
        part = config.valid or valid_part([sample.size_hw for sample in dataset.samples])
        names = split_samples(unsplit, part, config.seed, config.group)
        split["train"] += names[0]
        split["valid"] += names[1]
    else:
        split["train"] += [sample.name for sample in unsplit]
    return {side: sorted(names) for side, names in split.items()}


def _with_names(config: TrainConfig) -> TrainConfig:
    folder = Path(config.img_path)
    if not folder.is_dir():
        raise ConfigError(f"img_path {config.img_path!r} is no folder", "the folder of the images", "check the path")
    return dataclasses.replace(config, img_dir_name=config.data_set,
                               json_path=config.json_path or str(find_json(folder)))


def _claim(paths: RunPaths, config: TrainConfig, status: str) -> None:
    """Make sure the run's folder is ours to write to: new, gone on with, or overwritten on purpose."""
    if config.resume:
        if status == "absent":
            raise ArtifactError(f"there is no run {paths.folder} to resume", "a run that was started",
                                "drop --resume")
        if status == "finished":
            raise ArtifactError(f"the run {paths.folder} is finished", "an interrupted run", "drop --resume, and give "
                                "it another --model_name")
        remove_leftovers(paths.folder)
    elif status != "absent" and not config.overwrite and not config.reuse:
        raise ArtifactError(f"{paths.folder} holds a run already ({status})", "a new model_name",
                            "--model_name v_2 to keep it, --overwrite to throw it away, "
                            + ("--reuse to use it" if status == "finished" else "--resume to go on with it"))
    elif paths.folder.is_dir() and not (config.reuse and status == "finished"):
        shutil.rmtree(paths.folder)


def _as_started(run: dict[str, Any], config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """The config to resume a run with: the data and settings that it was started with, or an error."""
    if run["data"]["fingerprint"] != dataset.fingerprint:
        raise ArtifactError("the images or labels have changed since this run was started",
                            f"fingerprint {run['data']['fingerprint'][:12]}…, got {dataset.fingerprint[:12]}…",
                            "--model_name v_2 for a new run beside it, --overwrite for one in its place")
    then = run["config"]
    if unknown := sorted({*CHOSEN} - {*then}):
        raise ArtifactError(f"the run was started by another version, which did not know {', '.join(unknown)}",
                            "a run of this version", "start it anew: --overwrite, or another --model_name")
    chosen_then = {name: then[name] for name in (*CHOSEN, "valid")
                   if getattr(config, name) == getattr(TrainConfig, name)}
    config = dataclasses.replace(config, **chosen_then)
    now = dataclasses.asdict(config)
    changed = [f"{name}: was {then[name]!r}, is {now[name]!r}" for name in then
               if name not in ("resume", "reuse", "overwrite", "cache_mb", "result", "img_path", "json_path")
               and now[name] != then[name]]
    if changed:
        raise ConfigError("settings differ from those the run was started with: " + "; ".join(changed),
                          "the same settings", "repeat the same command, or start a new run: --model_name v_2")
    return config


def _write_start(paths: RunPaths, config: TrainConfig, dataset: Dataset, names: dict[str, list[str]], survey: Survey,
                 rows: Sequence[Choice]) -> None:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    counts: dict[str, int] = {}
    for finding in dataset.findings:
        counts[finding.code] = counts.get(finding.code, 0) + 1
    update_run(
        paths, status="started", config=dataclasses.asdict(config), versions=versions,
        data={"name": dataset.name, "json_path": data_path(paths, config.json_path),
              "img_path": data_path(paths, config.img_path), "fingerprint": dataset.fingerprint,
              "images": len(dataset.samples), "labels": dataset.labels, "colors": dataset.colors,
              "category_ids": dataset.category_ids, "findings": counts},
        survey=survey, recipe=rows, split=names)


def _say(config: TrainConfig, dataset: Dataset, paths: RunPaths) -> None:
    split = read_run(paths)["split"]
    for finding in dataset.findings[:10]:
        print(f"note: {finding.where}: {finding.detail} ({finding.action})")
    if len(dataset.findings) > 10:
        print(f"note: … and {len(dataset.findings) - 10} more; "
              f"python -m ss_poc.data check {config.json_path} {config.img_path} lists all")
    print(f"{len(split['train'])} images train, {len(split['valid'])} validate; {len(dataset.labels)} classes: "
          f"{', '.join(dataset.labels)}", flush=True)
    if config.group:
        parts = {side: {part_of(name, config.group) for name in names} for side, names in split.items()}
        alone = sum(not part_of(sample.name, config.group) for sample in dataset.samples)
        print(f"of {len(parts['train'] - {''})} parts that train and {len(parts['valid'] - {''})} that validate"
              + (f"; {alone} images whose name shows no part count by themselves" if alone else ""), flush=True)
    rows = [Choice(**row) for row in read_run(paths)["recipe"]]
    limit = f"in {config.budget}" if config.budget else f"for at most {config.epoch} epochs"
    print(f"training {limit}, seed {config.seed}, with\n{table(rows)}", flush=True)
