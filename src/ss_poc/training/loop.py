"""The training loop of `train`: Keras' fit over crops, validated and written by `Progress`."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence

import cv2

from ..core.config import ChosenConfig, TrainConfig, parse_size
from ..core.images import save_image
from ..core.run import update_run
from ..data.dataset import Sample
from ..data.facts import Survey
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from ..networks.build import build_model
from ..networks.linear_probe import PROBE_FILE, STRIDE, Probe, write_probe
from .batches import make_crops, make_windows, plan_epoch
from .callback import Progress
from .claim import claim_folder
from .crops import Mosaic
from .devices import strategy_for
from .feed import preview, tf_dataset
from .folder import put_in_place
from .losses import loss_function
from .model import compile_model, compiled, set_frozen
from .plan import Plan
from .probe import MOST as MOST_WINDOWS
from .probe import fit_probe
from .sampling import Source
from .validation import Validator
from .windows import Windows

import keras  # noqa: E402  isort: skip
import tensorflow as tf  # noqa: E402  isort: skip

__all__ = ["fit", "make_batches", "prepare_libraries", "probe_of"]

MOST_EPOCHS = 100_000
# Of a budget the linear probe may have this fraction.
OF_BUDGET = 0.07


def prepare_libraries(config: TrainConfig) -> None:
    """Seeds, determinism, threads; before any network is built."""
    # Every core makes crops already: OpenCV's own threads would only wait for each other.
    cv2.setNumThreads(1)
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()


def fit(plan: Plan, started: float) -> None:
    """Train on the images that train, choose on those that validate, write log, graph, preview and the best model.

    The run's folder is claimed when the network stands: until then nothing is written.

    Args:
        plan: what to do.
        started: `time.monotonic()` of when the command began; a budget counts from there.

    Raises:
        ModelError: a loss is not finite, the network cannot be built, or the weights to start from do not fit it.
        ArtifactError: a checkpoint to go on from cannot be used.
    """
    config, classes = plan.config, len(plan.dataset.labels)
    prepare_libraries(config)
    crops, windows = make_batches(config, plan.survey, plan.samples("train"), plan.samples("valid"), classes)
    shown = None if config.resume else preview(crops, plan.dataset.colors)
    kept = plan.paths.model / PROBE_FILE
    probe = None if config.resume and kept.is_file() else probe_of(config, plan.survey, crops.source)
    strategy = strategy_for(plan.gpus)
    with strategy.scope() if strategy else contextlib.nullcontext():
        # The served network differs from the one that trains in the size of its input, and has averaged weights.
        served = build_model(config.architecture, config.encoder or "", classes, parse_size(config.size))
        progress = Progress(config, plan.paths, len(crops), Validator(windows, loss_function(config.loss)), served,
                            started)
        model = compiled(config, classes, len(crops), progress.frozen(), plan.channels)
        claim_folder(plan)  # not before: weights may not fit, and the network may be too large for the memory
        if shown is not None:
            save_image(plan.paths.folder / "preview.jpg", shown)
        if probe is not None:
            write_probe(kept, probe)
        progress.restore(model)
        train_phases(config, model, crops, progress)
    progress.close()
    _conclude(plan, progress)


def probe_of(config: ChosenConfig, survey: Survey, source: Source) -> Probe | None:
    """The linear probe that stands beside the network; None where none is wanted, or none can be fitted.

    Args:
        config: of the run.
        survey: facts of the images that train.
        source: of these images.
    """
    if config.features != "imagenet":
        return None
    windows = Windows(source, parse_size(config.size), 1, MOST_WINDOWS, config.seed)
    flips = [axis for axis, free in enumerate((survey.turnable_v, survey.turnable_h)) if free]
    probe = fit_probe(windows, flips, config.seconds and config.seconds * OF_BUDGET, config.seed)
    if probe is None:
        print(f"without features of ImageNet: no object covers enough of {STRIDE}x{STRIDE} pixels", flush=True)
    return probe


def make_batches(config: ChosenConfig, survey: Survey, train: Sequence[Sample], valid: Sequence[Sample],
                 classes: int) -> tuple[Mosaic, Windows]:
    """Crops that train and windows that validate.

    Args:
        config: of the run.
        survey: facts of `train`.
        train, valid: samples of the two sides of the split.
        classes: number of classes.
    """
    source = Source(train, classes, config.scale or 0.0, parse_size(config.size), config.cache_mb * 2**20)
    windows = make_windows(config, valid, len(train), classes)
    epoch = plan_epoch(config, len(train), len(windows.places), classes, source.cached)
    return make_crops(config, source, survey, epoch), windows


def train_phases(config: ChosenConfig, model: keras.Model, crops: Mosaic, progress: Progress) -> None:
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


def _conclude(plan: Plan, progress: Progress) -> None:
    """Write that the run is finished and how good it is, and say so."""
    best = progress.log.best
    update_run(plan.paths, status="finished", train={"epochs": progress.epochs_done, "best": best,
                                                     "seconds": progress.log.seconds(),
                                                     "crops_a_second": progress.crops_a_second()})
    paths = put_in_place(plan.paths)
    print(f"best: epoch {best['epoch']}, val_loss {best['val_loss']:.4f}, dice {best['val_dice']:.3f}, "
          f"iou {best['val_iou']:.3f} → {paths.best_model()}\n{progress.outlook(len(plan.split['train']))}",
          flush=True)
