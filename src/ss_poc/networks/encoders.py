"""Networks with the encoders of segmentation-models and efficientnet, and EfficientNet-Lite0: U-Net, U-Net++, FPN,
LinkNet and PSPNet."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.errors import ModelError
from .blocks import BATCH_NORM_MOMENTUM, HEAD_SCALE, PRIOR_LOGIT, conv
from .keras2_names import segmentation_models
from .lite0 import LITE0, TAPS, lite0, lite0_scaled

import keras  # noqa: E402  isort: skip  (after keras2_names, which quietens TensorFlow)
from keras import layers  # noqa: E402  isort: skip

__all__ = ["library_encoders", "with_encoder"]


def library_encoders() -> list[str]:
    """Encoders of the libraries, and ours that go with their decoders.

    DenseNet is left out: Keras 3 refuses '/' in its layers' names.
    """
    names = _with_lite0().get_available_backbone_names()
    return [name for name in names if not name.startswith("densenet")]


def _with_lite0() -> Any:
    """The package segmentation_models, which knows EfficientNet-Lite0 as one of its own encoders."""
    package = segmentation_models()
    from segmentation_models.backbones.backbones_factory import Backbones

    Backbones._models_update[LITE0] = [lite0, lite0_scaled]
    Backbones._default_feature_layers[LITE0] = TAPS
    return package


def with_encoder(architecture: str, encoder: str, classes: int, size_hw: tuple[int, int],
                 pretrained: bool) -> keras.Model:
    """Build a network with an encoder of the libraries.

    Args:
        architecture: "unet", "unetpp", "fpn", "linknet" or "pspnet".
        encoder: one of `library_encoders()`.
        classes: channels of the output.
        size_hw: (height, width) of the input, multiples of 32 (of 96 for pspnet).
        pretrained: whether the encoder gets the weights that it learned on ImageNet. Those of EfficientNet-Lite0 are
            in the package. Others are downloaded; without a network a warning is given and the encoder starts from
            scratch.

    Raises:
        ModelError: a size that the encoder cannot take, or weights that are damaged or missing from the package.
    """
    package = _with_lite0()
    build = {"unet": package.Unet, "fpn": package.FPN, "linknet": package.Linknet, "pspnet": package.PSPNet,
             "unetpp": _unet_plus_plus}[architecture]
    try:
        core, tuned = _built(build, encoder, classes, size_hw, pretrained)
    except ValueError as error:
        raise ModelError(f"{architecture} with {encoder} cannot be built for {size_hw[0]}x{size_hw[1]}: {error}",
                         fix="try a larger --size, another --encoder or --weights none") from error
    return _wrap(core, package.get_preprocessing(encoder), size_hw, tuned)


def _built(build: Callable[..., keras.Model], encoder: str, classes: int, size_hw: tuple[int, int],
           pretrained: bool) -> tuple[keras.Model, bool]:
    """The network, and whether its encoder has ImageNet's weights: not where they cannot be downloaded."""
    options: dict[str, Any] = {"input_shape": (*size_hw, 3), "classes": classes, "activation": "sigmoid"}
    if pretrained:
        try:
            return build(encoder, encoder_weights="imagenet", **options), True
        except Exception as error:
            # Keras' downloader raises a bare Exception; anything else is a real fault.
            if not isinstance(error, (ConnectionError, TimeoutError)) and "URL fetch failure" not in str(error):
                raise
            warnings.warn(f"the imagenet weights of {encoder} could not be downloaded ({error}); "
                          f"training starts from scratch; those of {LITE0} are in the package", stacklevel=5)
    return build(encoder, encoder_weights=None, **options), False


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
            rows[depth].append(conv(conv(joined, filters[depth]), filters[depth]))
    x = conv(layers.UpSampling2D(2)(rows[0][-1]), 16)
    x = layers.Conv2D(classes, 3, padding="same")(x)
    return keras.Model(backbone.input, layers.Activation(activation)(x))
