"""Make the click network in the package: draw surfaces, click on their regions, learn what was meant.

    python -m ss_poc.pretrain_clicks --budget 90m
    python -m ss_poc.pretrain_clicks --budget 10m --work /tmp/clicks --out /tmp/clicks/weights

A training that was interrupted goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..clicks.look import SIZE
from ..clicks.predictor import FOLDER
from ..core.config import parse_duration
from ..core.host import share_cores
from ..core.model_spec import GRAPH_FILE
from ..core.settings import check_bounds, from_flags, setting
from .click_regions import FILE_PICTURES, draw_region_files

__all__ = ["main"]


@dataclass(frozen=True)
class PretrainClicksConfig:
    """Settings of `python -m ss_poc.pretrain_clicks`."""

    encoder: str = setting("compact16", "which network", choices=("compact16", "compact24", "compact32"))
    budget: str = setting("90m", "time to train in, without that to draw in")
    images: int = setting(5000, "number of surfaces to draw", least=2 * FILE_PICTURES, most=99_999)
    seed: int = setting(0, "what surfaces and clicks follow from", least=0)
    work: str = setting("result", "folder for surfaces, log and state")
    out: str = setting(str(FOLDER), "folder for the network")

    def __post_init__(self) -> None:
        check_bounds(self)
        parse_duration(self.budget)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = from_flags(PretrainClicksConfig, argv, "Make the click network in the package.", examples=__doc__)
    surfaces = Path(config.work) / f"click_surfaces_{config.images}_{config.seed}"
    if not surfaces.is_dir():
        draw_region_files(surfaces, config.images, config.seed)
    share_cores()
    from ..networks.clicks import click_network  # TensorFlow takes seconds to load
    from .click_crops import Regions
    from .click_export import write_graph
    from .click_training import Plan, train

    judged, *learned = sorted(surfaces.glob("*.npz"))
    plan = Plan(config.encoder, parse_duration(config.budget), config.seed)
    weights = train(plan, Regions(learned), Regions([judged]), Path(config.work) / f"clicks_{config.encoder}")
    model = click_network(config.encoder, SIZE, pretrained=False)
    model.set_weights(weights)
    target = Path(config.out) / GRAPH_FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    write_graph(model, target)
    print(f"{target}, {target.stat().st_size / 1e6:.1f} MB")
