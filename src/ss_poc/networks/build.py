"""Name to Keras network: an RGB image as float32 in 0..255 goes in, one probability a class and pixel comes out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from ..core.config import ARCHITECTURES, parse_size
from ..core.errors import ModelError
from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from .compact import COMPACT_ENCODERS, compact
from .encoders import library_encoders, with_encoder
from .pretrained import read_pretrained
from .weights import load_weights, set_body, stored_classes, take_over

import keras  # noqa: E402  isort: skip

__all__ = ["build_model", "default_encoder", "encoder_names"]

DEFAULT_ENCODERS = {"compact": "compact16", "unet": "efficientnetb0", "unetpp": "efficientnetb4",
                    "fpn": "efficientnetb0", "linknet": "efficientnetb0", "pspnet": "efficientnetb0"}


def default_encoder(architecture: str) -> str:
    """Name the encoder that an architecture gets when none is named. Raises ModelError for an unknown architecture."""
    if architecture not in ARCHITECTURES:
        raise ModelError(f"architecture {architecture!r} is not known", "one of " + ", ".join(ARCHITECTURES))
    return DEFAULT_ENCODERS[architecture]


def encoder_names(architecture: str) -> list[str]:
    """List the encoders that go with an architecture."""
    return list(COMPACT_ENCODERS) if architecture == "compact" else library_encoders()


def build_model(architecture: str, encoder: str, classes: int, size_hw: Sequence[int], weights: str = "none",
                kept: Sequence[int | None] | None = None, full: bool = True) -> keras.Model:
    """Build a network and give it the weights that it starts from.

    Args:
        architecture: one of `config.ARCHITECTURES`.
        encoder: one of `encoder_names(architecture)`; "" for its default.
        classes: channels of the output.
        size_hw: (height, width) of the input, multiples of 32 (of 96 for pspnet).
        weights: "none"; "imagenet" for a pretrained encoder (downloaded; without a network a warning is given and
            training starts from scratch); "synthetic" for a compact network that learned on drawn surfaces, in the
            package; or the path of a `.keras` file of the same architecture.
        kept: for each class its channel in that file, None for a new one; None: the classes are the same.
        full: whether the output has the size of the input; else that of `compact` has half, as it is before it is
            enlarged: that is enough to train on, and takes a quarter of the memory and time.

    Returns:
        Model from (N, height, width, 3) float32 RGB in 0..255 to (N, height, width, classes) float32 probabilities.

    Raises:
        ModelError: unknown name, a size the architecture or encoder cannot take, or weights that are missing or do not
            fit.
        ConfigError: a size that no network takes.
    """
    encoder = _checked_encoder(architecture, encoder)
    size_hw = parse_size(f"{size_hw[0]}x{size_hw[1]}")
    model = _build(architecture, encoder, classes, size_hw, weights == "imagenet", full)
    if weights == "synthetic":
        set_body(model, read_pretrained(encoder))
    elif weights not in ("none", "imagenet"):
        before = stored_classes(Path(weights))
        source = _build(architecture, encoder, before, size_hw)
        load_weights(source, Path(weights))
        same = kept is None and before == classes
        take_over(model, source, list(range(classes)) if same else kept or [None] * classes)
    return model


def _checked_encoder(architecture: str, encoder: str) -> str:
    """The encoder, or the architecture's default for ""; raises ModelError where the two do not go together."""
    default, known = default_encoder(architecture), encoder_names(architecture)
    encoder = encoder or default
    if encoder not in known:
        raise ModelError(f"encoder {encoder!r} does not go with {architecture}", "one of " + ", ".join(known))
    return encoder


def _build(architecture: str, encoder: str, classes: int, size_hw: tuple[int, int], pretrained: bool = False,
           full: bool = True) -> keras.Model:
    """The architecture, with weights that are drawn at random or, for `pretrained`, ImageNet's in its encoder."""
    if architecture != "compact":
        return with_encoder(architecture, encoder, classes, size_hw, pretrained)
    if pretrained:
        warnings.warn("compact has no pretrained weights; training starts from scratch", stacklevel=3)
    return compact(COMPACT_ENCODERS[encoder], classes, size_hw, full)
