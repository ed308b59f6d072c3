"""`python -m ss_poc.export`: see `ss_poc.optimising.export`."""

from .core.errors import run_command
from .optimising.export import main

if __name__ == "__main__":
    run_command(main)
