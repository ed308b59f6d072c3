"""Photographs → the part of a shard, or all that a whole run writes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from tqdm import tqdm

from ..core.drawing import draw_overlay
from ..core.files import flat_names
from ..core.images import encode_image
from ..core.text_table import counted
from ..inference.predictor import Prediction, Predictor
from ..inference.reading import Read
from ..measuring.drawing import draw_judgement
from ..measuring.judge import Judgement
from ..measuring.settings import PartRules
from .collect import PARTS, Joined, collect
from .growing import GrowingPart
from .parts import PartInfo, PartMaker, part_name
from .photographs import Photographs
from .rows import Row, predicted_rows
from .shards import Shard
from .store import Store

__all__ = ["Job", "Source", "predict_shard", "predict_whole"]

# Where a whole run keeps its part while it works.
WORK = ".parts"

# From names of photographs to the rows of each; they may come in any order.
Source = Callable[[Sequence[str]], Iterator[Sequence[Row]]]


@dataclass(frozen=True)
class Job:
    """What a run predicts, and where to.

    Attributes:
        predictor: the model.
        photographs: all of them, those of other shards too.
        store: to write to.
        threshold: probability in 0..1 for every class, or None for each rule's own.
        overlays: whether a picture of each photograph with what was found is written.
        rules: by which parts are judged; None where they are not.
    """

    predictor: Predictor
    photographs: Photographs
    store: Store
    threshold: float | None = None
    overlays: bool = True
    rules: PartRules | None = None

    def here(self, names: Sequence[str]) -> Iterator[list[Row]]:
        """Predict photographs on this machine: the `Source` of a run without a cluster."""
        reader, levels = self.photographs.reader(), self.predictor.spec.levels
        flat = flat_names(self.photographs.names, suffixes=True) if self.overlays else {}
        for name in names:
            show = partial(self._draw, f"overlay/{flat[name]}.jpg") if self.overlays else None
            yield predicted_rows(self.predictor, name, reader.read(name, levels), self.threshold, self.rules, show)

    def _draw(self, name: str, read: Read, found: Prediction, judged: Judgement | None) -> None:
        drawn = draw_overlay(read.image_rgb, self.predictor.spec.colors, outlined=found.mask, filled=found.mask)
        if judged:
            drawn = draw_judgement(drawn, judged)
        with self.store.writing(name) as path:
            path.write_bytes(encode_image(drawn))


def predict_shard(job: Job, shard: Shard) -> str:
    """Write the part of a shard; of a part that is there, photographs that are not in it yet are predicted.

    Returns:
        What was done, as a sentence.

    Raises:
        ArtifactError: another process makes this part, or it was made by another model, engine or threshold.
    """
    name = f"{PARTS}/{part_name(shard)}"
    with job.store.claim(f"{name}.lock", f"shard {shard}"):
        count = _grow(job, shard, PARTS, job.here)
    done = "was done already" if count is None else f"{counted(count, 'photograph')} done"
    return f"shard {shard}: {done} → {job.store}/{name}; when all are: python -m ss_poc.predict collect {job.store}"


def predict_whole(job: Job, source: Source | None = None) -> Joined:
    """Predict all photographs, and write COCO json, RLE csv, Parquet and an overlay of each photograph.

    A photograph that cannot be read does not stop the others. A run that was killed is gone on with.

    Args:
        job: what to predict.
        source: what predicts; None for this machine.

    Raises:
        ArtifactError: another process writes to the same place.
    """
    shard = Shard()
    name = f"{WORK}/{part_name(shard)}"
    with job.store.claim(f"{name}.lock", f"the prediction in {job.store}"):
        _grow(job, shard, WORK, source or job.here, fresh=True)
        joined = collect(job.store, WORK)
        job.store.remove(name)
    job.store.remove_empty(WORK)
    return joined


def _grow(job: Job, shard: Shard, folder: str, source: Source, fresh: bool = False) -> int | None:
    """Predict what is left of a shard. The number of its photographs; None where it was finished."""
    names = [name for name in job.photographs.names if shard.holds(name)]
    info = PartInfo(PartMaker.of(job.predictor, job.threshold, job.rules), shard, len(job.photographs.names),
                    job.photographs.digest)
    part = GrowingPart(job.store, folder, info, names, fresh)
    if part.finished:
        return None
    if part.done:
        print(f"{part.done} of {counted(len(names), 'photograph')} are done already", file=sys.stderr, flush=True)
    with part, tqdm(source(part.left), desc="predict", unit="image", total=len(names), initial=part.done,
                    disable=None) as bar:
        for rows in bar:
            part.add(rows)
        part.finish()
    return len(names)
