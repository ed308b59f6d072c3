"""The product's commands as a benchmark runs them: measured from outside, as a user's; and labels of some images."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ss_poc.core.files import write_json
from ss_poc.core.run import RunPaths


def measured(module: str, *flags: str) -> tuple[float, float]:
    """Run `python -m ss_poc.<module>`; its seconds and its peak resident memory in GiB.

    Raises:
        SystemExit: it failed.
    """
    began = os.times().elapsed
    process = subprocess.Popen([sys.executable, "-m", f"ss_poc.{module}", *flags], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{module} {' '.join(flags)} ended with {process.returncode}")
    return os.times().elapsed - began, usage.ru_maxrss / 2**20


def trained(paths: RunPaths, img_path: str | Path, budget: str, seed: int, *flags: str) -> tuple[float, float]:
    """Train a run anew, export it, search its rules; seconds and peak memory of the training alone, as `measured`."""
    shared = ["--result", str(paths.result), "--img_dir_name", paths.img_dir_name, "--model_name", paths.model_name]
    training = measured("train", *shared, "--img_path", str(img_path), "--budget", budget, "--seed", str(seed),
                        "--overwrite", *flags)
    measured("export", *shared)
    measured("post_processing", *shared)
    return training


def labels_of(images: Sequence[dict[str, Any]], document: dict[str, Any]) -> dict[str, Any]:
    """The COCO document of some of its images alone."""
    ids = {image["id"] for image in images}
    return {**document, "images": list(images), "annotations": [
        item for item in document["annotations"] if item["image_id"] in ids]}


def parted(document: dict[str, Any], away: Callable[[str], bool]) -> list[list[dict[str, Any]]]:
    """The images of a COCO document that stay, and those whose names `away` says are kept away."""
    return [[image for image in document["images"] if away(image["file_name"]) == kept] for kept in (False, True)]


def copied(img_path: Path, images: Sequence[dict[str, Any]], document: dict[str, Any], folder: Path) -> Path:
    """Copy some images of a COCO document with their labels into a folder of their own."""
    for image in images:
        file = folder / Path(image["file_name"]).name  # names may begin with the place on coco-annotator's own disk
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(img_path / file.name, file)
    write_json(folder / ".exports" / "coco-1.json", labels_of(images, document))
    return folder
