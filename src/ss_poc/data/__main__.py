"""`python -m ss_poc.data`: see `ss_poc.data.check`."""

from ..core.errors import run_command
from .check import main

if __name__ == "__main__":
    run_command(main)
