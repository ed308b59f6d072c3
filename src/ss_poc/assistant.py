"""`python -m ss_poc.assistant`: see `ss_poc.serving.assistant`."""

from .core.errors import run_command
from .serving.assistant import main

if __name__ == "__main__":
    run_command(main)
