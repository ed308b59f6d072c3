"""A plan of many trainings: data sets, recipes, seeds and folds, multiplied out to the commands a user would type."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..core import yaml_settings as schema
from ..core.config import ExportConfig, RunConfig, SearchConfig, TrainConfig
from ..core.errors import ConfigError
from ..core.run import Run, RunPaths, read_run
from ..core.settings import flags_of, kinds_of
from ..core.yaml_settings import Read, Reader, entry, read_yaml
from ..training.earlier import changed_settings

__all__ = ["PlannedRun", "read_plan"]

# What a plan says by its own words, or the command by itself.
NOT_FLAGS = ("result", "img_dir_name", "model_name", "img_path", "json_path", "group", "exif_labels", "seed", "fold",
             "resume", "reuse", "overwrite")
LONGEST_NAME = 100


@dataclass(frozen=True)
class PlannedRun:
    """One training of a plan.

    Attributes:
        recipe: what distinguishes it from others on the same photographs, for people; seed and fold are not of it.
        config: every setting that the plan names. A run that was interrupted goes on, one that is finished is used.
    """

    recipe: str
    config: TrainConfig

    @property
    def paths(self) -> RunPaths:
        """Where it is written."""
        return RunPaths(Path(self.config.result), self.config.data_set, self.config.model_name)

    @property
    def name(self) -> str:
        """Data set and version."""
        return f"{self.config.data_set}/{self.config.model_name}"

    @property
    def done(self) -> bool:
        """Whether it was trained and searched."""
        if not self.paths.run_json.is_file():
            return False
        run = Run.read(self.paths)
        return run.status == "finished" and run.scores is not None

    def commands(self) -> list[list[str]]:
        """The words after `python` of each command: train, export, search."""
        stages: list[tuple[str, type[RunConfig]]] = [("train", TrainConfig), ("export", ExportConfig),
                                                     ("post_processing", SearchConfig)]
        settings = dataclasses.asdict(self.config)
        return [["-m", f"ss_poc.{name}", *flags_of(config, settings)] for name, config in stages]

    def differences(self) -> list[str]:
        """What the plan names otherwise than the run of this name, which is there, was started with."""
        begun = self.paths.replacement if self.paths.replacement.run_json.is_file() else self.paths
        if self.config.good_only or not begun.run_json.is_file():  # that names the photographs drawn on, not these
            return []
        return changed_settings(read_run(begun)["config"], self.config)


def _flag(item: dataclasses.Field[Any]) -> Read:
    """How one value of a setting of the training is read."""
    meta, kind = item.metadata, kinds_of(TrainConfig)[item.name]
    if meta["choices"]:
        return schema.choice(*meta["choices"])
    if kind is bool:
        return schema.switch
    if kind is str:
        return schema.text()
    least, most = (bound if meta[name] is None else meta[name]
                   for name, bound in (("least", -math.inf), ("most", math.inf)))
    return schema.number(least, most, kind)


def _one_or_each(read: Read) -> Read:
    """A value, or a list of values, which becomes a tuple."""
    return lambda reader, node, place: (schema.each(read) if isinstance(node, yaml.SequenceNode) else read)(
        reader, node, place)


Flags: type = dataclasses.make_dataclass("Flags", [
    (item.name, Any, entry(_one_or_each(_flag(item)), item.metadata["meaning"], None))
    for item in dataclasses.fields(TrainConfig) if item.name not in NOT_FLAGS], frozen=True)


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Photographs to train on; paths are as in a command: relative to the folder that it is started in."""

    img_path: str = entry(schema.text(), "folder of the photographs, or a zip of it")
    name: str | None = entry(schema.text(), "name of the data set under result/", None)
    json_path: str | None = entry(schema.text(), "labels", None)
    group: str | None = entry(schema.text(), "regular expression that finds the workpiece", None)
    exif_labels: str = entry(_flag(next(item for item in dataclasses.fields(TrainConfig)
                                        if item.name == "exif_labels")), "what labels refer to", "auto")


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """A whole plan."""

    plan: str = entry(schema.text(r"[A-Za-z0-9][A-Za-z0-9.-]{0,29}", "letters, digits, '.' and '-', at most 30 of "
                                  "them"), "a name, with which those of the runs begin")
    data: tuple[DataSettings, ...] = entry(schema.each(schema.block(DataSettings)), "a list of data sets")
    flags: Any = entry(_one_or_each(schema.block(Flags)), "flags of the training, each a value or a list", None)
    seeds: tuple[int, ...] = entry(schema.each(schema.whole()), "a list of seeds", (0,))
    folds: int | None = entry(schema.whole(2, 999), "number of folds", None)
    result: str = entry(schema.text(), "folder of all runs", "result")

    def runs(self) -> Iterator[PlannedRun]:
        """All trainings: data set by data set, recipe by recipe. Raises ConfigError where one cannot be."""
        for data, (recipe, flags), seed, fold in itertools.product(self.data, self.recipes(), self.seeds,
                                                                   self.fold_names()):
            settings: dict[str, Any] = {item.name: getattr(data, item.name) for item in dataclasses.fields(data)}
            settings["img_dir_name"] = settings.pop("name")
            words = [self.plan, *(f"{name}-{value}" for name, value in recipe.items()), f"seed-{seed}"]
            if fold:
                words.append(f"fold-{fold.replace('/', 'of')}")
            config = TrainConfig(**settings, **flags, result=self.result, seed=seed, fold=fold, reuse=True,
                                 model_name=_folder_name("_".join(words)))
            config = dataclasses.replace(config, img_dir_name=config.data_set)
            yield PlannedRun(" ".join(f"{name}={value}" for name, value in recipe.items()) or self.plan, config)

    def fold_names(self) -> list[str | None]:
        """Each fold as the training is told it; None where there are none."""
        return [f"{number}/{self.folds}" for number in range(1, self.folds + 1)] if self.folds else [None]

    def recipes(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """The flags that distinguish each recipe, and all of its flags. In a single block these are what lists hold."""
        several = isinstance(self.flags, tuple)
        for block in self.flags if several else [self.flags or Flags()]:
            given = {name: value for name, value in vars(block).items() if value is not None}
            lists = [value if isinstance(value, tuple) else (value,) for value in given.values()]
            for values in itertools.product(*lists):
                flags = dict(zip(given, values, strict=True))
                yield {name: value for name, value in flags.items()
                       if several or isinstance(given[name], tuple)}, flags


def _folder_name(wanted: str) -> str:
    """A name that a folder may have; where that is another one, it says by a digest of which."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", wanted)
    if name == wanted and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME - 9]}-{hashlib.blake2b(wanted.encode(), digest_size=4).hexdigest()}"


def read_plan(source: Path) -> list[PlannedRun]:
    """All trainings of a plan.

    Raises:
        ConfigError: what is wrong with the plan, all at once, each with its line; or runs of these names are there
            that were started with other settings.
    """
    runs = list(read_yaml(PlanSettings, source, _together).runs())
    changed = [f"{run.name}: {', '.join(found)}" for run in runs if (found := run.differences())]
    if changed:
        raise ConfigError("\n  ".join(["settings differ from those that runs were started with:", *changed]),
                          "the same settings", "give the plan another name, or remove these runs")
    return runs


def _together(settings: PlanSettings, reader: Reader) -> None:
    for name in ("data", "seeds", "flags"):
        if getattr(settings, name) == ():
            reader.note(name, "is empty", "at least one value")
    for block, place in _blocks_of_flags(settings.flags):
        for name, value in vars(block).items():
            if value == ():
                reader.note(f"{place}.{name}", "is empty", "at least one value")
    for index, data in enumerate(settings.data):
        if not Path(data.img_path).exists():
            reader.note(f"data[{index}].img_path", f"is {data.img_path!r}", "a folder or zip that is there")
    # Each part with others that are right, so that one error hides no other.
    parts = [(dataclasses.replace(settings, data=(data,), flags=None), f"data[{index}]")
             for index, data in enumerate(settings.data)]
    parts += [(dataclasses.replace(settings, data=(DataSettings(img_path="photographs"),), flags=block), place)
              for block, place in _blocks_of_flags(settings.flags)]
    wrong = [what for part, place in parts for what in _refused(dataclasses.replace(part, seeds=(0,)), reader, place)]
    if not wrong:
        names = Counter(run.name for run in settings.runs())
        for name in [name for name, count in names.items() if count > 1]:
            reader.note("plan", f"has {names[name]} runs {name}", "each data set, recipe and seed once")


def _blocks_of_flags(flags: Any) -> Sequence[tuple[Any, str]]:
    if isinstance(flags, tuple):
        return [(block, f"flags[{index}]") for index, block in enumerate(flags)]
    return [(flags, "flags")] if flags else []


def _refused(settings: PlanSettings, reader: Reader, place: str) -> list[str]:
    """Note what no training takes, each error once; return what was noted."""
    noted: list[str] = []
    for _, recipe in settings.recipes():
        try:
            list(dataclasses.replace(settings, flags=Flags(**recipe)).runs())
        except ConfigError as error:
            if error.what not in noted:
                noted.append(error.what)
                reader.note(place, error.what, error.expected)
    return noted
