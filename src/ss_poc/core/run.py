"""Where a run keeps its files, and what its `run.json` says."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ArtifactError
from .files import read_json, write_json
from .rules_file import OPERATING_FILE, RULES_CSV

__all__ = ["RLE_COLUMNS", "RunPaths", "data_path", "find_json", "read_run", "update_run"]

RLE_COLUMNS = ("image", "label", "height", "width", "counts")


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
    exports = [path for path in img_path.glob(".exports/*.json") if not path.name.startswith(".")]  # those half-written
    found = sorted([*exports, *img_path.glob("_annotations.coco.json")],
                   key=lambda path: (path.stat().st_mtime_ns, path.name))
    if not found:
        raise ArtifactError(f"no COCO json in {img_path / '.exports'}", "at least one export of your labels",
                            "export the labels in the annotator, or set json_path")
    return found[-1]


def read_run(paths: RunPaths) -> dict[str, Any]:
    """What run.json says of the run, with absolute paths of its data."""
    run: dict[str, Any] = read_json(paths.require().run_json)
    for name in ("json_path", "img_path"):
        if name in run.get("data", {}):
            run["data"][name] = os.path.abspath(paths.result.parent / run["data"][name])
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
