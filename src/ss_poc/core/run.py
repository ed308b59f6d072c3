"""Where a run keeps its files, and what its `run.json` says."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .config import WITH_MEMORY, ChosenConfig, TrainConfig, parse_size
from .errors import ArtifactError
from .files import read_json, write_json
from .levels import FULL_DEPTH, Levels
from .rules_file import OPERATING_FILE, RULES_CSV
from .settings import stored_settings

__all__ = ["HELD_OUT_COLUMNS", "HELD_OUT_CSV", "RLE_COLUMNS", "Run", "RunData", "RunPaths", "Scores", "Split",
           "Trained", "data_path", "exports_of", "find_json", "newest", "read_run", "update_run"]

Section = TypeVar("Section")

RLE_COLUMNS = ("image", "label", "height", "width", "counts")
# Pixels of each validation image and class, under rules that were found on other workpieces.
HELD_OUT_CSV = "valid_held_out.csv"
HELD_OUT_COLUMNS = ("image", "label", "true", "predicted", "both")


@dataclass(frozen=True)
class RunPaths:
    """Where one run keeps its files: `<result>/<img_dir_name>/segment/<model_name>/`."""

    result: Path
    img_dir_name: str
    model_name: str

    @property
    def folder(self) -> Path:
        return self.result / self.img_dir_name / "segment" / self.model_name

    @property
    def unpacked(self) -> Path:
        """Where zips of labels and photographs are unpacked, for all runs on the data set."""
        return self.result / self.img_dir_name / "unpacked"

    @property
    def replacement(self) -> RunPaths:
        """Where a run is written that takes this one's place when it is finished: a name that no user can give."""
        return dataclasses.replace(self, model_name=f".{self.model_name}.new")

    @property
    def replaces(self) -> RunPaths:
        """The run whose `replacement` this is; itself where it is none."""
        hidden = self.model_name.startswith(".")
        return dataclasses.replace(self, model_name=self.model_name[1:].removesuffix(".new")) if hidden else self

    @property
    def run_json(self) -> Path:
        return self.folder / "run.json"

    @property
    def log(self) -> Path:
        return self.folder / "log" / "log.out"

    @property
    def graph(self) -> Path:
        return self.folder / "graph"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def export(self) -> Path:
        return self.folder / "export"

    @property
    def valid(self) -> Path:
        return self.folder / "valid"

    @property
    def rules(self) -> Path:
        return self.valid / RULES_CSV

    @property
    def operating_point(self) -> Path:
        return self.valid / OPERATING_FILE

    @property
    def maps(self) -> Path:
        """Where probability maps of the images that validate are kept while a command after training runs."""
        return self.folder / ".maps"

    @property
    def prediction(self) -> Path:
        return self.folder / "prediction"

    def require(self) -> RunPaths:
        """Self, or ArtifactError where no run of that name exists, naming those that do."""
        if not self.run_json.is_file():
            found = sorted(path.parent.relative_to(self.result) for path in self.result.glob("*/segment/*/run.json")
                           if not path.parent.name.startswith("."))
            raise ArtifactError(f"there is no run {self.folder}", "a folder with a run.json",
                                f"train it first, or name one of: {', '.join(map(str, found)) or '(none yet)'}")
        return self

    def best_model(self) -> Path:
        """The best model's file, `model_<epoch>_<val_loss>.keras`."""
        state = read_json(self.model / "state.json")
        if not isinstance(state, dict) or not isinstance(state.get("best_model"), str):
            raise ArtifactError(f"{self.model / 'state.json'} names no model", "what `ss_poc.train` writes",
                                "train again with --overwrite")
        path: Path = self.model / state["best_model"]
        if not path.is_file():
            raise ArtifactError(f"the model {path} is missing", "the file that model/state.json names",
                                "train again with --overwrite")
        return path


def find_json(img_path: Path) -> Path:
    """The newest `.exports/*.json` of a data set folder; a Roboflow `_annotations.coco.json` beside the images counts.

    Raises:
        ArtifactError: there is none.
    """
    found = newest([*exports_of(img_path), *img_path.glob("_annotations.coco.json")])
    if not found:
        raise ArtifactError(f"no COCO json in {img_path / '.exports'}", "at least one export of your labels",
                            "export the labels in the annotator, or set json_path")
    return found


def exports_of(img_path: Path) -> list[Path]:
    """The `.exports/*.json` of a data set folder, but for those half-written."""
    return [path for path in img_path.glob(".exports/*.json") if not path.name.startswith(".")]


def newest(files: Iterable[Path]) -> Path | None:
    """The file that was written last; None where there is none."""
    return max(files, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)


@dataclass(frozen=True)
class RunData:
    """The data set of a run.

    Attributes:
        name: of the data set.
        json_path, img_path: COCO json and folder of the images, absolute.
        fingerprint: hex digest of images and labels.
        images: number of images that train or validate.
        labels, colors, category_ids: one for each class, in channel order.
        findings: how often each kind of finding was met in the labels.
        bit_depth: bits that the photographs use in files of 16 bits.
        value_range: values of float, signed and 32-bit photographs that become 0 and 255; None: there are none.
    """

    name: str = ""
    json_path: str = ""
    img_path: str = ""
    fingerprint: str = ""
    images: int = 0
    labels: Sequence[str] = ()
    colors: Sequence[str] = ()
    category_ids: Sequence[int] = ()
    findings: Mapping[str, int] = field(default_factory=dict)
    bit_depth: int = FULL_DEPTH
    value_range: Sequence[float] | None = None

    @property
    def levels(self) -> Levels:
        """How photographs of more than 8 bits become 8 bits."""
        low, high = self.value_range or (0.0, 0.0)
        return Levels(self.bit_depth, (low, high) if self.value_range else None)


@dataclass(frozen=True)
class Split:
    """Names of the images that train and that validate."""

    train: Sequence[str] = ()
    valid: Sequence[str] = ()


@dataclass(frozen=True)
class Trained:
    """What training came to: epochs done, row of the best one, seconds in all, crops a second."""

    epochs: int = 0
    best: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    crops_a_second: float = 0.0


@dataclass(frozen=True)
class Scores:
    """What the search measured on the images that validate.

    Attributes:
        images: how many images validate.
        dice, dice_plain: of each class, mean Dice of an image, with its rule and with the plain one
            (`refine.plain_rules`).
        iou: of each class, of all pixels together; None where no image has or gets the class.
    """

    images: int = 0
    dice: Mapping[str, float] = field(default_factory=dict)
    dice_plain: Mapping[str, float] = field(default_factory=dict)
    iou: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run as its run.json tells it, for the stages after training.

    Sections that are not there yet, or were not written by an earlier version, are None or empty; what this version
    does not know is left out.

    Attributes:
        status: "started" or "finished".
        config: every setting, named by the user or chosen.
        data: what it was trained on.
        split: which images train, which validate.
        versions: of Python and the packages.
        survey: facts of the images that train (`data.facts.Survey`).
        recipe: setting, value and reason of each choice.
        workpieces: `repeated`, photographs that seem to show the same workpieces (`data.workpieces.Repeated`), or None;
            `against_group`, sentences that speak against the setting `group`.
        train: None before training has ended.
        memory: of a model of good photographs alone, how many windows of them it remembers; else None.
        export: largest difference to Keras, digest and bytes of the graph.
        features: how much features of ImageNet count beside the network, `weight`, and the mean average `precision` of
            each weight that was tried; empty without them.
        calibration: of each class `factor` and `offset` (`optimising.calibration`), and how far probabilities are off
            `before` and `after`; empty where the graph stays as it is.
        scores: None before the search.
        search: what was found for each class (`optimising.rule_grid.Found`).
        search_settings: settings of that search.
        operating: when an image is called defective: `chosen`, and the `curve` it was chosen from.
        engines: what was measured of each engine (`optimising.engine_choice.Candidate`).
        engine: the one that serves; None before engines were measured.
        engine_settings: settings of that measurement.
        expected: what folds and fewer labels bring (`runs.expect`): `folds` and `curve`; empty before.
    """

    status: str = ""
    config: ChosenConfig = field(default_factory=ChosenConfig)
    data: RunData = field(default_factory=RunData)
    split: Split = field(default_factory=Split)
    versions: Mapping[str, str] = field(default_factory=dict)
    survey: Mapping[str, Any] = field(default_factory=dict)
    recipe: Sequence[Mapping[str, str]] = ()
    workpieces: Mapping[str, Any] = field(default_factory=dict)
    train: Trained | None = None
    memory: Mapping[str, Any] | None = None
    export: Mapping[str, Any] | None = None
    features: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[str, Any] = field(default_factory=dict)
    scores: Scores | None = None
    search: Sequence[Mapping[str, Any]] = ()
    search_settings: Mapping[str, Any] = field(default_factory=dict)
    operating: Mapping[str, Any] = field(default_factory=dict)
    engines: Sequence[Mapping[str, Any]] = ()
    engine: str | None = None
    engine_settings: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, paths: RunPaths) -> Run:
        """The run of a folder.

        Raises:
            ArtifactError: there is no such run, or its run.json is damaged.
        """
        values = read_run(paths)
        kinds: dict[str, type[Any]] = {"data": RunData, "split": Split, "train": Trained, "scores": Scores}
        sections = {name: _section(kind, values[name]) for name, kind in kinds.items() if values.get(name) is not None}
        return _section(cls, {**values, **sections, "config": _settings(values.get("config", {}))})

    @property
    def size_hw(self) -> tuple[int, int]:
        """(height, width) of the network's input."""
        return parse_size(self.config.size)

    @property
    def scale(self) -> float:
        """Network pixels for each pixel of a photograph; 0 where whole images are squeezed into `size_hw`."""
        return self.config.scale or 0.0

    @property
    def encoder(self) -> str:
        """Encoder of the network; "" for the architecture's own."""
        return (self.config.encoder or "") + (WITH_MEMORY if self.memory else "")


def _section(kind: type[Section], values: Mapping[str, Any]) -> Section:
    """A dataclass from those of the values that it has a field for."""
    known = {item.name for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in values.items() if name in known})


def _settings(values: Mapping[str, Any]) -> ChosenConfig:
    """Settings as they were written; not checked anew, as an earlier version may have allowed what this one refuses."""
    config = ChosenConfig()
    for item in dataclasses.fields(config):
        if item.name in values:
            object.__setattr__(config, item.name, values[item.name])
    return config


def read_run(paths: RunPaths) -> dict[str, Any]:
    """run.json as it is, but for absolute paths of the data and None for what was not set: for what goes on with a run.

    Other stages take `Run.read`.
    """
    run: dict[str, Any] = read_json(paths.require().run_json)
    for name in ("json_path", "img_path"):
        if name in run.get("data", {}):
            run["data"][name] = os.path.abspath(paths.result.parent / run["data"][name])
    if "config" in run:
        run["config"] = stored_settings(TrainConfig, run["config"])
    return run


def data_path(paths: RunPaths, path: str) -> str:
    """A path as run.json keeps it: from the folder that holds `result`, unless it was given as an absolute one outside.

    So a run means the same on the machine and in a container, where that folder has another name.
    """
    project = os.path.abspath(paths.result.parent)
    absolute = os.path.abspath(path)
    inside = Path(absolute).is_relative_to(project)
    return os.path.relpath(absolute, project) if inside or not os.path.isabs(path) else absolute


def update_run(paths: RunPaths, **sections: Any) -> None:
    """Replace sections of run.json, keep the others."""
    old = read_json(paths.run_json) if paths.run_json.is_file() else {}
    write_json(paths.run_json, {**old, **sections})
