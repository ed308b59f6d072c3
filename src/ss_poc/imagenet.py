"""`python -m ss_poc.imagenet`: see `ss_poc.networks.imagenet`."""

from .core.errors import run_command
from .networks.imagenet import main

if __name__ == "__main__":
    run_command(main)
