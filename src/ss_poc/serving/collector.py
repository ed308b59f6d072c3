"""Keeps the photographs a model was least sure of, as a data set for the annotator: some a day, for some days."""

from __future__ import annotations

import datetime
import fcntl
import re
import threading
import time
import uuid
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.files import atomic_path, read_json, remove_leftovers, write_json
from ..core.images import encode_image, suffix_as_it_came
from ..core.model_spec import ModelSpec
from ..inference.predictor import Prediction, coco_document
from .memory import LARGE
from .metrics import log_line

__all__ = ["Collector", "ReceivedImage"]

WAITING = 8  # offers that may wait for the disk; more are let go
SECONDS_BETWEEN_COMPLAINTS = 60.0
PHOTOGRAPH = r"(\d{4}-\d\d-\d\d)_\d\.\d{4}_[0-9a-f]{8}\.(?:jpg|png)"
OURS = re.compile(PHOTOGRAPH + r"|proposals-(\d{4}-\d\d-\d\d)\.json")
NAMED = re.compile(PHOTOGRAPH.encode())


@dataclass(frozen=True)
class ReceivedImage:
    """An image as it came and as it was decoded.

    Attributes:
        data: content of the file.
        rgb: (H, W, 3) uint8, turned as the EXIF orientation says.
        orientation: EXIF orientation of the file, 1 to 8.
        wide: whether the file has more than 8 bits a value.
        warnings: what is odd about its values.
    """

    data: bytes
    rgb: np.ndarray
    orientation: int
    wide: bool = False
    warnings: tuple[str, ...] = ()


class Collector:
    """Keeps photographs in `root`, with the model's proposals of each day in `proposals-<day>.json` (COCO).

    One thread of its own does the work; an error there is logged and never reaches a request. Worker processes that
    share a folder take turns.

    Args:
        root: folder, made when the first photograph is kept.
        spec: the model.
        per_day: number of photographs kept of each day; those that are labelled are never given up for others.
        days: number of days after which photographs are removed again, unless they are labelled.
        most_pixels: of the photographs that wait together; a larger one is waited for.

    A photograph is labelled where a json in `.exports/` names it, whatever tool wrote that json.
    """

    def __init__(self, root: Path, spec: ModelSpec, per_day: int, days: int,
                 most_pixels: int = LARGE) -> None:
        self.root, self.spec, self.per_day, self.days = root, spec, per_day, days
        self.most_pixels = most_pixels
        self._pool = ThreadPoolExecutor(1, "collect")
        self._lock, self._offers, self._pixels = threading.Lock(), 0, 0
        self._complained = 0.0
        self._forgotten: datetime.date | None = None
        self._exports: dict[tuple[str, int, int], set[str]] = {}

    def offer(self, image: ReceivedImage, prediction: Prediction, uncertainty: float) -> None:
        """Keep a photograph if it is among the least certain of today.

        Returns at once, but for a photograph of more than `most_pixels`: in a queue it would take memory that nobody
        has counted, so it is kept while the request for it goes on.

        Args:
            image: the photograph.
            prediction: what the model found on it.
            uncertainty: 0 (sure) to 1.
        """
        pixels = image.rgb.shape[0] * image.rgb.shape[1]
        large = pixels > self.most_pixels
        counted = 0 if large else pixels
        with self._lock:
            if self._offers >= WAITING or self._pixels + counted > self.most_pixels:
                return
            self._offers, self._pixels = self._offers + 1, self._pixels + counted
        kept = self._pool.submit(self._keep_quietly, image, prediction, uncertainty, counted)
        if large:
            kept.result()

    def finish(self) -> None:
        """Wait until all that was offered is written."""
        self._pool.shutdown(wait=True)

    def _keep_quietly(self, image: ReceivedImage, prediction: Prediction, uncertainty: float,
                      counted: int) -> None:
        try:
            self._keep(image, prediction, uncertainty)
        except Exception as error:  # nobody waits for this thread: what is not logged here would be lost
            if time.monotonic() - self._complained > SECONDS_BETWEEN_COMPLAINTS or not self._complained:
                self._complained = time.monotonic()
                log_line("a photograph could not be collected", 30, reason=repr(error), folder=str(self.root))
        finally:
            with self._lock:
                self._offers, self._pixels = self._offers - 1, self._pixels - counted

    def _keep(self, image: ReceivedImage, prediction: Prediction, uncertainty: float) -> None:
        day = datetime.date.today()
        self.root.mkdir(parents=True, exist_ok=True)
        with self._turn():
            self._forget_before(day - datetime.timedelta(days=self.days - 1))
            kept = sorted((path for path in self.root.glob(f"{day}_*") if OURS.fullmatch(path.name)), key=_uncertainty)
            going: list[Path] = []
            if len(kept) >= self.per_day:
                labelled = self._labelled()
                going = [path for path in kept if path.name not in labelled][:len(kept) + 1 - self.per_day]
                if not going or uncertainty <= _uncertainty(going[-1]):
                    return
            self._add(day, image, prediction, uncertainty, {path.name for path in going})
            for path in going:  # only now: on a full disk those that are there stay
                path.unlink(missing_ok=True)

    def _add(self, day: datetime.date, image: ReceivedImage, prediction: Prediction, uncertainty: float,
             going: Collection[str]) -> None:
        """Write a photograph and note it, or leave all as it was."""
        suffix, content = _stored(image)
        path = self.root / f"{day}_{uncertainty:.4f}_{uuid.uuid4().hex[:8]}{suffix}"
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
        try:
            self._note(day, path.name, prediction, going)
        except BaseException:
            path.unlink()
            raise

    def _note(self, day: datetime.date, name: str, prediction: Prediction, going: Collection[str]) -> None:
        """Write the day's COCO document: what it said of photographs that stay, and the new one."""
        path = self.root / f"proposals-{day}.json"
        old = read_json(path) if path.is_file() else {"images": [], "annotations": []}
        images = [item for item in old["images"]
                  if item["file_name"] not in going and (self.root / item["file_name"]).is_file()]
        ids = {item["id"] for item in images}
        annotations = [item for item in old["annotations"] if item["image_id"] in ids]
        height, width = prediction.mask.shape[:2]
        images.append({"id": max(ids, default=0) + 1, "file_name": name, "height": height, "width": width})
        first = max((item["id"] for item in annotations), default=0) + 1
        annotations += prediction.coco_annotations(self.spec.category_ids, images[-1]["id"], first)
        write_json(path, coco_document(self.spec, images, annotations))

    def _forget_before(self, day: datetime.date) -> None:
        """Remove what is older than that day, but no photograph that somebody labelled: an export names it."""
        if self._forgotten == day:
            return
        labelled = self._labelled()
        remove_leftovers(self.root)
        for path in self.root.iterdir():
            found = OURS.fullmatch(path.name)
            if found and (found[1] or found[2]) < str(day) and path.name not in labelled:
                path.unlink(missing_ok=True)
        self._forgotten = day

    def _labelled(self) -> set[str]:
        """Names of our photographs that stand anywhere in an export; files that changed since last time are read."""
        found = {}
        for export in self.root.glob(".exports/*.json"):
            if export.is_file():
                state = export.stat()
                key = (export.name, state.st_mtime_ns, state.st_size)
                found[key] = self._exports[key] if key in self._exports else {
                    match[0].decode() for match in NAMED.finditer(export.read_bytes())}
        self._exports = found
        return set().union(*found.values())

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with (self.root / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _uncertainty(path: Path) -> float:
    return float(path.name.split("_")[1])


def _stored(image: ReceivedImage) -> tuple[str, bytes]:
    """Suffix and content: the file as it came where annotators show it as we see it, else a PNG of it."""
    suffix = suffix_as_it_came(image.data, image.orientation, image.wide)
    if suffix:
        return suffix, image.data
    return ".png", encode_image(image.rgb, ".png")
