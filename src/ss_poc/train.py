"""Train a network on a COCO json.

    python -m ss_poc.train --img_path coco-annotator/datasets/demo --model_name v_1
    python -m ss_poc.train --img_path photos --json_path photos/.exports/coco-1.json --epoch 100 --loss lovasz
    python -m ss_poc.train --model_name v_1 --resume
"""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from .artifacts import RunPaths, find_json, read_run, remove_leftovers, update_run
from .config import TrainConfig, format_size, from_flags, parse_size
from .data import Dataset, Sample, load_coco, split_samples
from .errors import ArtifactError, ConfigError, run_command

__all__ = ["main", "train"]

PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "segmentation-models", "efficientnet", "albumentations",
            "opencv-python-headless", "numpy", "pycocotools")
# Resident bytes a pixel of the input while training, an image of the batch: peak memory of a run with batch 8 less
# that with batch 1, measured for the default encoders and rounded up.
BYTES_A_PIXEL = {"compact": 1500, "unet": 7000, "unetpp": 16000, "fpn": 9000, "linknet": 6500, "pspnet": 6500}
DEFAULT_PIXELS = 192 * 256


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    try:
        train(from_flags(TrainConfig, argv, "Train a network on a COCO json."))
    except KeyboardInterrupt:
        print("\nstopped; the same command with --resume goes on after the last whole epoch", flush=True)
        raise


def train(config: TrainConfig) -> RunPaths:
    """Train as `config` says and write the run's folder.

    Raises:
        DataError: the data set cannot be trained on.
        ConfigError: settings that cannot be.
        ArtifactError: a finished run of that name is there, or there is none to resume.
    """
    config = _with_names(config)
    paths = RunPaths(Path(config.result), config.img_dir_name, config.model_name)
    status = read_run(paths)["status"] if paths.run_json.is_file() else "absent"
    if config.reuse:
        config = dataclasses.replace(config, resume=status == "started")
    _claim(paths, config, status)
    dataset = load_coco(Path(config.json_path), Path(config.img_path), progress=True)
    if status != "absent" and (config.resume or config.reuse):
        config = _as_started(read_run(paths), config, dataset)
        if status == "finished":
            print(f"{paths.folder} is trained already; using it")
            return paths
    else:
        config = _with_data(config, dataset)
        names = split_samples(dataset.samples, config.valid, config.seed)
        _write_start(paths, config, dataset, names)
    _say(config, dataset, paths)

    from .fit import fit  # TensorFlow takes seconds to load: nothing above needs it

    fit(config, dataset, samples_of(dataset, read_run(paths)["split"]["train"]),
        samples_of(dataset, read_run(paths)["split"]["valid"]), paths)
    return paths


def samples_of(dataset: Dataset, names: Sequence[str]) -> list[Sample]:
    """Samples of those names, in that order."""
    by_name = {sample.name: sample for sample in dataset.samples}
    return [by_name[name] for name in names]


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


def _with_data(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """Fill in what follows from the data and this machine."""
    size = config.size or format_size(default_size(dataset.samples))
    size_hw = parse_size(size)
    image_bytes = BYTES_A_PIXEL[config.architecture] * size_hw[0] * size_hw[1]
    # At most 8, and few enough for 30 steps an epoch: many small steps teach a small set faster than few large ones.
    wanted = min(8, max(1, len(dataset.samples) // 40))
    batch_size = config.batch_size or int(max(1, min(wanted, free_memory() // 4 // image_bytes)))
    cache_mb = config.cache_mb or max(64, free_memory() // 4 // 2**20)
    return dataclasses.replace(config, size=size, batch_size=batch_size, cache_mb=cache_mb)


def default_size(samples: Sequence[Sample]) -> tuple[int, int]:
    """Median shape of the images, shrunk to at most DEFAULT_PIXELS, in multiples of 32: (height, width)."""
    heights, widths = sorted(s.size_hw[0] for s in samples), sorted(s.size_hw[1] for s in samples)
    height, width = heights[len(heights) // 2], widths[len(widths) // 2]
    scale = min(1.0, (DEFAULT_PIXELS / (height * width)) ** 0.5)
    sides = [max(64, round(length * scale / 32) * 32) for length in (height, width)]
    if sides[0] * sides[1] > 2 * DEFAULT_PIXELS:  # a thin strip, whose short side was raised to 64
        sides[sides.index(max(sides))] = DEFAULT_PIXELS // min(sides) // 32 * 32
    return sides[0], sides[1]


def free_memory() -> int:
    """Bytes this process may still use: the machine's available memory, or what the container's limit leaves."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        free = int(lines.get("MemAvailable", f"{free // 1024} kB").split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdigit():
        free = min(free, max(0, int(text) - int(used.read_text())))
    return free


def _as_started(run: dict[str, Any], config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """The config to resume a run with: the data and settings that it was started with, or an error."""
    if run["data"]["fingerprint"] != dataset.fingerprint:
        raise ArtifactError("the images or labels have changed since this run was started",
                            f"fingerprint {run['data']['fingerprint'][:12]}…, got {dataset.fingerprint[:12]}…",
                            "--model_name v_2 for a new run beside it, --overwrite for one in its place")
    then = run["config"]
    chosen_then = {name: then[name] for name in ("size", "batch_size", "cache_mb") if not getattr(config, name)}
    config = dataclasses.replace(config, **chosen_then)
    now = dataclasses.asdict(config)
    changed = [f"{name}: was {then[name]!r}, is {now[name]!r}" for name in then
               if name not in ("resume", "reuse", "overwrite", "cache_mb", "result", "img_path", "json_path")
               and now[name] != then[name]]
    if changed:
        raise ConfigError("settings differ from those the run was started with: " + "; ".join(changed),
                          "the same settings", "repeat the same command, or start a new run: --model_name v_2")
    return config


def _write_start(paths: RunPaths, config: TrainConfig, dataset: Dataset, names: tuple[list[str], list[str]]) -> None:
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
        data={"name": dataset.name, "json_path": os.path.abspath(config.json_path),
              "img_path": os.path.abspath(config.img_path), "fingerprint": dataset.fingerprint,
              "images": len(dataset.samples), "labels": dataset.labels, "colors": dataset.colors,
              "category_ids": dataset.category_ids, "findings": counts},
        split={"train": names[0], "valid": names[1]})


def _say(config: TrainConfig, dataset: Dataset, paths: RunPaths) -> None:
    split = read_run(paths)["split"]
    for finding in dataset.findings[:10]:
        print(f"note: {finding.where}: {finding.detail} ({finding.action})")
    if len(dataset.findings) > 10:
        print(f"note: … and {len(dataset.findings) - 10} more; "
              f"python -m ss_poc.data check {config.json_path} {config.img_path} lists all")
    print(f"{len(split['train'])} images train, {len(split['valid'])} validate; {len(dataset.labels)} classes: "
          f"{', '.join(dataset.labels)}\n"
          f"{config.architecture} {config.encoder or '(default encoder)'} at {config.size}, batch {config.batch_size}, "
          f"{config.loss}, at most {config.epoch} epochs, seed {config.seed}", flush=True)


if __name__ == "__main__":
    run_command(main)
