"""`python -m ss_poc.post_processing`: see `ss_poc.optimising.rule_search`."""

from .core.errors import run_command
from .optimising.rule_search import main

if __name__ == "__main__":
    run_command(main)
