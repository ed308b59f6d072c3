"""`python -m ss_poc.train`: see `ss_poc.training.command`."""

from functools import partial

from .anomaly.good_set import good_set
from .core.errors import run_command
from .training.command import main as train

main = partial(train, good_set=good_set)

if __name__ == "__main__":
    run_command(main)
