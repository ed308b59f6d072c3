"""Every path and file format between the stages, and writing that leaves whole files only."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .config import Rule, TrainConfig, format_size, parse_size
from .errors import ArtifactError, ConfigError
from .settings import stored_settings

__all__ = [
    "CARD_FILE", "GRAPH_FILE", "OPERATING_FILE", "RLE_COLUMNS", "RULES_JSON", "SAMPLES", "SERVICE", "SPEC_FILE",
    "ModelSpec", "RunPaths",
    "atomic_path", "data_path", "deploy_folder", "find_json", "read_csv", "read_floors", "read_json", "read_rules",
    "read_run", "read_spec", "remove_leftovers", "sha256_file", "update_run", "write_csv", "write_json", "write_rules",
    "write_text",
]

SERVICE = "KerasSegmentationService"
GRAPH_FILE = "model.onnx"
SPEC_FILE = "model.json"
RULES_CSV = "valid_post_grid.csv"
RULES_JSON = "rules.json"
OPERATING_FILE = "operating_point.json"
CARD_FILE = "card.json"
SAMPLES = "samples"
RLE_COLUMNS = ("image", "label", "height", "width", "counts")
RULE_COLUMNS = ("label", "color", "size", "proba", "pad", "reduce_size", "convex", "dice")


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
    def prediction(self) -> Path:
        return self.folder / "prediction"

    def require(self) -> RunPaths:
        """Self, or ArtifactError where no run of that name exists, naming those that do."""
        if not self.run_json.is_file():
            found = sorted(path.parent.relative_to(self.result) for path in self.result.glob("*/segment/*/run.json"))
            raise ArtifactError(f"there is no run {self.folder}", "a folder with a run.json",
                                f"train it first, or name one of: {', '.join(map(str, found)) or '(none yet)'}")
        return self

    def best_model(self) -> Path:
        """The best model's file, `model_<epoch>_<val_loss>.keras`."""
        state = read_json(self.model / "state.json")
        if not isinstance(state, dict) or not isinstance(state.get("best_model"), str):
            raise ArtifactError(f"{self.model / 'state.json'} names no model", "what `ss_poc.train` writes",
                                "train again with --overwrite")
        path = self.model / state["best_model"]
        if not path.is_file():
            raise ArtifactError(f"the model {path} is missing", "the file that model/state.json names",
                                "train again with --overwrite")
        return path


@dataclass(frozen=True)
class ModelSpec:
    """What inference must know of a graph.

    Attributes:
        name: data set the model was trained on.
        version: `model_name` of the run.
        labels, colors: one a channel, in channel order.
        category_ids: ids of the training json, in channel order.
        size_hw: (height, width) of the graph's input, an RGB image as float32 in 0..255, (N, height, width, 3).
        scale: network pixels a pixel of the image, which is cut into overlapping windows of `size_hw`; 0: the whole
            image is squeezed into `size_hw`.
        network: architecture and encoder, for people.
        sha256: digest of the graph file.
        engines: those that may serve it, the preferred one first.
        twins: other files of the graph, such as its int8 form, and their digests.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    colors: tuple[str, ...]
    category_ids: tuple[int, ...]
    size_hw: tuple[int, int]
    network: str
    sha256: str
    scale: float = 0.0
    engines: tuple[str, ...] = ("onnxruntime",)
    twins: Mapping[str, str] = dataclasses.field(default_factory=dict)


def deploy_folder(root: Path, version: str) -> Path:
    """Where a version's Bento lies."""
    return root / SERVICE / "segment" / version


def find_json(img_path: Path) -> Path:
    """The newest `.exports/*.json` of a data set folder; a Roboflow `_annotations.coco.json` beside the images counts.

    Raises:
        ArtifactError: there is none.
    """
    exports = [path for path in img_path.glob(".exports/*.json") if not path.name.startswith(".")]  # those half-written
    found = sorted([*exports, *img_path.glob("_annotations.coco.json")],
                   key=lambda path: (path.stat().st_mtime_ns, path.name))
    if not found:
        raise ArtifactError(f"no COCO json in {img_path / '.exports'}", "at least one export of your labels",
                            "export the labels in the annotator, or set json_path")
    return found[-1]


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to (file or folder); takes its place when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.tmp.{path.name}")
    _remove(temporary)  # of a killed process with our number: in containers numbers start anew
    try:
        yield temporary
        if temporary.is_file():
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        if temporary.is_dir() and path.is_dir():
            _exchange_folder(temporary, path)
        else:
            os.replace(temporary, path)
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _exchange_folder(temporary: Path, path: Path) -> None:
    # No folder can take the place of another that has something in it: the old one is moved aside first.
    aside = path.with_name(f".{os.getpid()}.tmp.old.{path.name}")
    _remove(aside)
    os.replace(path, aside)
    try:
        os.replace(temporary, path)
    except OSError:
        os.replace(aside, path)
        raise
    _remove(aside)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes were writing below `folder`; what living ones write stays."""
    for path in [*folder.rglob(".*.tmp.*")]:
        pid = path.name.split(".")[1]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            _remove(path)


def write_text(path: Path, text: str) -> None:
    """Write text (UTF-8), whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write json, whole or not at all; NaN becomes null."""
    write_text(path, json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value != value:
        return None
    return value


def read_json(path: Path) -> Any:
    """Read json.

    Raises:
        ArtifactError: the file is missing or is no json.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing", "a json file", "run the stage that writes it first") from None
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is no json: {error}", "a whole json file",
                            "write it again; it may have been cut off") from None


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]], delimiter: str = ",") -> None:
    """Write a csv with its header first, whole or not at all; floats keep 6 decimals."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([f"{item:.6f}" if isinstance(item, float) else item for item in row])
    write_text(path, buffer.getvalue())


def read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a csv whose header must be `columns`.

    Raises:
        ArtifactError: the file is missing or has another header.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} is missing", f"a csv with {','.join(columns)}",
                            "run the stage that writes it first")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets put a mark in front
            reader = csv.DictReader(file)
            if list(reader.fieldnames or ()) != list(columns):
                raise ArtifactError(f"{path} starts with {reader.fieldnames}", f"the columns {','.join(columns)}")
            return list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ArtifactError(f"{path} is no csv: {error}", "a csv in UTF-8", "save it as CSV UTF-8") from None


def write_rules(path: Path, rules: Sequence[Rule]) -> None:
    """Write rules, one a class in channel order: `.csv` or `.json`, as the path says."""
    rows = [(rule.label, rule.color, format_size(rule.size_hw), round(rule.proba, 4), rule.pad, rule.reduce_size,
             int(rule.convex), float(rule.dice)) for rule in rules]
    if path.suffix == ".json":
        write_json(path, [dict(zip(RULE_COLUMNS, row, strict=True)) for row in rows])
    else:
        write_csv(path, RULE_COLUMNS, rows)


def read_rules(path: Path) -> list[Rule]:
    """Read rules: a run's `valid_post_grid.csv`, or a Bento's `rules.json`.

    Raises:
        ArtifactError: the file is missing, damaged or edited into nonsense.
    """
    rows = read_json(path) if path.suffix == ".json" else read_csv(path, RULE_COLUMNS)
    try:
        if not isinstance(rows, list):
            raise TypeError("no list")
        return [_rule(row) for row in rows]
    except (ConfigError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ArtifactError(f"{path} holds a value that cannot be: {str(error).splitlines()[0]}",
                            f"rows of {', '.join(RULE_COLUMNS)}", "undo the edit, or run the search again") from None


def _rule(row: Mapping[str, Any]) -> Rule:
    rule = Rule(row["label"], row["color"], parse_size(row["size"]), float(row["proba"]), int(row["pad"]),
                int(row["reduce_size"]), bool(int(row["convex"])),
                float("nan" if row["dice"] is None else row["dice"]))
    if not isinstance(rule.label, str) or not rule.label or not re.fullmatch(r"#[0-9a-fA-F]{6}", rule.color):
        raise ValueError(f"label {rule.label!r} with color {rule.color!r}")
    if not 0 < rule.proba <= 1:
        raise ValueError(f"proba {rule.proba} of {rule.label}")
    if not 0 <= rule.pad <= max(rule.size_hw) or rule.reduce_size < 0 or int(row["convex"]) not in (0, 1):
        raise ValueError(f"pad {rule.pad}, reduce_size {rule.reduce_size}, convex {row['convex']} of {rule.label}")
    return rule


def read_floors(path: Path, labels: Sequence[str]) -> tuple[float, ...]:
    """Threshold of each class for the verdict on an image, from an `operating_point.json`; zeros where there is none.

    Raises:
        ArtifactError: the file is damaged or of another model.
    """
    if not path.is_file():
        return (0.0,) * len(labels)
    try:
        thresholds = read_json(path)["thresholds"]
        return tuple(float(thresholds[label]) for label in labels)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} does not fit the model: {error!r}", f"a threshold each of {', '.join(labels)}",
                            "run the search again") from None


def read_run(paths: RunPaths) -> dict[str, Any]:
    """What run.json says of the run, with absolute paths of its data; settings that were left open are None."""
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


def read_spec(folder: Path) -> ModelSpec:
    """Spec of the graph in an export folder, after its checksum was found right.

    Raises:
        ArtifactError: spec or graph is missing, damaged or foreign.
    """
    values = read_json(folder / SPEC_FILE)
    try:
        spec = ModelSpec(**{**values, **{name: tuple(values[name])
                                         for name in ("labels", "colors", "category_ids", "size_hw", "engines")
                                         if name in values}})
        if len({len(spec.labels), len(spec.colors), len(spec.category_ids)}) > 1 or len(spec.size_hw) != 2:
            raise TypeError("lists of different lengths")
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"{folder / SPEC_FILE} is not a spec of ours ({error})", "what `ss_poc.export` writes",
                            "export the model again") from None
    for name, expected in {GRAPH_FILE: spec.sha256, **spec.twins}.items():
        _check_digest(folder / name, expected)
    return spec


def _check_digest(path: Path, expected: str) -> None:
    if not path.is_file():
        raise ArtifactError(f"{path} is missing", "the exported graph", "export the model again")
    digest = sha256_file(path)
    if digest != expected:
        raise ArtifactError(f"{path} has the checksum {digest[:12]}…", f"{str(expected)[:12]}…, as {SPEC_FILE} says",
                            "copy or export the model again; this file is damaged or foreign")


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
