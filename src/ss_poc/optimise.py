"""`python -m ss_poc.optimise`: see `ss_poc.optimising.engine_choice`."""

from .core.errors import run_command
from .optimising.engine_choice import main

if __name__ == "__main__":
    run_command(main)
