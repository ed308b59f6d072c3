"""`python -m ss_poc.bento_deploy`: see `ss_poc.packaging.bento`."""

from .core.errors import run_command
from .packaging.bento import main

if __name__ == "__main__":
    run_command(main)
