"""The shape of the package: imports run one way, the service stays light, commands answer fast.

The contract itself is in pyproject.toml, under tool.importlinter; ruff's rules there ask for a docstring of every
public name.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "ss_poc"
COMMANDS = ("annotator", "assistant", "bento_deploy", "config", "demo", "expect", "export", "finish", "imagenet",
            "keras_segment", "optimise", "post_processing", "predict", "pretrain", "pretrain_clicks", "report", "train")
HEAVY = {"tensorflow", "keras", "albumentations", "segmentation_models", "efficientnet", "tf2onnx"}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """What import-linter says of the package below a folder, under the contract of this project."""
    script = "import sys; from importlinter.cli import lint_imports_command; sys.argv[1:] = ['--no-cache']; " \
             "lint_imports_command()"
    environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "COLUMNS": "120"}
    return subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, text=True, capture_output=True,
                          timeout=120)


def test_imports_run_one_way():
    done = lint(ROOT)
    assert done.returncode == 0 and "0 broken" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(("module", "line"), [
    ("core/masks.py", "from ..formats.coco_rules import RULES"),
    ("reporting/page.py", "from ..training.recipe import choose"),
    ("serving/app.py", "from ..data.dataset import load_coco"), ("inference/engines.py", "import tensorflow"),
    ("core/tiles.py", "from ..serving.service import main"), ("stray.py", ""),
    ("line/engine.py", "from ..inference.predictor import Predictor")])
def test_an_import_against_the_contract_is_found(tmp_path, module, line):
    (tmp_path / "src").mkdir()
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    subprocess.run(["cp", "-r", str(PACKAGE), str(tmp_path / "src")], check=True)
    path = tmp_path / "src" / "ss_poc" / module
    path.write_text((path.read_text() if path.is_file() else "") + f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr


def loaded_by(*modules: str, flags: tuple[str, ...] = ()) -> set[str]:
    """Packages that are loaded once these modules are imported, in a process of its own."""
    script = ("import sys\n" + "".join(f"import ss_poc.{module}\n" for module in modules)
              + "print(*{name.split('.')[0] for name in sys.modules})")
    done = subprocess.run([sys.executable, *flags, "-c", script], env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_inference_runs_where_tensorflow_is_not():
    assert not loaded_by("clicks.predictor", "inference.predictor", "inference.ranking", "serving.service") & HEAVY


def test_settings_errors_and_files_need_no_package():
    # -S: nothing that is installed can be imported.
    assert "numpy" not in loaded_by("core.errors", "core.config", "core.files", "core.run", "core.rules_file",
                                    "core.model_spec", "core.deployed", "config", "training.schedule", flags=("-S",))


@pytest.mark.parametrize("command", [*COMMANDS, "data.__main__", "line.__main__"])
def test_commands_are_quick_to_answer_because_tensorflow_loads_late(command):
    assert not loaded_by(command) & {"tensorflow", "keras", "segmentation_models"}


def test_commands_keep_their_names():
    assert sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__") == sorted(COMMANDS)


@pytest.mark.parametrize("path", [*(f"{name}.py" for name in COMMANDS), "data/__main__.py", "line/__main__.py"])
def test_a_command_ends_through_run_command(path):
    assert "run_command(main)" in (PACKAGE / path).read_text()


def test_every_command_refuses_flags_that_it_does_not_know():
    assert not [path for path in PACKAGE.rglob("*.py") if "parse_known_args" in path.read_text()]
