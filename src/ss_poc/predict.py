"""`python -m ss_poc.predict`: see `ss_poc.bulk.command`."""

from .bulk.command import main
from .core.errors import run_command

if __name__ == "__main__":
    run_command(main)
