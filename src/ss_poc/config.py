"""`python -m ss_poc.config`: see `ss_poc.core.check_flags`."""

from .core.check_flags import main
from .core.errors import run_command

if __name__ == "__main__":
    run_command(main)
