"""What a run starts with: its folder, and the run.json by which it can be gone on with."""

from __future__ import annotations

import dataclasses
import platform
from collections import Counter
from importlib import metadata

from ..core.files import remove_leftovers
from ..core.run import data_path, update_run
from .folder import make_folder
from .plan import Plan

__all__ = ["claim_folder"]

PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "segmentation-models", "efficientnet", "albumentations",
            "opencv-python-headless", "numpy", "pycocotools")


def claim_folder(plan: Plan) -> None:
    """Make the folder that a run is written to, and write what the run starts with.

    The folder of a run that goes on is kept, but for what killed processes left half written.
    """
    if plan.config.resume:
        remove_leftovers(plan.paths.folder)
        return
    make_folder(plan.paths)
    config, dataset, paths = plan.config, plan.dataset, plan.paths
    update_run(
        paths, status="started", config=dataclasses.asdict(config), versions=_versions(),
        data={"name": dataset.name, "json_path": data_path(paths, str(config.json_path)),
              "img_path": data_path(paths, config.img_path), "fingerprint": dataset.fingerprint,
              "images": len(dataset.samples), "labels": dataset.labels, "colors": dataset.colors,
              "category_ids": dataset.category_ids, "bit_depth": dataset.levels.bit_depth,
              "value_range": dataset.levels.span,
              "findings": dict(Counter(finding.code for finding in dataset.findings))},
        survey=plan.survey, recipe=[row.row() for row in plan.recipe], split=plan.split,
        workpieces={"repeated": plan.repeated, "against_group": plan.against_group})


def _versions() -> dict[str, str]:
    """Version of Python and of each of PACKAGES that is installed."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
