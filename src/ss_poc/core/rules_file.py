"""Post-processing rules as files: `valid_post_grid.csv` of a run, `rules.json` of a Bento."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .config import Rule, format_size, parse_size
from .errors import ArtifactError, ConfigError
from .files import read_csv, read_json, write_csv, write_json

__all__ = ["OPERATING_FILE", "RULES_CSV", "RULES_JSON", "read_chance", "read_floors", "read_rules", "write_rules"]

RULES_CSV = "valid_post_grid.csv"
RULES_JSON = "rules.json"
OPERATING_FILE = "operating_point.json"
RULE_COLUMNS = ("label", "color", "size", "proba", "pad", "reduce_size", "convex", "dice")


def write_rules(path: Path, rules: Sequence[Rule]) -> None:
    """Write rules, one a class in channel order: `.csv` or `.json`, as the path says."""
    rows = [(rule.label, rule.color, format_size(rule.size_hw), round(rule.proba, 4), rule.pad, rule.reduce_size,
             int(rule.convex), float(rule.dice)) for rule in rules]
    if path.suffix == ".json":
        write_json(path, [dict(zip(RULE_COLUMNS, row, strict=True)) for row in rows])
    else:
        write_csv(path, RULE_COLUMNS, rows)


def read_rules(path: Path) -> list[Rule]:
    """Read rules: a run's `valid_post_grid.csv`, or a Bento's `rules.json`. How far marks reach is in the
    `operating_point.json` beside it; 0 without one.

    Raises:
        ArtifactError: the file is missing, damaged or edited into nonsense.
    """
    rows = read_json(path) if path.suffix == ".json" else read_csv(path, RULE_COLUMNS)
    try:
        if not isinstance(rows, list):
            raise TypeError("no list")
        rules = [_rule(row) for row in rows]
    except (ConfigError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ArtifactError(f"{path} holds a value that cannot be: {str(error).splitlines()[0]}",
                            f"rows of {', '.join(RULE_COLUMNS)}", "undo the edit, or run the search again") from None
    reach = _read_reach(path.parent / OPERATING_FILE)
    return [dataclasses.replace(rule, reach=reach) for rule in rules]


def _read_reach(path: Path) -> float:
    if not path.is_file():
        return 0.0
    try:
        reach = float(read_json(path).get("reach", 0.0))
        if not 0 <= reach < 100:
            raise ValueError(f"reach {reach}")
    except (AttributeError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} has a reach that cannot be: {error!r}", "log-odds from 0 on",
                            "run the search again") from None
    return reach


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


def read_chance(path: Path) -> tuple[float, float] | None:
    """Factor and offset that make the probability of a defect on an image, from an `operating_point.json`.

    None where there is no such file, or it was written without one: there is no probability then.

    Raises:
        ArtifactError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        found = read_json(path).get("probability")
        if found is None:
            return None
        factor, offset = float(found["factor"]), float(found["offset"])
        if not (factor > 0 and math.isfinite(factor) and math.isfinite(offset)):
            raise ValueError(f"factor {factor}, offset {offset}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} has no probability of a defect that can be: {error!r}",
                            "a factor above 0 and an offset", "run the search again") from None
    return factor, offset
