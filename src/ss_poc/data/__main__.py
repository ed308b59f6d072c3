"""`python -m ss_poc.data`: see `ss_poc.data.check`; `python -m ss_poc.data convert`: see `ss_poc.data.convert`."""

import sys

from ..core.errors import run_command
from .check import main as check
from .convert import main as convert


def main() -> int:
    """Run the command that the first word names."""
    return convert(sys.argv[2:]) if sys.argv[1:2] == ["convert"] else check()


if __name__ == "__main__":
    run_command(main)
