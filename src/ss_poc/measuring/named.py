"""A folder of part rules, a yaml for each kind of part: who asks names one of them, and can bring none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import ConfigError
from .settings import PartRules, read_rules

__all__ = ["check_labels", "read_folder"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,49}")


def read_folder(folder: Path, labels: Sequence[str]) -> dict[str, PartRules]:
    """Read `<name>.yaml` of a folder, by their names.

    Args:
        folder: with at least one of them.
        labels: of the model.

    Raises:
        ConfigError: there is no such folder or file, a name cannot be asked for, or a file has errors.
    """
    found = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if not found:
        raise ConfigError(f"there are no part rules in {folder}", "a folder of files such as press-4.yaml")
    wrong = [name for name in found if not NAME.fullmatch(name)]
    if wrong:
        raise ConfigError(f"part rules are named {wrong[0]!r}", "letters, digits, '.', '_' and '-', at most 50 of them",
                          "rename the file")
    rules = {name: read_rules(path) for name, path in found.items()}
    for name, path in found.items():
        check_labels(rules[name], labels, path)
    return rules


def check_labels(rules: PartRules, labels: Sequence[str], source: Path) -> None:
    """Raise ConfigError where rules have limits for a class that a model does not know."""
    unknown = [label for label in rules.classes if label not in labels]
    if unknown:
        raise ConfigError(f"{source} has limits for {', '.join(unknown)}", f"classes of the model: {', '.join(labels)}",
                          "correct their names, or use the model that knows them")
