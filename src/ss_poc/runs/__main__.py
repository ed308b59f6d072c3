"""`python -m ss_poc.runs`: see `ss_poc.runs.command`."""

from ..core.errors import run_command
from .command import main

if __name__ == "__main__":
    run_command(main)
