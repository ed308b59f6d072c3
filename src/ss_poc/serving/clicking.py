"""Clicks on a photograph that came as a file: the region meant, as outline and as RLE."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..clicks.guidance import Box, Click
from ..clicks.outline import outline_of
from ..clicks.predictor import FOLDER
from ..clicks.session import ClickSession
from ..core.images import PLAIN, OpenedImage
from ..core.levels import Levels
from ..core.masks import encode_rle
from ..inference.engines import load_engine

__all__ = ["ClickedRegion", "Clicking"]


@dataclass(frozen=True)
class ClickedRegion:
    """The region somebody meant.

    Attributes:
        mask: (H, W) bool; nothing may be marked.
        score: mean probability of the region, 0..1; 0 where nothing is marked.
    """

    mask: np.ndarray
    score: float

    @cached_property
    def rle(self) -> dict[str, Any]:
        """COCO compressed RLE."""
        return encode_rle(self.mask)

    @cached_property
    def polygons(self) -> list[list[float]]:
        """COCO polygons with few corners, to be edited by hand."""
        return outline_of(self.mask)


class Clicking:
    """The click network of a service, loaded at the first click.

    Args:
        threads: of its engine.
    """

    def __init__(self, threads: int) -> None:
        self._threads, self._lock = threads, threading.Lock()
        self._loaded: ClickSession | None = None

    @property
    def _session(self) -> ClickSession:
        with self._lock:
            if self._loaded is None:
                self._loaded = ClickSession(load_engine("onnxruntime", FOLDER, self._threads))
            return self._loaded

    def answer(self, data: bytes, opened: OpenedImage,
               pointed: Callable[[Sequence[int]], tuple[Sequence[Click], Box | None]],
               levels: Levels = PLAIN) -> ClickedRegion | None:
        """Find the region meant; see `ClickSession.answer`.

        Args:
            data: the photograph's file.
            opened: its header.
            pointed: gives clicks and box for the height and width of the photograph.
            levels: what becomes black and white of a photograph with more than 8 bits.
        """
        clicks, box = pointed(opened.upright_hw)
        name = hashlib.blake2b(data, digest_size=16).hexdigest()
        found = self._session.answer(name, lambda: opened.decode(levels=levels), clicks, box)
        if found is None:
            return None
        score = float(found.probability[found.mask].mean()) if found.mask.any() else 0.0
        return ClickedRegion(found.mask, score)
