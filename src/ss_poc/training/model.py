"""The network as it trains: compiled, its encoder frozen or not, and its averaged weights to be served."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.config import ChosenConfig, parse_size
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from ..networks.batch_norm import fused
from ..networks.build import build_model
from ..networks.muon import Muon
from ..networks.structure import encoder_layers
from .losses import loss_function

import keras  # noqa: E402  isort: skip

__all__ = ["average", "compile_model", "compiled", "set_frozen"]


def compiled(config: ChosenConfig, classes: int, steps: int, frozen: bool = False,
             kept: Sequence[int | None] | None = None) -> keras.Model:
    """The network of a config, ready to train on crops.

    With mixed precision layers multiply 16-bit numbers; weights, probabilities and loss stay float32.
    """
    keras.mixed_precision.set_global_policy(config.precision)
    try:
        model = build_model(config.architecture, config.encoder or "", classes, parse_size(config.crop), config.weights,
                            kept, full=False)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    model = fused(model)
    set_frozen(model, frozen)
    compile_model(config, model, steps)
    return model


def set_frozen(model: keras.Model, frozen: bool) -> None:
    """Hold the encoder still, statistics of its normalisation included, or let it learn."""
    for layer in encoder_layers(model):
        if layer.name != "preprocess":
            layer.trainable = not frozen


def compile_model(config: ChosenConfig, model: keras.Model, steps: int) -> None:
    """Give a model its optimiser.

    Args:
        config: names the optimiser; without `ema`, the length of the training says how long the moving average is.
        model: to be compiled, in place.
        steps: of an epoch.
    """
    expected = steps * config.epoch if config.seconds is None else config.seconds * 4
    momentum = 1 - 10 / min(5000, max(500, expected)) if config.ema is None else config.ema
    averaged = {"weight_decay": 1e-2, "use_ema": momentum > 0, "ema_momentum": momentum}
    # An orthogonal update has the same size whatever the gradient's.
    optimizer = Muon(config.lr, **averaged) if config.optimizer == "muon" else \
        keras.optimizers.AdamW(config.lr, clipnorm=1.0, **averaged)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer=optimizer, loss=loss_function(config.loss), jit_compile=config.xla)
    # Variables made in the first step would have it traced twice, for seconds.
    model.optimizer.build(model.trainable_variables)


def average(model: keras.Model, served: keras.Model) -> None:
    """Give `served` the weights of `model`, those that learn as their moving average."""
    served.set_weights(model.get_weights())
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # float16 wraps it to scale the loss
    if optimizer.use_ema:
        twins = {id(mine): twin for mine, twin in zip(model.weights, served.weights, strict=True)}
        optimizer.finalize_variable_values([twins[id(variable)] for variable in model.trainable_variables])
