"""`python -m ss_poc.finish`: see `ss_poc.finishing.command`."""

from .core.errors import run_command
from .finishing.command import main

if __name__ == "__main__":
    run_command(main)
