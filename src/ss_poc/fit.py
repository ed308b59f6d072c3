"""The training loop of `train`: Keras' fit, with a checkpoint an epoch from which it goes on as if never stopped."""

from __future__ import annotations

import io
import json
import math
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from . import keras_compat  # noqa: F401  (quietens TensorFlow before Keras loads it)
from .artifacts import RunPaths, atomic_path, update_run, write_csv, write_json
from .config import TrainConfig, parse_size
from .data import Dataset, Sample
from .errors import ArtifactError, ModelError
from .generator import Batches, default_augmentation, load_augmentation, preview
from .images import save_image
from .metric import SegmentationScore, loss_function
from .model import build_model

import keras  # noqa: E402  isort: skip
import tensorflow as tf  # noqa: E402  isort: skip

__all__ = ["fit"]

LOG_COLUMNS = ("epoch", "lr", "loss", "dice", "iou", "val_loss", "val_dice", "val_iou", "seconds")
PLATEAU_PATIENCE, PLATEAU_FACTOR, LEAST_LR = 5, 0.5, 1e-6


def fit(config: TrainConfig, dataset: Dataset, train: Sequence[Sample], valid: Sequence[Sample],
        paths: RunPaths) -> None:
    """Train on `train`, choose on `valid`, write log, graph, preview and the best model of the run."""
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    size_hw, classes = parse_size(config.size), len(dataset.labels)
    augmentation = load_augmentation(Path(config.augmentation)) if config.augmentation else default_augmentation()
    batches = Batches(train, classes, size_hw, config.batch_size, config.seed, augmentation,
                      cache_bytes=config.cache_mb * 2**20)
    checks = Batches(valid, classes, size_hw, config.batch_size, cache_bytes=config.cache_mb * 2**20 // 4)
    if not config.resume:
        save_image(paths.folder / "preview.jpg", preview(batches, dataset.colors))
    model = compiled(config, classes)
    progress = Progress(config, paths)
    if config.resume:
        progress.restore(model)
    epochs = iter(range(progress.epochs_done, config.epoch))
    if not progress.ended():
        warnings.filterwarnings("ignore", "`shuffle=True` was passed")  # of Keras, about every tf.data set
        model.fit(batches.dataset(lambda: next(epochs)), validation_data=checks.dataset(lambda: 0), verbose=0,
                  initial_epoch=progress.epochs_done, epochs=config.epoch,
                  callbacks=[progress, Bar(len(batches), config)])
    progress.finish()
    best = progress.best
    update_run(paths, status="finished", train={"epochs": progress.epochs_done, "best": best,
                                                "seconds": round(sum(row["seconds"] for row in progress.history), 1)})
    print(f"best: epoch {best['epoch']}, val_loss {best['val_loss']:.4f}, dice {best['val_dice']:.3f}, "
          f"iou {best['val_iou']:.3f} → {paths.best_model()}", flush=True)


def compiled(config: TrainConfig, classes: int) -> keras.Model:
    """The network of a config, ready to train."""
    model = build_model(config.architecture, config.encoder, classes, parse_size(config.size), config.weights)
    model.compile(optimizer=keras.optimizers.AdamW(config.lr, weight_decay=1e-4, clipnorm=1.0),
                  loss=loss_function(config.loss), jit_compile=False,
                  metrics=[SegmentationScore("dice", classes), SegmentationScore("iou", classes)])
    return model


class Progress(keras.callbacks.Callback):
    """Log, best model, learning rate, early stop and checkpoint: all that a resumed run must know, in one place.

    Keras' own ReduceLROnPlateau and EarlyStopping forget what they counted when training starts again.
    """

    def __init__(self, config: TrainConfig, paths: RunPaths) -> None:
        super().__init__()
        self.config, self.paths = config, paths
        self.history: list[dict[str, Any]] = []
        self.since_plateau = 0
        self._writer: Any = None
        self._started = time.monotonic()

    @property
    def epochs_done(self) -> int:
        return len(self.history)

    @property
    def best(self) -> dict[str, Any]:
        """The row of the epoch with the least validation loss; the first of equals."""
        return min(self.history, key=lambda row: row["val_loss"])

    def ended(self) -> bool:
        """Whether all epochs are done, or the last `patience` of them brought nothing."""
        return self.epochs_done >= self.config.epoch or (
            bool(self.history) and self.epochs_done - self.best["epoch"] >= self.config.patience)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        row = {"epoch": epoch + 1, "lr": float(self.model.optimizer.learning_rate),
               **{name: float(value) for name, value in (logs or {}).items()},
               "seconds": time.monotonic() - self._started}
        if not math.isfinite(row["loss"]) or not math.isfinite(row["val_loss"]):
            raise ModelError(f"the loss of epoch {epoch + 1} is {row['loss']} ({row['val_loss']} in validation)",
                             "a finite loss", f"train with a smaller --lr than {self.config.lr:g}, and another "
                                              "--model_name or --overwrite")
        self.history.append(row)
        self._adapt(row)
        if self.best is row:
            with atomic_path(self._best_path()) as temporary:
                self.model.save(temporary, include_optimizer=False)
        self._checkpoint()
        self.finish()
        self._write_graph(row)
        self.model.stop_training = self.ended()

    def finish(self) -> None:
        """Write what follows from the checkpoint, and drop models that are best no more.

        Only after the checkpoint: until it is written, the one before and the best model it speaks of are needed.
        """
        best = self._best_path()
        write_json(self.paths.model / "state.json", {"best_model": best.name, "epoch": self.best["epoch"]})
        write_csv(self.paths.log, LOG_COLUMNS, ([item[name] for name in LOG_COLUMNS] for item in self.history), ";")
        for other in self.paths.model.glob("model_*.keras"):
            if other != best:
                other.unlink()

    def _best_path(self) -> Path:
        return self.paths.model / f"model_{self.best['epoch']}_{self.best['val_loss']:.4f}.keras"

    def _adapt(self, row: dict[str, Any]) -> None:
        """Halve the learning rate after PLATEAU_PATIENCE epochs without a new best one."""
        self.since_plateau = 0 if self.best is row else self.since_plateau + 1
        if self.since_plateau >= PLATEAU_PATIENCE:
            self.since_plateau = 0
            self.model.optimizer.learning_rate = max(LEAST_LR, row["lr"] * PLATEAU_FACTOR)

    def _variables(self) -> list[Any]:
        """Weights, random state of layers such as dropout, and the optimiser's own variables."""
        metrics = {id(variable) for variable in self.model.metrics_variables}
        return [variable for variable in self.model.variables if id(variable) not in metrics] \
            + list(self.model.optimizer.variables)

    def _checkpoint(self) -> None:
        # One file, so that a kill at any moment leaves this epoch's or the one before, never a mixture.
        arrays: dict[str, Any] = {f"v{number}": np.asarray(variable)
                                  for number, variable in enumerate(self._variables())}
        buffer = io.BytesIO()
        arrays["state"] = json.dumps({"history": self.history, "since_plateau": self.since_plateau})
        np.savez(buffer, **arrays)
        with atomic_path(self.paths.model / "resume.npz") as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def restore(self, model: keras.Model) -> None:
        """Put a model and this object into the state of the last checkpoint; without one, into that of the start."""
        path = self.paths.model / "resume.npz"
        if not path.is_file():
            return
        self.set_model(model)
        model.optimizer.build(model.trainable_variables)
        variables = self._variables()
        try:
            with np.load(path, allow_pickle=False) as arrays:
                state = json.loads(str(arrays["state"]))
                values = [arrays[f"v{number}"] for number in range(len(variables))]
        except (ValueError, KeyError, OSError, EOFError) as error:
            raise ArtifactError(f"the checkpoint {path} cannot be used: {error}", "one written by this network",
                                "train again with --overwrite") from error
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        self.history, self.since_plateau = state["history"], state["since_plateau"]
        if not self._best_path().is_file():
            raise ArtifactError(f"the best model {self._best_path()} is missing",
                                "the file that the checkpoint belongs to", "train again with --overwrite")
        print(f"resumed after epoch {self.epochs_done}", flush=True)

    def _write_graph(self, row: dict[str, Any]) -> None:
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.paths.graph))
        with self._writer.as_default(step=row["epoch"]):
            for name in LOG_COLUMNS[1:]:
                tf.summary.scalar(name, row[name])
        self._writer.flush()


class Bar(keras.callbacks.Callback):
    """One progress bar over all epochs with the time left at most; a line an epoch where the output is no terminal."""

    def __init__(self, steps: int, config: TrainConfig) -> None:
        super().__init__()
        self.steps, self.epochs = steps, config.epoch
        self.bar: tqdm | None = None
        self.ends = [time.monotonic()]

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.bar is None:
            self.bar = tqdm(total=self.steps * self.epochs, initial=self.steps * epoch, unit="step",
                            desc="train", disable=None, dynamic_ncols=True)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self.bar is not None:
            self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        row = logs or {}
        text = (f"epoch {epoch + 1}/{self.epochs}  loss {row['loss']:.4f}  val_loss {row['val_loss']:.4f}  "
                f"val_dice {row['val_dice']:.3f}  val_iou {row['val_iou']:.3f}  at most {self._left(epoch)} left")
        if self.bar is not None and not self.bar.disable:
            self.bar.write(text)
        else:
            print(text, flush=True)

    def _left(self, epoch: int) -> str:
        """Time that the remaining epochs take at the pace so far; the first, which is slow, does not count."""
        self.ends.append(time.monotonic())
        counted = self.ends[1:] if len(self.ends) > 2 else self.ends
        pace = (counted[-1] - counted[0]) / max(1, len(counted) - 1)
        return str(tqdm.format_interval(pace * (self.epochs - epoch - 1)))

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self.bar is not None:
            self.bar.close()
