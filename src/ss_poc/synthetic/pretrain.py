"""Make the weights in the package: draw surfaces, train a compact network on them, keep all but its head.

    python -m ss_poc.pretrain --encoder compact24 --budget 1h
    python -m ss_poc.pretrain --encoder compact16 --budget 40m --work /tmp/pretrain
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.config import check_bounds, from_flags, parse_duration, setting
from ..core.errors import ModelError
from ..core.run import RunPaths
from ..networks.pretrained import FOLDER, write_pretrained
from .surfaces import SIDE, draw_surfaces

__all__ = ["main"]

# Surfaces are larger than what they teach, and there are enough of them: no rare class, few mosaics.
FLAGS = ("--weights", "none", "--architecture", "compact", "--scale", "1", "--size", f"{SIDE}x{SIDE}",
         "--crop", "256x256", "--sampling", "0.5", "--mosaic", "0.2", "--valid", "0.02",
         "--cache_mb", "4096", "--reuse")


@dataclass(frozen=True)
class PretrainConfig:
    """Settings of `python -m ss_poc.pretrain`."""

    encoder: str = setting("compact24", "which network", choices=("compact16", "compact24", "compact32"))
    budget: str = setting("1h", "time to train in")
    images: int = setting(12000, "number of surfaces to draw", least=100, most=99_999)
    seed: int = setting(0, "what surfaces and training follow from", least=0)
    work: str = setting("result", "folder for surfaces and run")
    out: str = setting(str(FOLDER), "folder for the weights")

    def __post_init__(self) -> None:
        check_bounds(self)
        parse_duration(self.budget)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = from_flags(PretrainConfig, argv, "Make the weights in the package.")
    folder = Path(config.work) / f"surfaces_{config.images}_{config.seed}"
    if not folder.is_dir():
        draw_surfaces(folder, config.images, config.seed)
    done = subprocess.run([sys.executable, "-m", "ss_poc.train", "--img_path", str(folder), "--result", config.work,
                           "--img_dir_name", folder.name, "--model_name", config.encoder, "--encoder", config.encoder,
                           "--budget", config.budget, "--seed", str(config.seed), *FLAGS], check=False)
    if done.returncode:
        raise ModelError(f"the training ended with {done.returncode}", "0", "its own words are above")
    source = RunPaths(Path(config.work), folder.name, config.encoder).best_model()
    from ..networks.build import build_model  # TensorFlow takes seconds to load
    from ..networks.weights import body_weights, stored_classes

    target = Path(config.out) / f"{config.encoder}.npz"
    model = build_model("compact", config.encoder, stored_classes(source), (SIDE, SIDE), str(source))
    write_pretrained(body_weights(model), target)
    print(f"{source} → {target}, {target.stat().st_size / 1e6:.1f} MB")
