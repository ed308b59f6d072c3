"""The folder of a run: what it holds before a training, and how a new run takes the place of an earlier one.

A run that replaces another is written beside it, into `RunPaths.replacement`, and takes its place when it is finished.
Until then, and after a kill at any moment, the earlier one is whole. What no run writes is never removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from ..core.config import TrainConfig
from ..core.errors import ArtifactError, ConfigError
from ..core.files import remove_leftovers, replace_folder
from ..core.run import RunPaths, read_run

__all__ = ["at_hand", "check_folder", "check_inputs", "finish_replacing", "folder_for", "make_folder", "put_in_place",
           "status_of"]

# What a run, its later stages and the commands on it write at the top of its folder.
WRITTEN = ("export", "graph", "log", "model", "prediction", "preview.jpg", "run.json", "valid")


def at_hand(paths: RunPaths) -> RunPaths:
    """The run that is gone on with or used under a name: its replacement, where one was begun."""
    return paths.replacement if paths.replacement.run_json.is_file() else paths


def status_of(paths: RunPaths) -> str:
    """"started" or "finished", or "absent" where there is no run."""
    return str(read_run(paths)["status"]) if paths.run_json.is_file() else "absent"


def check_folder(paths: RunPaths, config: TrainConfig) -> None:
    """Raise ArtifactError where the user did not say what to do with what is in the folder of a run.

    Args:
        paths: of the run at hand.
        config: says what the user wants of an earlier run.
    """
    status = status_of(paths)
    if config.resume and status == "absent":
        raise ArtifactError(f"there is no run {paths.folder} to resume", "a run that was started", "drop --resume")
    if config.resume and status == "finished":
        raise ArtifactError(f"the run {paths.folder} is finished", "an interrupted run", "drop --resume, and give "
                            "it another --model_name")
    if status != "absent" and not (config.resume or config.overwrite or config.reuse):
        raise ArtifactError(f"{paths.folder} holds a run already ({status})", "a new model_name",
                            "--model_name v_2 to keep it, --overwrite to replace it, "
                            + ("--reuse to use it" if status == "finished" else "--resume to go on with it"))
    found = _of_a_run(paths.folder)
    if status == "absent" and found and not config.overwrite:
        raise ArtifactError(f"{paths.folder} holds {', '.join(path.name for path in found)} but no run.json",
                            "a new model_name, or a folder without files of a run",
                            "--model_name v_2 to keep them, --overwrite to replace them")


def check_inputs(paths: RunPaths, config: TrainConfig) -> None:
    """Raise ConfigError where a new run would replace what it reads: it could never be repeated.

    Args:
        paths: where the run will be written.
        config: names what it reads.
    """
    target = paths.replaces
    replaced = [*(target.folder / name for name in WRITTEN), target.replacement.folder]
    for name in ("img_path", "json_path", "weights", "augmentation"):
        path = Path(str(getattr(config, name)))
        if any(path.resolve().is_relative_to(place.resolve()) for place in replaced):
            raise ConfigError(f"the {name} {path} lies in {target.folder}, which this run would replace",
                              f"{name} that lies elsewhere", "give this run another --model_name")


def _of_a_run(folder: Path) -> list[Path]:
    """What a run wrote into a folder; empty folders do not count."""
    return [path for path in (folder / name for name in WRITTEN)
            if path.is_file() or (path.is_dir() and any(item.is_file() for item in path.rglob("*")))]


def folder_for(paths: RunPaths) -> RunPaths:
    """Where a new run of a name is written: beside an earlier one, where there is one."""
    return paths.replacement if _of_a_run(paths.folder) else paths


def make_folder(paths: RunPaths) -> None:
    """Make the folder that `folder_for` named; what an interrupted replacement left goes."""
    begun = paths.replaces.replacement.folder
    if begun.is_dir():
        shutil.rmtree(begun)
    paths.folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(paths.folder)
    for name in WRITTEN:
        with contextlib.suppress(OSError):  # an empty folder, or nothing
            (paths.folder / name).rmdir()


def put_in_place(paths: RunPaths) -> RunPaths:
    """Let a finished run take the place of the one that it replaces, if any; return where it is then.

    Files that no run writes stay in the folder.
    """
    target = paths.replaces
    if target == paths:
        return paths
    for path in _kept(target.folder):
        os.replace(path, paths.folder / path.name)
    replace_folder(paths.folder, target.folder, _aside(target))
    return target


def _kept(folder: Path) -> list[Path]:
    """What no run wrote."""
    found = folder.iterdir() if folder.is_dir() else ()
    return [path for path in found if path.name not in WRITTEN and not path.match(".*.tmp.*")
            and not path.match(".*.old.*")]


def _aside(paths: RunPaths) -> Path:
    return paths.folder.with_name(f".{paths.model_name}.old")


def finish_replacing(paths: RunPaths) -> None:
    """Go on where a process was killed while a finished run took the place of another."""
    if status_of(paths.replacement) == "finished":
        put_in_place(paths.replacement)
    aside = _aside(paths)
    if aside.is_dir() and paths.folder.is_dir():
        shutil.rmtree(aside)
