"""`python -m ss_poc.report`: see `ss_poc.reporting.page`."""

from .core.errors import run_command
from .reporting.page import main

if __name__ == "__main__":
    run_command(main)
