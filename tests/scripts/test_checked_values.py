"""scripts/training.sh: the KEY=VALUE lines of `ss_poc.config`, as the shell reads them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ss_poc.core import check_flags

ROOT = Path(__file__).resolve().parents[2]


def values(checked: str, key: str) -> list[str]:
    """What `value KEY` prints of these lines."""
    script = '. scripts/python.sh; . scripts/training.sh; checked=$1; value "$2"'
    return subprocess.check_output(["sh", "-euc", script, "sh", checked, key], cwd=ROOT, text=True).splitlines()


@pytest.mark.parametrize("path", [
    "photos of mine", "a=b", "=", "result=x", "it's", 'say "so"', "$(touch nothing)", "`id`", "a\\nb", "back\\",
    "*", "부품"])
def test_a_value_survives_whatever_it_holds(path, capsys):
    check_flags.main(["--img_path", path, "--img_dir_name", "d", "--json_path", f"{path}/x.json"])
    checked = capsys.readouterr().out.rstrip("\n")
    assert values(checked, "img_path") == [path]
    assert values(checked, "reads") == [path, f"{path}/x.json"]
    assert values(checked, "result") == ["result"] and values(checked, "data_set") == ["d"]


def test_a_key_that_was_not_said_has_no_value():
    assert values("result=a\nversion=b", "reads") == [] and values("result=a", "sult") == []
