"""The training loop of `train`: Keras' fit over crops, validated and written by `Progress`."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from ..core.config import TrainConfig, parse_size
from ..core.errors import ConfigError
from ..core.images import save_image
from ..core.run import RunPaths, update_run
from ..data.dataset import Dataset, Sample
from ..data.facts import Survey
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from ..networks.build import build_model
from .augmentation import default_augmentation, load_augmentation
from .callback import Progress
from .crops import MARGIN, Crops, Mosaic
from .feed import preview, tf_dataset
from .losses import loss_function
from .model import compile_model, compiled, set_frozen
from .sampling import Source
from .validation import Validator
from .windows import Windows

import keras  # noqa: E402  isort: skip
import tensorflow as tf  # noqa: E402  isort: skip

__all__ = ["fit", "gpu_names", "prepare_libraries"]

# A validation takes about a third of the time of training on as many pixels; of a budget it may have a twelfth.
VALIDATION_PART = 1 / 12
MOST_EPOCHS = 100_000
# Bytes of decoded regions, where whole images do not fit the memory.
MOST_REGIONS = 1.2e9
# Bytes of windows to validate on.
MOST_WINDOWS = 4e8


def gpu_names() -> list[str]:
    """GPUs that TensorFlow finds."""
    return [device.name for device in tf.config.list_logical_devices("GPU")]


def prepare_libraries(config: TrainConfig) -> None:
    """Seeds, determinism, threads; before any network is built."""
    # Every core makes crops already: OpenCV's own threads would only wait for each other.
    cv2.setNumThreads(1)
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()


def strategy_for(wanted: int, names: Sequence[str]) -> Any:
    """A `tf.distribute` strategy over `wanted` of the named devices (0: all), or None where one device does it all.

    Raises:
        ConfigError: there are fewer.
    """
    if wanted > len(names):
        raise ConfigError(f"gpus is {wanted}", f"at most {len(names)}, the GPUs that TensorFlow finds here",
                          "check nvidia-smi and that the gpu requirements are installed, or drop --gpus")
    used = list(names[:wanted or len(names)])
    return tf.distribute.MirroredStrategy(used) if len(used) > 1 else None


def fit(config: TrainConfig, dataset: Dataset, survey: Survey, train: Sequence[Sample], valid: Sequence[Sample],
        paths: RunPaths, started: float, kept: Sequence[int | None] | None = None) -> None:
    """Train on `train`, choose on `valid`, write log, graph, preview and the best model of the run.

    Args:
        config: filled in by the recipe.
        dataset: for labels and colours.
        survey: facts of `train`.
        train, valid: the two parts.
        paths: of the run.
        started: `time.monotonic()` of when the command began; a budget counts from there.
        kept: for each class its channel in the weights to start from, see `build_model`.
    """
    prepare_libraries(config)
    crops, windows = make_batches(config, survey, train, valid, len(dataset.labels))
    if not config.resume:
        save_image(paths.folder / "preview.jpg", preview(crops, dataset.colors))
    strategy = strategy_for(config.gpus, gpu_names())
    with strategy.scope() if strategy else contextlib.nullcontext():
        # The served network differs from the one that trains in the size of its input, and has averaged weights.
        served = build_model(config.architecture, config.encoder, len(dataset.labels), parse_size(config.size))
        progress = Progress(config, paths, len(crops), Validator(windows, loss_function(config.loss)), served, started)
        model = compiled(config, len(dataset.labels), len(crops), progress.frozen(), kept)
        progress.restore(model)
        train_phases(config, model, crops, progress)
    progress.close()
    best = progress.best
    seconds = round(sum(row["seconds"] for row in progress.history), 1)
    update_run(paths, status="finished", train={"epochs": progress.epochs_done, "best": best, "seconds": seconds,
                                                "crops_a_second": progress.crops_a_second()})
    print(f"best: epoch {best['epoch']}, val_loss {best['val_loss']:.4f}, dice {best['val_dice']:.3f}, "
          f"iou {best['val_iou']:.3f} → {paths.best_model()}\n{progress.outlook(len(train))}", flush=True)


def make_batches(config: TrainConfig, survey: Survey, train: Sequence[Sample], valid: Sequence[Sample],
                 classes: int) -> tuple[Mosaic, Windows]:
    """What trains and what validates; with a budget an epoch is long enough for validations to be a small part."""
    size_hw, crop_hw = parse_size(config.size), parse_size(config.crop)
    cache_bytes = config.cache_mb * 2**20
    source = Source(train, classes, config.scale, size_hw, cache_bytes)
    checks = Source(valid, classes, config.scale, size_hw, cache_bytes // 4)
    most = min(max(64, len(train) // 4), int(MOST_WINDOWS // (size_hw[0] * size_hw[1] * (3 + -(-classes // 8)))))
    windows = Windows(checks, size_hw, max(1, config.batch_size // 2), most=max(1, most), seed=config.seed)
    pixels = len(windows.places) * size_hw[0] * size_hw[1]
    count = round(pixels / 3 / VALIDATION_PART / (crop_hw[0] * crop_hw[1])) if config.budget else 0
    count = max(len(train), count)
    if not source.cached:  # its regions are kept instead
        count = min(count, int(MOST_REGIONS // (2 * MARGIN**2 * crop_hw[0] * crop_hw[1] * (3 + -(-classes // 8)))))
    count = -(-count // config.batch_size) * config.batch_size
    own = load_augmentation(Path(config.augmentation)) if config.augmentation else None

    def settings(size_hw: Sequence[int]) -> dict[str, Any]:
        return {"source": source, "crop_hw": size_hw, "batch_size": config.batch_size, "count": count,
                "seed": config.seed, "sampling": config.sampling, "augmentation": own,
                "default": default_augmentation(config.strength, size_hw, survey.grey, survey.turnable_v,
                                                survey.turnable_h)}

    # Of another seed: it would draw the very places that whole crops show.
    quarters = Crops(**{**settings((crop_hw[0] // 2, crop_hw[1] // 2)), "count": 4 * count,
                        "seed": config.seed + 1_000_003})
    return Mosaic(Crops(**settings(crop_hw)), quarters, config.mosaic), windows


def train_phases(config: TrainConfig, model: keras.Model, crops: Mosaic, progress: Progress) -> None:
    """Epochs with a frozen encoder, if any, then the others."""
    warnings.filterwarnings("ignore", "`shuffle=True` was passed")  # of Keras, about every tf.data set
    while not progress.ended():
        frozen = progress.frozen()
        last = config.freeze if frozen else MOST_EPOCHS if config.budget else config.epoch
        # Keras starts the data set anew when an epoch begins, some strategies several times.
        batches = tf_dataset(lambda: crops.epoch(progress.epochs_done), len(crops), crops.crop_hw,
                             crops.source.classes)
        model.fit(batches, verbose=0, initial_epoch=progress.epochs_done, epochs=last, callbacks=[progress])
        if frozen and not progress.frozen() and not progress.ended():
            set_frozen(model, False)
            compile_model(config, model, len(crops))
