"""Train a network on a COCO json.

    python -m ss_poc.train --img_path coco-annotator/datasets/demo --model_name v_1
    python -m ss_poc.train --img_path photos --json_path photos/.exports/coco-1.json --epoch 100 --loss lovasz
    python -m ss_poc.train --img_path photos --budget 15m --preset accurate --model_name v_2
    python -m ss_poc.train --img_path photos --weights result/photos/segment/v_1/model/model_40_0.1234.keras \\
        --model_name v_3
    python -m ss_poc.train --img_path good_photos --good_only --budget 10m
    python -m ss_poc.train --model_name v_1 --resume
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core.config import TrainConfig, parse_size
from ..core.host import wide_vectors
from ..core.run import RunPaths
from ..core.settings import from_flags
from ..core.text_table import counted
from ..core.tiles import map_size
from ..data.split import workpiece_of
from .folder import finish_replacing
from .plan import Plan, make_plan
from .recipe import table

__all__ = ["main", "train"]

OnGood = Callable[[TrainConfig, Callable[[TrainConfig], RunPaths]], RunPaths]

# Seconds after the training, and for a megapixel of what validates: two cores, a compact network (docs/optimising.md);
# and those of cores without wide vectors. A graph with features of ImageNet takes twice the first.
AFTER, AFTER_ON_SLOW_CORES = (30, 1.0), (45, 1.0)
# Findings that concern many photographs at once: said before those of single ones.
OF_THE_SET = ("exif-unsure", "bit-depth", "value-range")


def main(argv: Sequence[str] | None = None, on_good: OnGood | None = None) -> None:
    """Run the command.

    Args:
        argv: flags; None for those of the process.
        on_good: trains on good photographs alone, by what trains on labels.
    """
    started = time.monotonic()
    try:
        config = from_flags(TrainConfig, argv, "Train a network on a COCO json.", examples=__doc__)
        if on_good and config.good_only:
            on_good(config, lambda made: train(made, started))
        else:
            train(config, started)
    except KeyboardInterrupt:
        print("\nstopped; the same command with --resume goes on after the last whole epoch", flush=True)
        raise


def train(config: TrainConfig, started: float | None = None) -> RunPaths:
    """Train as `config` says and write the run's folder.

    Args:
        config: settings; those that are None are chosen from the data and this machine, see `recipe`.
        started: `time.monotonic()` of when the command began, from which a budget counts; None for now.

    Raises:
        DataError: the data set cannot be trained on.
        ConfigError: settings that cannot be.
        ModelError: a network or weights that cannot be, or a loss that is not finite.
        ArtifactError: a finished run of that name is there, or there is none to resume.
    """
    started = time.monotonic() if started is None else started
    finish_replacing(RunPaths(Path(config.result), config.data_set, config.model_name))
    plan = make_plan(config)
    if plan.finished:
        print(f"{plan.paths.folder} is trained already; using it")
        return plan.paths
    _say(plan)
    from .loop import fit  # TensorFlow takes seconds to load: make_plan loads it once all else is checked

    fit(plan, started)
    return plan.paths.replaces


def _say(plan: Plan) -> None:
    """Print what the check of the data found, the split, the settings and what becomes of the weights."""
    config, dataset, split = plan.config, plan.dataset, plan.split
    for finding in sorted(dataset.findings, key=lambda item: item.code not in OF_THE_SET)[:10]:
        print(f"note: {finding.where}: {finding.detail} ({finding.action})")
    if len(dataset.findings) > 10:
        print(f"note: … and {len(dataset.findings) - 10} more; "
              f"python -m ss_poc.data check {config.json_path} {config.img_path} lists all")
    print(f"{counted(len(split['train']), 'image')} for training, {len(split['valid'])} for validation; "
          f"{counted(len(dataset.labels), 'class')}: {', '.join(dataset.labels)}", flush=True)
    _say_workpieces(plan)
    limit = f"in {config.budget}" if config.budget else f"for at most {counted(config.epoch, 'epoch')}"
    print(f"training {limit}, seed {config.seed}, with\n{table(plan.recipe)}", flush=True)
    _say_afterwards(plan)
    _say_head(plan)
    replaced = plan.paths.replaces
    if replaced != plan.paths:
        print(f"{replaced.folder} stays until this run is finished, which is written to {plan.paths.folder} meanwhile",
              flush=True)


def _say_afterwards(plan: Plan) -> None:
    """Say how long graph, rules, engine and report take when the training has ended."""
    names, scale = set(plan.split["valid"]), plan.config.scale
    sizes = [map_size(sample.size_hw, scale or 0.0, parse_size(plan.config.size)) for sample in plan.dataset.samples
             if sample.name in names]
    megapixels, features = sum(height * width for height, width in sizes) / 1e6, plan.config.features == "imagenet"
    print(f"afterwards about {seconds_after(megapixels, wide_vectors(), features):.0f} s for graph, rules, engine and "
          f"report, of {counted(len(sizes), 'validation image')} with {megapixels:.1f} megapixels", flush=True)


def seconds_after(megapixels: float, wide: bool, features: bool) -> float:
    """Seconds from the end of a training to its report, for so many megapixels of what validates, with cores that have
    wide vectors or have none, and with features of ImageNet beside the network or without."""
    seconds, a_megapixel = AFTER if wide else AFTER_ON_SLOW_CORES
    return (2 if features else 1) * seconds + a_megapixel * megapixels


def _say_workpieces(plan: Plan) -> None:
    pattern = plan.config.group
    for said in plan.against_group:
        print(f"warning: {said}")
    if plan.repeated:
        print(f"warning: {plan.repeated.says} If so, scores flatter: {plan.repeated.advice}", flush=True)
    if not pattern:
        return
    shown = {side: {workpiece_of(name, pattern) for name in names} - {""} for side, names in plan.split.items()}
    alone = sum(not workpiece_of(sample.name, pattern) for sample in plan.dataset.samples)
    print(f"{counted(len(shown['train']), 'workpiece')} for training, {len(shown['valid'])} for validation"
          + (f"; split one by one, as the name shows no workpiece: {counted(alone, 'image')}" if alone else ""),
          flush=True)


def _say_head(plan: Plan) -> None:
    """Say where the classes are not those of the weights, so that the network's head is renewed."""
    known, channels = plan.weights_labels, plan.channels
    if known is None or channels is None or channels == list(range(len(known))):
        return
    new = [label for label, channel in zip(plan.dataset.labels, channels, strict=True) if channel is None]
    print(f"the head is renewed: the weights know {', '.join(known)}; "
          + (f"new: {', '.join(new)}" if new else "the order or number differs"), flush=True)
