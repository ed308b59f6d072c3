"""What happens between the epochs of a training, and a checkpoint from which it goes on as if never stopped."""

from __future__ import annotations

import io
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..core.config import TrainConfig
from ..core.errors import ArtifactError, ModelError
from ..core.files import atomic_path, write_csv, write_json
from ..core.run import RunPaths
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from ..networks.structure import encoder_layers
from .model import average, compile_model, set_frozen
from .progress_bar import Bar
from .schedule import Clock, EpochSchedule, TimeSchedule
from .validation import Validator

import keras  # noqa: E402  isort: skip
import tensorflow as tf  # noqa: E402  isort: skip

__all__ = ["Progress"]

LOG_COLUMNS = ("epoch", "lr", "loss", "val_loss", "val_dice", "val_iou", "seconds")
PLATEAU_PATIENCE = 5
# Seconds that writing model and checkpoint may take before it was measured.
WRITING = 3.0
# The first steps compile and warm up: they say nothing of the speed.
SLOW_STEPS = 10


class Progress(keras.callbacks.Callback):
    """Validation, log, best model, learning rate, end, bar and checkpoint: all that a resumed run must know.

    Keras' own ReduceLROnPlateau and EarlyStopping forget what they counted when training starts again.
    """

    def __init__(self, config: TrainConfig, paths: RunPaths, steps: int, validator: Validator, served: keras.Model,
                 started: float) -> None:
        super().__init__()
        self.config, self.paths, self.steps = config, paths, steps
        self.history: list[dict[str, Any]] = []
        self.plateaus = self.since_plateau = 0
        self._validator, self._served, self._rate = validator, served, config.lr
        self._writer: Any = None
        self.clock = Clock(started)
        self._by_time = TimeSchedule(config.lr, config.seconds, self.clock) if config.budget else None
        self._estimated = False
        self._by_epoch = EpochSchedule(config.lr, min(100, steps * 2))
        self._bar = Bar(config, steps)
        self._epoch_began = self._pace_began = time.monotonic()
        self._slow, self._paced, self._pace_seconds = 0, 0, 0.0

    @property
    def epochs_done(self) -> int:
        return len(self.history)

    @property
    def best(self) -> dict[str, Any]:
        """The row of the epoch with the highest validation IoU; of equals the one with the least loss, then the first.
        """
        return max(self.history, key=lambda row: (row["val_iou"], -row["val_loss"], -row["epoch"]))

    def frozen(self) -> bool:
        """Whether the encoder is held still in the epoch to come."""
        return self.epochs_done < self.config.freeze

    def ended(self) -> bool:
        """Whether time or epochs are over, or the last `patience` epochs brought nothing."""
        if self._by_time:
            return bool(self.history) and self._by_time.over()
        return self.epochs_done >= self.config.epoch or (
            bool(self.history) and self.epochs_done - self.best["epoch"] >= self.config.patience)

    def crops_a_second(self) -> float:
        """Crops trained on in a second of stepping, the first steps, which are slow, not counted."""
        return round(self._paced * self.config.batch_size / max(1e-9, self._pace_seconds), 2) if self._paced else 0.0

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        if self._by_time and not self._estimated:
            # Without, a first validation on large photographs could begin too late to end in time.
            self._by_time.took(self._validator.estimate(self._served), WRITING)
            self._estimated = True
        self._slow = SLOW_STEPS

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch_began = time.monotonic()
        self._bar.open(self.epochs_done, self._by_time)

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        step = self.epochs_done * self.steps + batch
        self._rate = self._by_time.rate() if self._by_time else self._by_epoch.rate(step, self.plateaus)
        self.model.optimizer.learning_rate = self._rate
        self._pace_began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._bar.step(self._by_time)
        if self._slow:
            self._slow -= 1
        else:
            self._paced += 1
            self._pace_seconds += time.monotonic() - self._pace_began
        if self._by_time and self._by_time.over():
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        began = time.monotonic()
        average(self.model, self._served)
        found = self._validator.run(self._served)
        validation = time.monotonic() - began
        row = {"epoch": epoch + 1, "lr": self._rate, "loss": float((logs or {})["loss"]), **found,
               "seconds": time.monotonic() - self._epoch_began}
        self._check(row)
        self.history.append(row)
        self._adapt(row)
        began = time.monotonic()
        if self.best is row:
            with atomic_path(self._best_path()) as temporary:
                self._served.save(temporary)
        self._checkpoint()
        self.finish()
        self._write_graph(row)
        if self._by_time:
            self._by_time.took(validation, time.monotonic() - began)
        self._bar.line(row, self._by_time)
        self.model.stop_training = self.ended()

    def _check(self, row: dict[str, Any]) -> None:
        if not math.isfinite(row["loss"]) or not math.isfinite(row["val_loss"]):
            raise ModelError(f"the loss of epoch {row['epoch']} is {row['loss']} ({row['val_loss']} in validation)",
                             "a finite loss", f"train with a smaller --lr than {self.config.lr:g}, and another "
                                              "--model_name or --overwrite")

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

    def close(self) -> None:
        """End the bar, and write what a kill just after the last checkpoint left unwritten."""
        self._bar.close()
        self.finish()

    def outlook(self, images: int) -> str:
        """What more time would bring, as far as this run can tell."""
        seen = self.epochs_done * self.steps * self.config.batch_size / max(1, images)
        text = f"each image was seen about {seen:.0f} times"
        if not self.config.budget or self.epochs_done < 4:
            return text
        rows = [row for row in self.history if row["epoch"] <= 0.75 * self.epochs_done]
        gain = self.best["val_iou"] - max(row["val_iou"] for row in rows)
        more = "a longer budget is worth it" if seen < 60 or gain > 0.02 else "a longer budget would bring little"
        return f"{text}; the last quarter of the time brought {gain:+.3f} IoU: {more}"

    def _best_path(self) -> Path:
        return self.paths.model / f"model_{self.best['epoch']}_{self.best['val_loss']:.4f}.keras"

    def _adapt(self, row: dict[str, Any]) -> None:
        """Halve the learning rate after PLATEAU_PATIENCE epochs without a new best one."""
        self.since_plateau = 0 if self.best is row else self.since_plateau + 1
        if self.since_plateau >= PLATEAU_PATIENCE:
            self.since_plateau = 0
            self.plateaus += 1

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
        arrays["state"] = json.dumps({"history": self.history, "since_plateau": self.since_plateau,
                                      "plateaus": self.plateaus,
                                      "first": self._by_time.first if self._by_time else None,
                                      "seconds": self.clock.seconds(),
                                      "frozen": any(not layer.trainable for layer in encoder_layers(self.model)
                                                    if layer.name != "preprocess")})
        np.savez(buffer, **arrays)
        with atomic_path(self.paths.model / "resume.npz") as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def restore(self, model: keras.Model) -> None:
        """Put a model and this object into the state of the last checkpoint; without one, into that of the start."""
        path = self.paths.model / "resume.npz"
        if not self.config.resume or not path.is_file():
            return
        try:
            with np.load(path, allow_pickle=False) as arrays:
                state = json.loads(str(arrays["state"]))
                set_frozen(model, state["frozen"])
                compile_model(self.config, model, self.steps)
                self.set_model(model)
                values = [arrays[f"v{number}"] for number in range(len(self._variables()))]
        except (ValueError, KeyError, OSError, EOFError) as error:
            raise ArtifactError(f"the checkpoint {path} cannot be used: {error}", "one written by this network",
                                "train again with --overwrite") from error
        for variable, value in zip(self._variables(), values, strict=True):
            variable.assign(value)
        self.history, self.since_plateau, self.plateaus = state["history"], state["since_plateau"], state["plateaus"]
        self.clock.before = state["seconds"]
        if self._by_time:
            self._by_time.first = state["first"]
        if not self._best_path().is_file():
            raise ArtifactError(f"the best model {self._best_path()} is missing",
                                "the file that the checkpoint belongs to", "train again with --overwrite")
        if state["frozen"] and not self.frozen():
            set_frozen(model, False)
            compile_model(self.config, model, self.steps)
        print(f"resumed after epoch {self.epochs_done}", flush=True)

    def _write_graph(self, row: dict[str, Any]) -> None:
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self.paths.graph))
        with self._writer.as_default(step=row["epoch"]):
            for name in LOG_COLUMNS[1:]:
                tf.summary.scalar(name, row[name])
        self._writer.flush()
