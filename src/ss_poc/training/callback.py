"""What happens between the epochs of a training: validation, best model, learning rate, end and checkpoint."""

from __future__ import annotations

import time
from typing import Any

from ..core.config import ChosenConfig
from ..core.errors import ArtifactError
from ..core.run import RunPaths
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)
from .checkpoint import best_model_path, drop_other_models, load_checkpoint, save_best_model, save_checkpoint
from .log import EpochLog
from .model import average, compile_model, set_frozen
from .progress_bar import Bar
from .schedule import Clock, EpochSchedule, Plateaus, TimeSchedule
from .validation import Validator

import keras  # noqa: E402  isort: skip

__all__ = ["Progress"]

# Seconds that writing model and checkpoint may take before it was measured.
WRITING = 3.0
# The first steps compile and warm up: they say nothing of the speed.
SLOW_STEPS = 10


class Pace:
    """Steps per second; the first SLOW_STEPS after each start do not count."""

    def __init__(self) -> None:
        self._slow, self._steps, self._seconds = 0, 0, 0.0
        self._began = time.monotonic()

    def start(self) -> None:
        """Training begins, or begins again with a newly compiled step."""
        self._slow = SLOW_STEPS

    def step_begins(self) -> None:
        """Note the time."""
        self._began = time.monotonic()

    def step_ends(self) -> None:
        """Count the step."""
        if self._slow:
            self._slow -= 1
        else:
            self._steps += 1
            self._seconds += time.monotonic() - self._began

    def rate(self) -> float:
        """Steps per second; 0 where none was counted."""
        return self._steps / max(1e-9, self._seconds)


class Progress(keras.callbacks.Callback):
    """Validates, keeps the best model and a checkpoint, sets the learning rate and ends the training.

    Keras' own ReduceLROnPlateau and EarlyStopping forget what they counted when training starts again.

    Args:
        config: of the run.
        paths: of the run.
        steps: of an epoch.
        validator: scores the network after each epoch.
        served: network with the averaged weights; it is validated and written.
        started: `time.monotonic()` of when the command began; a budget counts from there.
    """

    def __init__(self, config: ChosenConfig, paths: RunPaths, steps: int, validator: Validator, served: keras.Model,
                 started: float) -> None:
        super().__init__()
        self.config, self.paths, self.steps = config, paths, steps
        self.log, self.plateaus, self.pace = EpochLog(paths), Plateaus(), Pace()
        self.clock = Clock(started)
        self._validator, self._served, self._rate = validator, served, config.lr
        self._by_time = None if config.seconds is None else TimeSchedule(config.lr, config.seconds, self.clock)
        self._by_epoch = EpochSchedule(config.lr, min(100, steps * 2))
        self._estimated = False
        self._bar = Bar(config, steps)
        self._epoch_began = time.monotonic()

    @property
    def epochs_done(self) -> int:
        """Number of whole epochs, those of an interrupted run included."""
        return len(self.log.rows)

    def frozen(self) -> bool:
        """Whether the encoder is held still in the epoch to come."""
        return self.epochs_done < self.config.freeze

    def ended(self) -> bool:
        """Whether time or epochs are over, or the last `patience` epochs brought nothing."""
        if self._by_time:
            return bool(self.log.rows) and self._by_time.over()
        return self.epochs_done >= self.config.epoch or (
            bool(self.log.rows) and self.epochs_done - self.log.best["epoch"] >= self.config.patience)

    def crops_a_second(self) -> float:
        """Crops trained on in a second of stepping, the first steps, which are slow, not counted."""
        return round(self.pace.rate() * self.config.batch_size, 2)

    def outlook(self, images: int) -> str:
        """What more time would bring; `images`: number of those that train."""
        seen = self.epochs_done * self.steps * self.config.batch_size / max(1, images)
        return self.log.outlook(seen, self._by_time is not None)

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Measure a validation where there is a budget: a first one that begins too late would end too late."""
        if self._by_time and not self._estimated:
            self._by_time.took(self._validator.estimate(self._served), WRITING)
            self._estimated = True
        self.pace.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the time, open the bar."""
        self._epoch_began = time.monotonic()
        self._bar.open(self.epochs_done, self._by_time)

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Set the learning rate of the step."""
        step = self.epochs_done * self.steps + batch
        self._rate = self._by_time.rate() if self._by_time else self._by_epoch.rate(step, self.plateaus.count)
        self.model.optimizer.learning_rate = self._rate
        self.pace.step_begins()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Move the bar; stop where the time is over."""
        self._bar.step(self._by_time)
        self.pace.step_ends()
        if self._by_time and self._by_time.over():
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Validate, write what the epoch gave, and say it.

        Raises:
            ModelError: the loss is not finite.
        """
        began = time.monotonic()
        average(self.model, self._served)
        found = self._validator.run(self._served)
        validation = time.monotonic() - began
        row = {"epoch": epoch + 1, "lr": self._rate, "loss": float((logs or {})["loss"]), **found,
               "seconds": time.monotonic() - self._epoch_began}
        self.log.add(row, self.config.lr)
        self.plateaus.after(best=self.log.best is row)
        began = time.monotonic()
        if self.log.best is row:
            save_best_model(self.paths, row, self._served)
        save_checkpoint(self.paths, self.model, self._state())
        self._finish()
        self.log.draw()
        if self._by_time:
            self._by_time.took(validation, time.monotonic() - began)
        self._bar.line(row, self._by_time)
        self.model.stop_training = self.ended()

    def restore(self, model: keras.Model) -> None:
        """Put a model and this object into the state of the last checkpoint; without one, leave both as they are.

        Raises:
            ArtifactError: the checkpoint cannot be used, or the best model it speaks of is missing.
        """
        state = load_checkpoint(self.paths, model, self.config, self.steps) if self.config.resume else None
        if state is None:
            return
        self.set_model(model)
        self.log.rows = state["history"]
        self.plateaus = Plateaus(state["plateaus"], state["since_plateau"])
        self.clock.before = state["seconds"]
        if self._by_time:
            self._by_time.first = state["first"]
        best = best_model_path(self.paths, self.log.best)
        if not best.is_file():
            raise ArtifactError(f"the best model {best} is missing", "the file that the checkpoint belongs to",
                                "train again with --overwrite")
        if state["frozen"] and not self.frozen():
            set_frozen(model, False)
            compile_model(self.config, model, self.steps)
        print(f"resumed after epoch {self.epochs_done}", flush=True)

    def close(self) -> None:
        """End the bar, and write what a kill just after the last checkpoint left unwritten."""
        self._bar.close()
        self._finish()

    def _state(self) -> dict[str, Any]:
        return {"history": self.log.rows, "since_plateau": self.plateaus.since, "plateaus": self.plateaus.count,
                "first": self._by_time.first if self._by_time else None, "seconds": self.clock.seconds()}

    def _finish(self) -> None:
        drop_other_models(self.paths, self.log.best)
        self.log.write()
