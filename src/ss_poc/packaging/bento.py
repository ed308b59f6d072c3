"""Package a run as a Bento that holds all it needs: service, graph, names, colours, rules.

    python -m ss_poc.bento_deploy --img_dir_name demo --model_name v_1
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.config import DeployConfig
from ..core.deployed import SERVICE, deploy_folder
from ..core.errors import ArtifactError
from ..core.files import atomic_path, read_json
from ..core.model_spec import SPEC_FILE, read_spec, write_spec
from ..core.rules_file import RULES_JSON, read_rules, write_rules
from ..core.run import Run, RunPaths
from ..core.settings import from_flags
from ..inference.predictor import Predictor
from .model_card import write_card

__all__ = ["deploy", "main"]

# What a served model runs on; `ss_poc.keras_segment` is what the supervisor starts.
PACKAGES = ("clicks", "core", "formats", "inference", "measuring", "serving")
REQUIREMENTS = Path(__file__).parent / "requirements-serve.lock"


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = from_flags(DeployConfig, argv, "Package a run as a Bento.", examples=__doc__)
    paths = RunPaths(Path(config.result), config.data_set, config.model_name).require()
    deploy(paths, Path(config.deploy), config.overwrite)


def deploy(paths: RunPaths, root: Path, overwrite: bool = False) -> Path:
    """Write `<root>/KerasSegmentationService/segment/<model_name>/`, in place of one of that name.

    Args:
        paths: the run.
        root: folder of all Bentos.
        overwrite: whether a Bento of another data set may be replaced.

    Returns:
        The Bento's folder.

    Raises:
        ArtifactError: the run was not exported or searched, its graph is damaged, or the name has a Bento of another
            data set.
    """
    target = deploy_folder(root, paths.model_name)
    if not overwrite:
        _require_own(target, paths)
    spec, rules = read_spec(paths.export), read_rules(paths.rules)
    if [rule.label for rule in rules] != list(spec.labels):
        raise ArtifactError(f"{paths.rules} is for {[rule.label for rule in rules]}",
                            f"the model's {list(spec.labels)}", "run the search again")
    # Not below `root`: BentoML refuses to read files in a hidden folder, and a visible one would be litter there.
    with tempfile.TemporaryDirectory(prefix="ss-poc-build-") as scratch, atomic_path(target) as folder:
        source = Path(scratch) / "src"
        _stage(source)
        _build(source, Path(scratch) / "bentoml", paths.model_name, folder)
        models = folder / "models"
        models.mkdir(exist_ok=True)
        for file in paths.export.iterdir():
            shutil.copy2(file, models / file.name)
        # Runs that were exported by earlier versions have the name of their folder of photographs here.
        write_spec(models, dataclasses.replace(spec, name=paths.img_dir_name))
        write_rules(models / RULES_JSON, rules)
        if paths.operating_point.is_file():
            shutil.copy2(paths.operating_point, models)
        write_card(models, Run.read(paths), Predictor.load(models, models / RULES_JSON))
        (folder / "Dockerfile").symlink_to(Path("env") / "docker" / "Dockerfile")
    print(f"packaged → {target}", flush=True)
    return target


def _require_own(target: Path, paths: RunPaths) -> None:
    """Raise ArtifactError where a Bento is of another data set than the run."""
    file = target / "models" / SPEC_FILE
    there = read_json(file).get("name") if file.is_file() else None
    if there not in (None, paths.img_dir_name):
        raise ArtifactError(f"{target} is of the data set {there}", f"a Bento of {paths.img_dir_name}, or none",
                            "train under another --model_name, or replace it: --overwrite (OVERWRITE=yes for scripts)")


def _stage(source: Path) -> None:
    """Copy the packages the service imports; nothing of training goes along."""
    package = Path(__file__).parents[1]
    (source / "ss_poc").mkdir(parents=True)
    for module in ("__init__", "keras_segment"):
        shutil.copy2(package / f"{module}.py", source / "ss_poc")
    for name in PACKAGES:
        shutil.copytree(package / name, source / "ss_poc" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(REQUIREMENTS, source / "requirements.txt")


def _build(source: Path, home: Path, version: str, folder: Path) -> None:
    """Build and export the Bento; a home of its own keeps BentoML's store out of the user's."""
    os.environ.update(BENTOML_HOME=str(home), BENTOML_DO_NOT_TRACK="true")
    home.mkdir()
    import bentoml

    options: dict[str, Any] = {
        "include": ["ss_poc/", "requirements.txt"],
        "python": {"requirements_txt": "requirements.txt", "lock_packages": False},
        "labels": {"project": "ss-poc"}, "version": version.lower(), "build_ctx": str(source),
    }
    bento = bentoml.bentos.build(f"ss_poc.keras_segment:{SERVICE}", **options)
    exported = bentoml.bentos.export_bento(bento.tag, str(folder.absolute()), "folder")
    if Path(exported).resolve() != folder.resolve():
        raise ArtifactError(f"BentoML wrote {exported}", str(folder))
