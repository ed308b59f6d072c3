"""Name to Keras network: an RGB image as float32 in 0..255 goes in, one probability a class and pixel comes out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from ..core.config import ARCHITECTURES, WITH_MEMORY, parse_size
from ..core.errors import ModelError
from . import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from .compact import COMPACT_ENCODERS, compact
from .encoders import library_encoders, with_encoder
from .memory import lite0_taps, memory_of_good, with_memory
from .pretrained import read_pretrained
from .weights import load_weights, set_body, stored_classes, take_over

import keras  # noqa: E402  isort: skip

__all__ = ["build_model", "check_network", "default_encoder", "encoder_names"]

DEFAULT_ENCODERS = {"compact": "compact16", "unet": "efficientnetb0", "unetpp": "efficientnetb4",
                    "fpn": "efficientnetb0", "linknet": "efficientnetb0", "pspnet": "efficientnetb0"}


def default_encoder(architecture: str) -> str:
    """Name the encoder that an architecture gets when none is named. Raises ModelError for an unknown architecture."""
    if architecture not in ARCHITECTURES:
        raise ModelError(f"architecture {architecture!r} is not known", "one of " + ", ".join(ARCHITECTURES))
    return DEFAULT_ENCODERS[architecture]


def encoder_names(architecture: str) -> list[str]:
    """List the encoders that go with an architecture. Raises ModelError for an unknown architecture."""
    default_encoder(architecture)
    return list(COMPACT_ENCODERS) if architecture == "compact" else library_encoders()


def check_network(architecture: str, encoder: str, size_hw: Sequence[int]) -> None:
    """Raise the errors of `build_model` that names and size alone tell, without building anything.

    Args:
        architecture: one of `config.ARCHITECTURES`.
        encoder: one of `encoder_names(architecture)`; "" for its default.
        size_hw: (height, width) of the input.

    Raises:
        ModelError: unknown name, or a size the architecture cannot take.
        ConfigError: a size that no network takes.
    """
    known, encoder = encoder_names(architecture), encoder or default_encoder(architecture)
    if encoder not in known:
        raise ModelError(f"encoder {encoder!r} does not go with {architecture}", "one of " + ", ".join(known))
    height, width = parse_size(f"{size_hw[0]}x{size_hw[1]}")
    if architecture == "pspnet" and (height % 48 or width % 48):
        fits = [max(96, round(length / 96) * 96) for length in (height, width)]
        raise ModelError(f"pspnet cannot take {height}x{width}", "multiples of 96", f"try --size {fits[0]}x{fits[1]}")


def build_model(architecture: str, encoder: str, classes: int, size_hw: Sequence[int], weights: str = "none",
                kept: Sequence[int | None] | None = None, full: bool = True) -> keras.Model:
    """Build a network and give it the weights that it starts from.

    Args:
        architecture: one of `config.ARCHITECTURES`.
        encoder: one of `encoder_names(architecture)`; "" for its default. With WITH_MEMORY at its end, the network has
            a memory of good photographs beside it, which only `load_weights` fills.
        classes: channels of the output.
        size_hw: (height, width) of the input, multiples of 32 (of 96 for pspnet).
        weights: "none"; "imagenet" for a pretrained encoder (that of efficientnet-lite0 is in the package; others are
            downloaded: without a network a warning is given and training starts from scratch); "synthetic" for a
            compact network that learned on drawn surfaces, in the package; or the path of a `.keras` file of the same
            architecture.
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
    check_network(architecture, encoder.removesuffix(WITH_MEMORY), size_hw)
    encoder, input_hw = encoder or default_encoder(architecture), (int(size_hw[0]), int(size_hw[1]))
    model = _build(architecture, encoder, classes, input_hw, weights == "imagenet", full)
    _initialise(model, encoder, weights, kept, lambda number: _build(architecture, encoder, number, input_hw))
    return model


def _build(architecture: str, encoder: str, classes: int, size_hw: tuple[int, int], pretrained: bool = False,
           full: bool = True) -> keras.Model:
    """The architecture, with weights that are drawn at random or, for `pretrained`, ImageNet's in its encoder."""
    if encoder.endswith(WITH_MEMORY):
        known = _build(architecture, encoder.removesuffix(WITH_MEMORY), classes, size_hw)
        return with_memory(known, memory_of_good(lite0_taps(None)))
    if architecture != "compact":
        return with_encoder(architecture, encoder, classes, size_hw, pretrained)
    if pretrained:
        warnings.warn("compact has no pretrained weights; training starts from scratch", stacklevel=3)
    return compact(COMPACT_ENCODERS[encoder], classes, size_hw, full)


def _initialise(model: keras.Model, encoder: str, weights: str, kept: Sequence[int | None] | None,
                build: Callable[[int], keras.Model]) -> None:
    """Give a network the weights that it starts from; `build` makes its twin with another number of classes."""
    if weights == "synthetic":
        set_body(model, read_pretrained(encoder))
    elif weights not in ("none", "imagenet"):
        source = build(stored_classes(Path(weights)))
        load_weights(source, Path(weights))
        now, before = model.output_shape[-1], source.output_shape[-1]
        take_over(model, source, list(range(now)) if kept is None and before == now else kept or [None] * now)
