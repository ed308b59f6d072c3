"""What a training will do: everything read, chosen and checked before a run is written or removed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.config import NAME_PATTERN, ChosenConfig, TrainConfig, parse_size
from ..core.errors import ConfigError
from ..core.host import share_cores
from ..core.run import Run, RunPaths, read_run
from ..data.dataset import Dataset, Sample, load_coco
from ..data.facts import Survey, survey_samples
from ..data.split import thinned
from ..data.workpieces import Repeated, check_group, find_repeated
from ..formats.archives import photo_folder, unpacked
from ..formats.labels import LabelSource, find_labels
from ..networks.pretrained import read_pretrained
from .earlier import as_started, like, recipe_of, run_of, split_of, survey_of
from .folder import at_hand, check_folder, check_inputs, folder_for, status_of
from .recipe import Choice, choose, default_architecture, machine

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """What a training will do.

    Attributes:
        config: every setting, named or chosen; `resume` says whether an interrupted run goes on.
        paths: where the run is written, see `folder`.
        dataset: samples, labels and findings.
        split: names of the images: those under `train` train, those under `valid` validate.
        survey: facts of the images that train.
        recipe: a row for each setting that the recipe is about.
        gpus: names of the devices to train on; none: the CPU.
        weights_labels: classes that the weights to start from know, in channel order; None where no run tells.
        repeated: photographs that seem to show the same workpieces, of a new run without `group`.
        against_group: what speaks against `group`, a sentence each.
        finished: whether a finished run is used as it is, and nothing is to be done.
    """

    config: ChosenConfig
    paths: RunPaths
    dataset: Dataset
    split: Mapping[str, list[str]]
    survey: Survey
    recipe: Sequence[Choice]
    gpus: Sequence[str] = ()
    weights_labels: tuple[str, ...] | None = None
    repeated: Repeated | None = None
    against_group: Sequence[str] = ()
    finished: bool = False

    @property
    def channels(self) -> list[int | None] | None:
        """For each class its channel in the weights to start from, None for a new one; None where nothing is known."""
        known = self.weights_labels
        if known is None:
            return None
        return [known.index(label) if label in known else None for label in self.dataset.labels]

    def samples(self, side: str) -> list[Sample]:
        """Samples of one side of the split, `train` or `valid`, in its order."""
        return _samples(self.dataset, self.split[side])


def make_plan(config: TrainConfig) -> Plan:
    """Read, choose and check all that a training needs; nothing is made or removed, but zips are unpacked.

    Args:
        config: settings; those that are None are chosen from the data and this machine, see `recipe`.

    Raises:
        DataError: the data set cannot be trained on.
        ConfigError: settings that cannot be.
        ModelError: a network or weights that cannot be.
        ArtifactError: a finished run of that name is there, or there is none to resume.
    """
    if not NAME_PATTERN.fullmatch(config.data_set):
        raise ConfigError(f"the data set would be called {config.data_set!r}, as its folder is", "letters, digits, "
                          "'.', '_' and '-', at most 100 of them", "name it: --img_dir_name parts")
    final = RunPaths(Path(config.result), config.data_set, config.model_name)
    paths = at_hand(final)
    check_folder(paths, config)
    status = status_of(paths)
    going_on = status != "absent" and (config.resume or config.reuse)
    folder = photo_folder(Path(config.img_path), final.unpacked)
    if not folder.is_dir():
        raise ConfigError(f"img_path {config.img_path!r} is no folder", "the folder of the images, or a zip of it",
                          "check the path")
    labels = _labels_of(config, folder, final.unpacked, paths if going_on and status == "started" else None)
    config = dataclasses.replace(config, img_dir_name=config.data_set, img_path=str(folder),
                                 json_path=str(labels.path if isinstance(labels, LabelSource) else labels))
    levels = Run.read(paths).data.levels if going_on else None
    dataset = load_coco(labels, folder, True, config.exif_labels, levels)
    if going_on:
        return _going_on(paths, config, dataset, finished=status == "finished")
    return _anew(folder_for(final), config, dataset)


def _labels_of(config: TrainConfig, folder: Path, store: Path, interrupted: RunPaths | None) -> LabelSource | Path:
    """The labels: those that are named, else those of the interrupted run, else what is found with the images."""
    if config.json_path:
        return unpacked(Path(config.json_path), store)
    return Path(read_run(interrupted)["data"]["json_path"]) if interrupted else find_labels(folder, store)


def _going_on(paths: RunPaths, config: TrainConfig, dataset: Dataset, finished: bool) -> Plan:
    """The plan of a run that was started before."""
    run = read_run(paths)
    chosen = as_started(run, dataclasses.replace(config, resume=not finished, reuse=False), dataset)
    plan = Plan(chosen, paths, dataset, run["split"], survey_of(run), recipe_of(run),
                weights_labels=_labels_of_weights(chosen), finished=finished)
    return plan if finished else dataclasses.replace(plan, gpus=_gpus(chosen))


def _anew(paths: RunPaths, config: TrainConfig, dataset: Dataset) -> Plan:
    """The plan of a new run."""
    before = run_of(config.weights)
    # The folders of a data set of good photographs are workpieces by its making.
    against = check_group(dataset, config.group) if config.group and not config.good_only else []
    split = split_of(config, dataset, before)
    if config.train_fraction < 1:
        split["train"] = thinned(_samples(dataset, split["train"]), config.train_fraction, config.seed,
                                 config.group or "")
    survey = survey_samples(_samples(dataset, split["train"]), len(dataset.labels), progress=True)
    config = like(config, before)
    gpus = _gpus(config)
    chosen, rows = choose(config, survey, [sample.size_hw for sample in dataset.samples], machine(len(gpus)))
    check_inputs(paths, chosen)
    _check_network(chosen)
    if dataset.wide:
        rows.append(Choice("bit_depth", str(dataset.levels.bit_depth),
                           f"bits that {dataset.wide} photographs of 16 bits use"))
    if dataset.spanned and dataset.levels.span:
        low, high = dataset.levels.span
        rows.append(Choice("value_range", f"{low:g} to {high:g}", f"become black to white in {dataset.spanned} "
                                                                  "photographs of float, signed or 32-bit values"))
    return Plan(chosen, paths, dataset, split, survey, rows, gpus, _labels_of_weights(chosen),
                None if config.group else find_repeated(dataset), against)


def _samples(dataset: Dataset, names: Sequence[str]) -> list[Sample]:
    by_name = {sample.name: sample for sample in dataset.samples}
    return [by_name[name] for name in names]


def _labels_of_weights(config: TrainConfig) -> tuple[str, ...] | None:
    before = run_of(config.weights)
    return tuple(before["data"]["labels"]) if before else None


def _gpus(config: TrainConfig) -> list[str]:
    share(config)
    from .devices import gpu_names, used_gpus  # TensorFlow takes seconds to load: nothing before needs it

    return used_gpus(config.gpus, gpu_names())


def share(config: TrainConfig) -> None:
    """Few cores run an operation each where that is faster: see "What each idea gave" in docs/training-tried.md.

    TensorFlow must not be loaded yet.
    """
    if (config.architecture or default_architecture(config.weights)) == "compact":
        share_cores()


def _check_network(config: ChosenConfig) -> None:
    """Raise where a network, its weights or an augmentation cannot be; nothing is built."""
    from ..networks.build import check_network
    from ..networks.weights import stored_classes
    from .augmentation import load_augmentation

    for size in (config.size, config.crop):
        check_network(config.architecture, config.encoder or "", parse_size(size))
    if config.weights == "synthetic":
        read_pretrained(str(config.encoder))
    elif config.weights.endswith(".keras"):
        stored_classes(Path(config.weights))
    if config.augmentation:
        load_augmentation(Path(config.augmentation))
