"""`python -m ss_poc.annotator`: see `ss_poc.labelling.cli`."""

from .core.errors import run_command
from .labelling.cli import main

if __name__ == "__main__":
    run_command(main)
