"""`python -m ss_poc.pretrain`: see `ss_poc.synthetic.pretrain`."""

from .core.errors import run_command
from .synthetic.pretrain import main

if __name__ == "__main__":
    run_command(main)
