"""Probability maps that are kept for a while: what comes after training predicts each image once with an engine."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .predictor import Predictor

__all__ = ["KeptMaps", "maps_kept_in"]

# Maps of a thousand photographs of a megapixel, one class; what is beyond is predicted again.
MOST_BYTES = 4 << 30


class KeptMaps:
    """Probability maps of images, by engine, in files. Several threads may use it at the same time.

    Args:
        folder: for the files, which are all of one graph; None: nothing is kept.
        most_bytes: of all files together. A disk is never filled by more than half of what is free.
    """

    def __init__(self, folder: Path | None = None, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._left = folder, min(most_bytes, shutil.disk_usage(folder).free // 2) if folder else 0
        self._files: dict[tuple[str, str], Path] = {}
        self._lock = threading.Lock()

    def probability(self, predictor: Predictor, name: str, image_rgb: Callable[[], np.ndarray]) -> np.ndarray:
        """Return an image's map, (h, w, C) in 0..1, as `Predictor.probability` gives it: the kept one, else a new one,
        which is kept then.

        Args:
            predictor: of the one graph; its engine tells maps apart.
            name: of the image.
            image_rgb: gives the image, (H, W, 3) uint8 RGB; it is not called where the map is kept.
        """
        with self._lock:
            path = self._files.get((predictor.engine, name))
        if path:
            found: np.ndarray = np.load(path)
            return found
        probability = predictor.probability(image_rgb())
        self._keep(predictor.engine, name, probability)
        return probability

    def change(self, engine: str, to: Callable[[np.ndarray], np.ndarray]) -> None:
        """Replace each map of an engine, as its graph was changed behind its output."""
        for (of, _), path in self._files.items():
            if of == engine:
                np.save(path, to(np.load(path)))

    def _keep(self, engine: str, name: str, probability: np.ndarray) -> None:
        with self._lock:
            if self._folder is None or probability.nbytes > self._left:
                return
            self._left -= probability.nbytes
            path = self._folder / f"{len(self._files)}.npy"
            self._files[engine, name] = path
        np.save(path, probability)


@contextmanager
def maps_kept_in(folder: Path) -> Iterator[KeptMaps]:
    """Keep maps in a folder of their own, which is removed in the end, and before that if a killed process left it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield KeptMaps(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
