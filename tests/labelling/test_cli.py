"""ss_poc.labelling.cli: the subcommands, whichever tool runs."""

from __future__ import annotations

import sys

import pytest

from ss_poc.core.errors import AnnotatorError
from ss_poc.labelling.cli import main

CALL = ("--tool", "label-studio", "--url", "http://127.0.0.1:9")


@pytest.mark.parametrize("verb", ["new", "scan", "export", "import", "propose", "assist", "changed"])
def test_help_of_every_subcommand_has_an_example_of_it(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*CALL, verb, "--help"])
    assert ended.value.code == 0 and f"examples:\n  sh annotator.sh {verb} photos" in capsys.readouterr().out


def test_label_studio_without_its_sdk_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.delitem(sys.modules, "ss_poc.labelling.label_studio", raising=False)
    monkeypatch.setitem(sys.modules, "label_studio_sdk", None)
    with pytest.raises(AnnotatorError, match="Label Studio cannot be asked") as raised:
        main([*CALL, "scan", "photos"])
    assert ".venv-annotate" in raised.value.fix
