"""`python -m ss_poc.pretrain_clicks`: see `ss_poc.synthetic.pretrain_clicks`."""

from .core.errors import run_command
from .synthetic.pretrain_clicks import main

if __name__ == "__main__":
    run_command(main)
