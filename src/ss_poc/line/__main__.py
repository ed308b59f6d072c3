"""`python -m ss_poc.line`: see `ss_poc.line.command`."""

from ..core.errors import run_command
from .command import main

if __name__ == "__main__":
    run_command(main)
