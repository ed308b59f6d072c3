"""The process that runs a line.

    python -m ss_poc.line check line.yaml      (say all that is wrong with it; start nothing)
    python -m ss_poc.line run line.yaml        (check it, then run the line until it is told to stop)
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .settings import read_settings, state_of

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Do what the command line says.

    Raises:
        ConfigError: the yaml has errors, or the line runs already.
    """
    parser = argparse.ArgumentParser(prog="python -m ss_poc.line", description="Run a line.", allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, meaning in (("check", "say all that is wrong with a yaml; start nothing"), ("run", "run a line"),
                          ("state", "print the folder that the line of a yaml keeps its state in")):
        verbs.add_parser(verb, help=meaning).add_argument("yaml", type=Path, metavar="FILE")
    given = parser.parse_args(argv)
    if given.verb == "state":
        print(state_of(given.yaml))
        return
    settings = read_settings(given.yaml)
    if given.verb == "check":
        print(f"{given.yaml} is right: line {settings.line}, {len(settings.sources)} source(s)")
        return
    from .process import run_line  # check needs no database

    run_line(settings)
