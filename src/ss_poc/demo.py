"""`python -m ss_poc.demo`: see `ss_poc.synthetic.demo`."""

from .core.errors import run_command
from .synthetic.demo import main

if __name__ == "__main__":
    run_command(main)
