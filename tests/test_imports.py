"""The shape of the package: imports run one way, the service stays light, every public name is explained."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "ss_poc"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")
TREES = {name: ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8")) for name in MODULES}

STAGES = ("train", "fit", "post_processing", "export", "optimise", "report", "predict", "bento_deploy", "demo",
          "pretrain", "keras_segment", "annotator")
# A module may import those of the lines above it.
LAYERS = (("errors", "host", "parallel", "tiles", "schedule", "operating", "charts", "telemetry", "openapi"),
          ("config", "admission"), ("artifacts", "masks", "guard", "uploads"),
          ("images", "engines", "studio_format", "annotator_api"),
          ("coco", "split", "keras_compat", "pretrained", "surfaces"), ("data", "fused", "muon"),
          ("data_check", "model", "metric", "inference", "search", "survey", "labelling", "bar",
           "sources", "augmentation"),
          ("generator", "windows", "training_model", "recipe", "evidence", "rank", "drift", "answers", "collect",
           "label_studio", "studio", "coco_annotator", "moving_in"),
          ("validation", "card", "web"), ("worker", "progress"), STAGES)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
WITHIN = {("train", "fit")}  # fit is train's own loop
TRAINING = {"bar", "coco", "data", "data_check", "split", "survey", "recipe", "generator", "schedule", "validation",
            "train", "fit", "progress", "sources", "augmentation", "windows", "training_model", "model", "metric",
            "fused", "muon", "keras_compat", "export", "post_processing", "search", "operating", "charts", "evidence",
            "optimise", "demo", "pretrain", "pretrained", "surfaces", "report", "labelling", "studio",
            "coco_annotator", "moving_in", "annotator"}
HEAVY = {"tensorflow", "keras", "albumentations", "segmentation_models", "efficientnet", "tf2onnx"}


def is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def walk(tree: ast.AST, as_command: bool = True) -> Iterator[ast.AST]:
    """Every node, those of `if __name__ == "__main__"` only if `as_command`."""
    for node in ast.iter_child_nodes(tree):
        if as_command or not is_main_guard(node):
            yield node
            yield from walk(node, as_command)


def imported(tree: ast.AST, as_command: bool = True) -> tuple[set[str], set[str]]:
    """Modules of this package that are imported anywhere, in functions too, and packages of others."""
    ours, others = set(), set()
    for node in walk(tree, as_command):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            ours |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
            continue
        else:
            continue
        for name in names:
            first, *rest = name.split(".")
            if first == "ss_poc":
                ours |= set(rest[:1])
            else:
                others.add(first)
    return ours, others


def reached(start: str) -> set[str]:
    """A module and all of ours that it imports, however far down."""
    found, todo = set(), [start]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += imported(TREES[name])[0]
    return found


def test_walking_finds_every_way_to_import():
    tree = ast.parse("import a.b\nfrom .c import d\nfrom . import e, f\nfrom ss_poc.g import h\nimport ss_poc.i\n"
                     "def x():\n    from .j import k\n    import l\nif __name__ == '__main__':\n    from .m import n\n")
    assert imported(tree) == ({"c", "e", "f", "g", "i", "j", "m"}, {"a", "l"})
    assert imported(tree, as_command=False) == ({"c", "e", "f", "g", "i", "j"}, {"a", "l"})


def test_every_module_has_its_place():
    assert set(MODULES) <= set(RANK), "give a new module its line in LAYERS"
    assert len(RANK) == sum(map(len, LAYERS))


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_one_way(name):
    ours, _ = imported(TREES[name], as_command=False)
    assert ours <= set(MODULES)
    backwards = {other for other in ours if RANK[other] >= RANK[name] and (name, other) not in WITHIN}
    assert not backwards


def test_stages_never_import_each_other():
    met = {(stage, other) for stage in set(STAGES) & set(MODULES) for other in imported(TREES[stage])[0] & set(STAGES)}
    assert met <= WITHIN


def test_the_service_reaches_nothing_of_training():
    assert not reached("keras_segment") & TRAINING
    for name in reached("keras_segment"):
        assert not imported(TREES[name])[1] & HEAVY, name


def test_the_bento_carries_what_the_service_reaches_and_no_more():
    assignments = [node for node in TREES["bento_deploy"].body if isinstance(node, ast.Assign)]
    (carried,) = [ast.literal_eval(node.value) for node in assignments if ast.unparse(node.targets[0]) == "MODULES"]
    assert set(carried) == reached("keras_segment") | {"__init__"}


def test_settings_errors_and_schedule_need_no_package():
    for name in ("errors", "config", "artifacts", "schedule"):
        assert imported(TREES[name])[1] <= set(sys.stdlib_module_names), name


def loaded_by(*names: str) -> set[str]:
    """Packages that are loaded once these modules are imported, in a process of its own."""
    script = (f"import sys\nfrom ss_poc import {', '.join(names)}\n"
              "print(*{name.split('.')[0] for name in sys.modules})")
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_inference_runs_where_tensorflow_is_not():
    assert not loaded_by("inference") & HEAVY


def test_commands_are_quick_to_answer_because_tensorflow_loads_late():
    light = set(STAGES) - {"fit", "keras_segment"} | {"data_check"}
    assert not loaded_by(*sorted(light & set(MODULES))) & {"tensorflow", "keras", "segmentation_models"}


# --- names and words


def public(tree: ast.Module) -> list[str]:
    values = [node.value for node in tree.body if isinstance(node, ast.Assign)
              and ast.unparse(node.targets[0]) == "__all__"]
    assert len(values) == 1, "one __all__ a module"
    return ast.literal_eval(values[0])


def defined(tree: ast.Module) -> dict[str, ast.AST]:
    """Top-level names, with what defines them."""
    names: dict[str, ast.AST] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names[node.name] = node
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update({alias.asname or alias.name: node for alias in node.names})
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                names.update({part.id: node for part in ast.walk(target) if isinstance(part, ast.Name)})
    return names


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_there_and_explained(name):
    tree = TREES[name]
    names, listed = defined(tree), public(tree)
    assert ast.get_docstring(tree), "a module says what it does"
    assert listed and len(set(listed)) == len(listed) and set(listed) <= set(names)
    silent = [item for item in listed if isinstance(names[item], (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
              and not ast.get_docstring(names[item])]
    assert not silent


@pytest.mark.parametrize("name", MODULES)
def test_a_public_name_is_not_private(name):
    assert not [item for item in public(TREES[name]) if item.startswith("_")]


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_imported_or_caught_wholesale_and_flags_are_all_checked(name):
    for node in ast.walk(TREES[name]):
        assert not (isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names))
        assert not (isinstance(node, ast.ExceptHandler) and (
            node.type is None or "BaseException" in ast.unparse(node.type))), f"line {node.lineno}"
        assert not (isinstance(node, ast.Attribute) and node.attr == "parse_known_args"), f"line {node.lineno}"
        assert not (isinstance(node, ast.Name) and node.id in ("eval", "exec")), f"line {node.lineno}"


@pytest.mark.parametrize("name", MODULES)
def test_every_module_is_python_3_10(name):
    ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"), feature_version=(3, 10))


@pytest.mark.parametrize("name", MODULES)
def test_a_command_ends_through_run_command(name):
    guards = [node for node in TREES[name].body if is_main_guard(node)]
    assert len(guards) <= 1 and all("run_command(" in ast.unparse(guard) for guard in guards)
