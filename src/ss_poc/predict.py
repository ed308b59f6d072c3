"""`python -m ss_poc.predict`: see `ss_poc.inference.command`."""

from .core.errors import run_command
from .inference.command import main

if __name__ == "__main__":
    run_command(main)
