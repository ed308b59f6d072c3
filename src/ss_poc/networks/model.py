"""Name to Keras network: an RGB image as float32 in 0..255 goes in, one probability a class and pixel comes out."""

from __future__ import annotations

import json
import math
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..core.config import ARCHITECTURES, parse_size
from ..core.errors import ModelError
from . import keras_setup
from .pretrained import read_pretrained

import keras  # noqa: E402  isort: skip  (after keras_setup, which quietens TensorFlow)
from keras import layers, ops  # noqa: E402  isort: skip

__all__ = ["body_weights", "build_model", "check_network", "default_encoder", "encoder_layers", "encoder_names",
           "load_weights", "stored_classes", "with_views"]


@dataclass(frozen=True)
class _Plan:
    """Channels and residual blocks of a compact network: at stride 2, at strides 4 to 32, and back up again."""

    stem: int
    stages: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    decoder: tuple[int, int, int]


COMPACT_ENCODERS = {
    "compact16": _Plan(16, (32, 64, 96, 128), (1, 1, 1, 1), (64, 48, 32)),
    "compact24": _Plan(16, (48, 96, 128, 192), (1, 1, 1, 1), (96, 64, 32)),
    "compact32": _Plan(24, (64, 128, 192, 256), (1, 2, 2, 1), (128, 96, 48)),
}
DEFAULT_ENCODERS = {"compact": "compact16", "unet": "efficientnetb0", "unetpp": "efficientnetb4",
                    "fpn": "efficientnetb0", "linknet": "efficientnetb0", "pspnet": "efficientnetb0"}
# Before training a pixel is a defect with this probability: starting at 0.5 wastes the first epochs on background.
PRIOR_LOGIT = math.log(0.02 / 0.98)
# The head starts near its bias, or random features would drown the prior.
HEAD_SCALE = 0.1
# A stored description that says more is damaged or foreign.
MOST_CLASSES = 10_000
# Keras' 0.99 needs hundreds of steps to follow; a small data set has a dozen an epoch.
BATCH_NORM_MOMENTUM = 0.9


# Axes of (N, h, w, C) along which each view is mirrored.
MIRRORED: dict[str, tuple[tuple[int, ...], ...]] = {
    "single": ((),), "mirrored": ((), (2,)), "upside_down": ((), (1,)), "turned": ((), (1, 2)),
    "all": ((), (2,), (1,), (1, 2))}


def default_encoder(architecture: str) -> str:
    """The encoder an architecture gets when none is named."""
    if architecture not in ARCHITECTURES:
        raise ModelError(f"architecture {architecture!r} is not known", "one of " + ", ".join(ARCHITECTURES))
    return DEFAULT_ENCODERS[architecture]


def encoder_names(architecture: str) -> list[str]:
    """Encoders that go with an architecture. DenseNet is left out: Keras 3 refuses '/' in its layers' names."""
    if architecture == "compact":
        return list(COMPACT_ENCODERS)
    names = keras_setup.segmentation_models().get_available_backbone_names()
    return [name for name in names if not name.startswith("densenet")]


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
    encoder = encoder or default_encoder(architecture)
    known = encoder_names(architecture)
    if encoder not in known:
        raise ModelError(f"encoder {encoder!r} does not go with {architecture}", "one of " + ", ".join(known))
    height, width = parse_size(f"{size_hw[0]}x{size_hw[1]}")
    if architecture == "pspnet" and (height % 48 or width % 48):
        fits = [max(96, round(length / 96) * 96) for length in (height, width)]
        raise ModelError(f"pspnet cannot take {height}x{width}", "multiples of 96", f"try --size {fits[0]}x{fits[1]}")


def build_model(architecture: str, encoder: str, classes: int, size_hw: Sequence[int], weights: str = "none",
                kept: Sequence[int | None] | None = None, full: bool = True) -> keras.Model:
    """Build a network.

    Args:
        architecture: one of `config.ARCHITECTURES`.
        encoder: one of `encoder_names(architecture)`; "" for its default.
        classes: channels of the output.
        size_hw: (height, width) of the input, multiples of 32 (of 96 for pspnet).
        weights: "none"; "imagenet" for a pretrained encoder (downloaded; without a network a warning is given and
            training starts from scratch); "synthetic" for a compact network that learned on drawn surfaces, in the
            package; or the path of a `.keras` file of the same architecture.
        full: whether the output has the size of the input; else that of `compact` has half, as it is before it is
            enlarged: that is enough to train on, and takes a quarter of the memory and time.
        kept: for each class its channel in that file, None for a new one; None: the classes are the same.

    Returns:
        Model from (N, height, width, 3) float32 RGB in 0..255 to (N, height, width, classes) float32 probabilities.

    Raises:
        ModelError: unknown name, a size the architecture or encoder cannot take, or weights that do not fit.
        ConfigError: a size that no network takes.
    """
    encoder = encoder or default_encoder(architecture)
    check_network(architecture, encoder, size_hw)
    size_hw = int(size_hw[0]), int(size_hw[1])
    if architecture == "compact":
        model = _compact(COMPACT_ENCODERS[encoder], classes, size_hw, full)
    else:
        pretrained = "imagenet" if weights == "imagenet" else None
        model = _with_encoder(architecture, encoder, classes, size_hw, pretrained)
    if weights == "imagenet" and architecture == "compact":
        warnings.warn("compact has no pretrained weights; training starts from scratch", stacklevel=2)
    elif weights == "synthetic":
        _begin_with(model, read_pretrained(encoder))
    elif weights not in ("none", "imagenet"):
        there = stored_classes(Path(weights))
        kept = list(range(classes)) if kept is None and there == classes else [*(kept or [None] * classes)]
        source = build_model(architecture, encoder, there, size_hw)
        load_weights(source, Path(weights))
        _take_over(model, source, kept)
    return model


def with_views(model: keras.Model, views: str) -> keras.Model:
    """A network that averages what `model` says of an image and of its mirror images, turned back.

    Args:
        model: (N, h, w, 3) to (N, h, w, C).
        views: one of `config.VIEWS`.
    """
    flips = MIRRORED[views]
    if len(flips) == 1:
        return model
    image = keras.Input(model.input_shape[1:], name="image")
    # All views in one batch: a graph with one copy of the network, and larger multiplications.
    stacked = ops.stack([ops.flip(image, axes) if axes else image for axes in flips], axis=1)
    answers = model(ops.reshape(stacked, (-1, *model.input_shape[1:])))
    answers = ops.reshape(answers, (-1, len(flips), *model.output_shape[1:]))
    back = [ops.flip(answers[:, number], axes) if axes else answers[:, number] for number, axes in enumerate(flips)]
    return keras.Model(image, ops.mean(ops.stack(back, axis=1), axis=1))


def stored_classes(path: Path) -> int:
    """Number of classes of a `.keras` file of ours, from the description in it. Raises ModelError."""
    if not path.is_file():
        raise ModelError(f"there is no weights file {path}", "a .keras file of ours")
    try:
        with zipfile.ZipFile(path) as file:
            described = json.loads(file.read("config.json"))
        heads = [layer["config"]["filters"] for layer in _described_layers(described)
                 if layer.get("class_name") == "Conv2D"]
        if not 1 <= heads[-1] <= MOST_CLASSES:
            raise ValueError(f"{heads[-1]} classes")
        return int(heads[-1])
    except (zipfile.BadZipFile, OSError, KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} does not fit this network: {repr(error).splitlines()[0]}",
                         "a whole .keras file of ours", "use --weights none") from error


def _described_layers(described: dict[str, Any]) -> list[dict[str, Any]]:
    """Layers of a stored model, those of nested models too, in order."""
    found: list[dict[str, Any]] = []
    for layer in described["config"].get("layers", []):
        found += _described_layers(layer) if layer.get("class_name") == "Functional" else [layer]
    return found


def _take_over(model: keras.Model, source: keras.Model, kept: Sequence[int | None]) -> None:
    """Copy all weights; of the head those of the classes kept, the others begin anew."""
    head = _head_of(model)
    for mine, theirs in zip(model.weights, source.weights, strict=True):
        values = np.asarray(theirs)
        if mine is head.kernel or mine is head.bias:
            old, values = values, np.array(mine)
            for channel, before in enumerate(kept):
                if before is not None:
                    values[..., channel] = old[..., before]
        mine.assign(values)


def body_weights(encoder: str, path: Path) -> list[np.ndarray]:
    """All weights of a compact network in a `.keras` file but its head's, in the order of `model.weights`."""
    model = build_model("compact", encoder, stored_classes(path), (64, 64))
    load_weights(model, path)
    return [np.array(variable) for variable in _body(model)]


def _begin_with(model: keras.Model, values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(_body(model), values, strict=True):
        variable.assign(value)


def _body(model: keras.Model) -> list[Any]:
    head = _head_of(model)
    return [variable for variable in model.weights if variable is not head.kernel and variable is not head.bias]


def _head_of(model: keras.Model) -> Any:
    """The last convolution, whose channels are the classes."""
    return next(layer for layer in reversed(_all_layers(model)) if isinstance(layer, layers.Conv2D))


def _all_layers(model: keras.Model) -> list[Any]:
    """Layers in the order of the graph, those of nested models too."""
    return [inner for layer in model.layers
            for inner in (_all_layers(layer) if isinstance(layer, keras.Model) else [layer])]


def encoder_layers(model: keras.Model) -> list[Any]:
    """Layers up to the smallest feature map of most channels (decoders begin by reducing them): `freeze` holds them."""
    found = _all_layers(model)
    maps = [(layer.output.shape[1] * layer.output.shape[2], -layer.output.shape[3], -number)
            for number, layer in enumerate(found) if len(getattr(layer.output, "shape", ())) == 4]
    return found[:1 - min(maps)[2]]


def load_weights(model: keras.Model, path: Path) -> None:
    """Load the weights of a `.keras` file into a network built the same way.

    Only arrays are read: no layer, function or Lambda of the file is ever made or run.

    Raises:
        ModelError: the file is missing, damaged or of another network.
    """
    if not path.is_file():
        raise ModelError(f"there is no weights file {path}", "a .keras file of ours")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of every layer that does not fit, then raises
            model.load_weights(path)
    except Exception as error:  # of zipfile, h5py, Keras and NumPy: a damaged file fails in many ways
        raise ModelError(f"{path} does not fit this network: {repr(error).splitlines()[0]}",
                         "a whole .keras file of the same architecture, encoder and number of classes",
                         "name the same --architecture and --encoder, or use --weights none") from error


def _with_encoder(architecture: str, encoder: str, classes: int, size_hw: tuple[int, int],
                  pretrained: str | None) -> keras.Model:
    package = keras_setup.segmentation_models()
    build = {"unet": package.Unet, "fpn": package.FPN, "linknet": package.Linknet, "pspnet": package.PSPNet,
             "unetpp": _unet_plus_plus}[architecture]
    options: dict[str, Any] = {"input_shape": (*size_hw, 3), "classes": classes, "activation": "sigmoid"}
    try:
        core = build(encoder, encoder_weights=pretrained, **options)
    except ValueError as error:
        raise ModelError(f"{architecture} with {encoder} cannot be built for {size_hw[0]}x{size_hw[1]}: {error}",
                         fix="try a larger --size, another --encoder or --weights none") from error
    except Exception as error:
        # Keras' downloader raises a bare Exception; anything else is a real fault.
        offline = isinstance(error, (ConnectionError, TimeoutError)) or "URL fetch failure" in str(error)
        if pretrained is None or not offline:
            raise
        warnings.warn(f"the imagenet weights of {encoder} could not be downloaded ({error}); "
                      "training starts from scratch", stacklevel=3)
        core = build(encoder, encoder_weights=None, **options)
        pretrained = None
    return _wrap(core, package.get_preprocessing(encoder), size_hw, tuned=pretrained is not None)


def _wrap(core: keras.Model, preprocess: Any, size_hw: tuple[int, int], tuned: bool) -> keras.Model:
    """Put the encoder's own scaling of 0..255 in front, so that every network takes the same input."""
    for layer in core.layers:
        if isinstance(layer, layers.BatchNormalization) and not tuned:
            layer.momentum = BATCH_NORM_MOMENTUM
    head = next(layer for layer in reversed(core.layers) if isinstance(layer, layers.Conv2D))
    head.kernel.assign(head.kernel * HEAD_SCALE)
    if head.use_bias:
        head.bias.assign(np.full(head.bias.shape, PRIOR_LOGIT, np.float32))
    image = keras.Input((*size_hw, 3), name="image")
    scale = layers.Conv2D(3, 1, name="preprocess", trainable=False)
    scaled = scale(image)
    scale.set_weights(_affine(preprocess))
    probability = layers.Activation("linear", dtype="float32", name="probability")(core(scaled))
    return keras.Model(image, probability)


def _affine(preprocess: Any) -> list[np.ndarray]:
    """Kernel (1, 1, 3, 3) and bias (3,) of an encoder's preprocessing, which is affine in the pixel: probe it."""
    def probe(pixel: Sequence[float]) -> np.ndarray:
        return np.asarray(preprocess(np.array(pixel, np.float32).reshape(1, 1, 1, 3).copy()), np.float64).reshape(3)

    bias = probe((0, 0, 0))
    kernel = np.stack([(probe(row) - bias) / 255 for row in ((255, 0, 0), (0, 255, 0), (0, 0, 255))])
    return [kernel.reshape(1, 1, 3, 3).astype(np.float32), bias.astype(np.float32)]


def _conv(x: Any, filters: int, strides: int = 1, size: int = 3, dilation: int = 1, relu: bool = True,
          gamma: str = "ones") -> Any:
    x = layers.Conv2D(filters, size, strides=strides, dilation_rate=dilation, padding="same", use_bias=False,
                      kernel_initializer="he_normal")(x)
    x = layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, gamma_initializer=gamma)(x)
    return layers.Activation("relu")(x) if relu else x


def _residual(x: Any, filters: int, dilation: int = 1) -> Any:
    # Each block begins as the identity (Goyal et al. 2017, arXiv 1706.02677, section 5.1).
    y = _conv(_conv(x, filters, dilation=dilation), filters, relu=False, gamma="zeros")
    return layers.Activation("relu")(layers.Add()([x, y]))


def _surroundings(x: Any, filters: int) -> Any:
    """Let every place of the smallest map see far, by dilated convolutions, and all of it, by its mean: a stain or an
    uneven area is told from sound surface by comparison, not by itself."""
    for dilation in (2, 4):
        x = _residual(x, filters, dilation)
    whole = layers.GlobalAveragePooling2D(keepdims=True)(x)
    whole = layers.Conv2D(filters, 1, activation="relu", kernel_initializer="he_normal")(whole)
    return layers.Add()([x, layers.Conv2D(filters, 1, kernel_initializer="zeros")(whole)])


def _head(x: Any, classes: int, full: bool) -> Any:
    x = layers.Conv2D(classes, 1, kernel_initializer=keras.initializers.RandomNormal(stddev=0.1 * HEAD_SCALE),
                      bias_initializer=keras.initializers.Constant(PRIOR_LOGIT), name="head")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x) if full else x
    return layers.Activation("sigmoid", dtype="float32", name="probability")(x)


def _compact(plan: _Plan, classes: int, size_hw: tuple[int, int], full: bool) -> keras.Model:
    """A residual encoder-decoder that is fast on CPUs.

    Plain 3x3 convolutions (depthwise ones are slow on TensorFlow's CPU kernels), few channels where the map is large
    (there time goes by in moving memory, not in multiplying), skip connections added rather than concatenated, which
    halves the decoder's work.
    """
    image = keras.Input((*size_hw, 3), name="image")
    x = _conv(layers.Rescaling(1 / 64, offset=-2)(image), plan.stem, strides=2)
    skips = [x]
    for filters, blocks in zip(plan.stages, plan.blocks, strict=True):
        x = _conv(x, filters, strides=2)
        for _ in range(blocks):
            x = _residual(x, filters)
        skips.append(x)
    x = _surroundings(x, plan.stages[-1])
    for filters, skip in zip(plan.decoder, reversed(skips[1:-1]), strict=True):
        x = layers.UpSampling2D(2)(_conv(x, filters, size=1))
        skip = skip if skip.shape[-1] == filters else _conv(skip, filters, size=1, relu=False)
        x = _conv(layers.Add()([x, skip]), filters)
    x = layers.UpSampling2D(2)(_conv(x, plan.stem, size=1))
    return keras.Model(image, _head(layers.Activation("relu")(layers.Add()([x, skips[0]])), classes, full))


def _unet_plus_plus(encoder: str, encoder_weights: str | None, input_shape: Sequence[int], classes: int,
                    activation: str) -> keras.Model:
    """U-Net++ (Zhou et al. 2018, arXiv 1807.10165): node (depth, step) joins every earlier node of its depth with
    the upsampled node below; the last node of the top row is the output."""
    from segmentation_models.backbones.backbones_factory import Backbones

    modules = {"backend": keras.backend, "layers": layers, "models": keras.models, "utils": keras.utils}
    backbone = Backbones.get_backbone(encoder, input_shape=tuple(input_shape), weights=encoder_weights,
                                      include_top=False, **modules)
    names = Backbones.get_feature_layers(encoder, n=4)
    features = [backbone.get_layer(**({"name": name} if isinstance(name, str) else {"index": name})).output
                for name in reversed(names)] + [backbone.output]
    filters = (32, 64, 128, 256)
    rows = [[feature] for feature in features]
    for step in range(1, len(features)):
        for depth in range(len(features) - step):
            joined = layers.Concatenate()([*rows[depth], layers.UpSampling2D(2)(rows[depth + 1][step - 1])])
            rows[depth].append(_conv(_conv(joined, filters[depth]), filters[depth]))
    x = _conv(layers.UpSampling2D(2)(rows[0][-1]), 16)
    x = layers.Conv2D(classes, 3, padding="same")(x)
    return keras.Model(backbone.input, layers.Activation(activation)(x))
