"""`python -m ss_poc.train`: see `ss_poc.training.command`."""

from functools import partial

from .anomaly.command import train_on_good
from .core.errors import run_command
from .training.command import main as train

main = partial(train, on_good=train_on_good)

if __name__ == "__main__":
    run_command(main)
