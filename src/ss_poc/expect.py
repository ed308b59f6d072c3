"""`python -m ss_poc.expect`: see `ss_poc.runs.expect`."""

from .core.errors import run_command
from .runs.expect import main

if __name__ == "__main__":
    run_command(main)
