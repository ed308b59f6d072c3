"""What a training will do: everything read, chosen and checked before anything is written or removed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.config import ChosenConfig, TrainConfig, parse_size
from ..core.errors import ArtifactError, ConfigError
from ..core.host import share_cores
from ..core.model_spec import FULL_DEPTH
from ..core.run import RunPaths, read_run
from ..data.dataset import Dataset, Sample, load_coco
from ..data.facts import Survey, survey_samples
from ..formats.labels import find_labels
from ..networks.pretrained import read_pretrained
from .earlier import as_started, like, recipe_of, run_of, split_of, survey_of
from .recipe import Choice, choose, default_architecture, machine

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """What a training will do.

    Attributes:
        config: every setting, named or chosen; `resume` says whether an interrupted run goes on.
        paths: of the run.
        dataset: samples, labels and findings.
        split: names of the images: those under `train` train, those under `valid` validate.
        survey: facts of the images that train.
        recipe: a row for each setting that the recipe is about.
        gpus: names of the devices to train on; none: the CPU.
        weights_labels: classes that the weights to start from know, in channel order; None where no run tells.
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
    """Read, choose and check all that a training needs; nothing is written, made or removed.

    Args:
        config: settings; those that are None are chosen from the data and this machine, see `recipe`.

    Raises:
        DataError: the data set cannot be trained on.
        ConfigError: settings that cannot be.
        ModelError: a network or weights that cannot be.
        ArtifactError: a finished run of that name is there, or there is none to resume.
    """
    folder = Path(config.img_path)
    if not folder.is_dir():
        raise ConfigError(f"img_path {config.img_path!r} is no folder", "the folder of the images", "check the path")
    json_path = Path(config.json_path) if config.json_path else find_labels(folder).path
    config = dataclasses.replace(config, img_dir_name=config.data_set, json_path=str(json_path))
    paths = RunPaths(Path(config.result), config.data_set, config.model_name)
    status = read_run(paths)["status"] if paths.run_json.is_file() else "absent"
    _check_folder(paths, config, status)
    goes_on = status != "absent" and (config.resume or config.reuse)
    bit_depth = read_run(paths)["data"].get("bit_depth", FULL_DEPTH) if goes_on else None
    dataset = load_coco(json_path, folder, True, config.exif_labels, bit_depth)
    if goes_on:
        return _going_on(paths, config, dataset, finished=status == "finished")
    return _anew(paths, config, dataset)


def _check_folder(paths: RunPaths, config: TrainConfig, status: str) -> None:
    """Raise ArtifactError where the run's folder is not ours to write to: new, gone on with, or overwritten on purpose.

    Args:
        paths: of the run.
        config: says what the user wants of an earlier run.
        status: of the run that is there: "absent", "started" or "finished".
    """
    if config.resume and status == "absent":
        raise ArtifactError(f"there is no run {paths.folder} to resume", "a run that was started", "drop --resume")
    if config.resume and status == "finished":
        raise ArtifactError(f"the run {paths.folder} is finished", "an interrupted run", "drop --resume, and give "
                            "it another --model_name")
    if status != "absent" and not (config.resume or config.overwrite or config.reuse):
        raise ArtifactError(f"{paths.folder} holds a run already ({status})", "a new model_name",
                            "--model_name v_2 to keep it, --overwrite to throw it away, "
                            + ("--reuse to use it" if status == "finished" else "--resume to go on with it"))


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
    split = split_of(config, dataset, before)
    survey = survey_samples(_samples(dataset, split["train"]), len(dataset.labels), progress=True)
    config = like(config, before)
    gpus = _gpus(config)
    chosen, rows = choose(config, survey, [sample.size_hw for sample in dataset.samples], machine(len(gpus)))
    _check_network(chosen, paths)
    if dataset.wide:
        rows.append(Choice("bit_depth", str(dataset.bit_depth), f"bits that {dataset.wide} photographs of 16 bits use"))
    return Plan(chosen, paths, dataset, split, survey, rows, gpus, _labels_of_weights(chosen))


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
    """Few cores run an operation each where that is faster: see "What each idea gave" in docs/training.md.

    TensorFlow must not be loaded yet.
    """
    if (config.architecture or default_architecture(config.weights)) == "compact":
        share_cores()


def _check_network(config: ChosenConfig, paths: RunPaths) -> None:
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
        if Path(config.weights).resolve().is_relative_to(paths.folder.resolve()):
            raise ConfigError(f"the weights {config.weights} lie in {paths.folder}, which this run would replace",
                              "weights that lie elsewhere", "give this run another --model_name")
    if config.augmentation:
        load_augmentation(Path(config.augmentation))
