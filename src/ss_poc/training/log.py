"""What each epoch gave: the rows of log.out, the best of them, and TensorBoard's curves."""

from __future__ import annotations

import math
from typing import Any

from ..core.errors import ModelError
from ..core.files import write_csv
from ..core.run import RunPaths
from ..networks import keras_setup  # noqa: F401  (quietens TensorFlow before Keras loads it)

import tensorflow as tf  # noqa: E402  isort: skip

__all__ = ["LOG_COLUMNS", "EpochLog"]

LOG_COLUMNS = ("epoch", "lr", "loss", "val_loss", "val_dice", "val_iou", "seconds")
# An image that was seen less often may have more to teach.
FEW_TIMES = 60


class EpochLog:
    """A row for each epoch, with the names of LOG_COLUMNS.

    Args:
        paths: of the run.
    """

    def __init__(self, paths: RunPaths) -> None:
        self.rows: list[dict[str, Any]] = []
        self._paths = paths
        self._writer: Any = None

    @property
    def best(self) -> dict[str, Any]:
        """The row with the highest validation IoU; of equals the one with the least loss, then the first."""
        return max(self.rows, key=lambda row: (row["val_iou"], -row["val_loss"], -row["epoch"]))

    def add(self, row: dict[str, Any], lr: float) -> None:
        """Keep a row.

        Args:
            row: of the epoch.
            lr: highest learning rate of the run, for the error.

        Raises:
            ModelError: a loss is not finite.
        """
        if not math.isfinite(row["loss"]) or not math.isfinite(row["val_loss"]):
            raise ModelError(f"the loss of epoch {row['epoch']} is {row['loss']} ({row['val_loss']} in validation)",
                             "a finite loss", f"train with a smaller --lr than {lr:g}, and another --model_name or "
                                              "--overwrite")
        self.rows.append(row)

    def write(self) -> None:
        """Write all rows to log.out."""
        write_csv(self._paths.log, LOG_COLUMNS, ([row[name] for name in LOG_COLUMNS] for row in self.rows), ";")

    def draw(self) -> None:
        """Add the last row to TensorBoard's curves."""
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._paths.graph))
        with self._writer.as_default(step=self.rows[-1]["epoch"]):
            for name in LOG_COLUMNS[1:]:
                tf.summary.scalar(name, self.rows[-1][name])
        self._writer.flush()

    def seconds(self) -> float:
        """Seconds that all epochs took."""
        return round(sum(row["seconds"] for row in self.rows), 1)

    def outlook(self, seen: float, budget: bool) -> str:
        """What more time would bring, as far as this run can tell.

        Args:
            seen: how often each image was seen.
            budget: whether the run had one.
        """
        text = f"each image was seen about {seen:.0f} times"
        if not budget or len(self.rows) < 4:
            return text
        early = [row["val_iou"] for row in self.rows if row["epoch"] <= 0.75 * len(self.rows)]
        gain = self.best["val_iou"] - max(early)
        if gain > 0.02:
            more = "a longer budget is worth it"
        elif seen < FEW_TIMES:
            more = "but images were seen few times yet, so a longer budget may still help"
        else:
            more = "a longer budget would bring little"
        return f"{text}; the last quarter of the time brought {gain:+.3f} IoU: {more}"
