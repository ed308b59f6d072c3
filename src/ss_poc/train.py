"""`python -m ss_poc.train`: see `ss_poc.training.command`."""

from .core.errors import run_command
from .training.command import main

if __name__ == "__main__":
    run_command(main)
