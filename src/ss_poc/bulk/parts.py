"""Parts of a prediction: Parquet files that say what made them, with rows in the order of the photographs.

A shard that is worked on lies in pieces: `part-00003-of-00016.000001.parquet`, … When all its photographs are done,
they become one part: `part-00003-of-00016.parquet`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ..core.errors import ArtifactError
from ..inference.predictor import Predictor
from ..measuring.settings import PartRules
from .photographs import in_order
from .rows import SCHEMA, Row
from .shards import Shard
from .store import Store

__all__ = ["PartInfo", "PartMaker", "leftovers_of", "merged", "part_name", "parts_in", "photographs_in", "pieces_in",
           "read_info", "write_part"]

NAME = re.compile(r"part-(\d{5})-of-(\d{5})(?:\.(\d{6}))?\.parquet")
LEFTOVER = re.compile(r"\.[^/]+\.tmp\.(part-\d{5}-of-\d{5})\.[^/]*")
ABOUT = b"ss_poc"
# Photographs that are read at once of each part that is joined: what joining takes of memory.
TOGETHER = 64


@dataclass(frozen=True)
class PartMaker:
    """What made a part. Parts can be joined where it is the same.

    Attributes:
        model: name and version, for people.
        graph: digest of the exported graph.
        rules: digest of the rules, of the verdict's thresholds and of what makes its probability.
        engine: that ran the graph.
        threshold: that replaced the rules' own, 0..1; None where none did.
        labels, colors, category_ids: one for each class.
        judged_by: digest of the part rules; None where there were none.
    """

    model: str
    graph: str
    rules: str
    engine: str
    threshold: float | None
    labels: tuple[str, ...]
    colors: tuple[str, ...]
    category_ids: tuple[int, ...]
    judged_by: str | None = None

    @classmethod
    def of(cls, predictor: Predictor, threshold: float | None, part_rules: PartRules | None = None) -> PartMaker:
        """Return what a model makes with a threshold for every class, or None for each rule's own."""
        spec = predictor.spec
        # Without a reach it is left out: parts of before there was any go on being joined.
        rules = [[str(value) for name, value in dataclasses.asdict(rule).items() if name != "reach" or value]
                 for rule in predictor.rules]
        chance = [dataclasses.astuple(predictor.chance)] if predictor.chance else []  # earlier parts had none
        decided = json.dumps([rules, predictor.floors, *chance])
        digest = hashlib.blake2b(decided.encode(), digest_size=8).hexdigest()
        return cls(f"{spec.name} {spec.version}", spec.sha256, digest, predictor.engine, threshold, spec.labels,
                   spec.colors, spec.category_ids, part_rules.digest if part_rules else None)

    def difference(self, other: PartMaker) -> str:
        """Return what is not the same, as words: "engine onnxruntime and openvino"; empty where all is."""
        return ", ".join(f"{item.name} {_short(getattr(self, item.name))} and {_short(getattr(other, item.name))}"
                         for item in dataclasses.fields(self) if getattr(self, item.name) != getattr(other, item.name))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}…"


@dataclass(frozen=True)
class PartInfo:
    """What a part says of itself.

    Attributes:
        maker: what made it.
        shard: whose it is.
        listed: number of photographs that there were for all shards.
        digest: of their names.
        first: name of its first photograph; empty where it has none.
    """

    maker: PartMaker
    shard: Shard
    listed: int
    digest: str
    first: str = ""


def part_name(shard: Shard, piece: int | None = None) -> str:
    """Return the name of a shard's part, or of one of its pieces."""
    return f"part-{shard.number:05}-of-{shard.count:05}{'' if piece is None else f'.{piece:06}'}.parquet"


def parts_in(store: Store, folder: str) -> dict[str, Shard]:
    """Return the names of the parts in a folder, with their shards."""
    return {name: Shard(int(found[1]), int(found[2])) for name, found in _named(store, folder) if not found[3]}


def pieces_in(store: Store, folder: str) -> dict[str, tuple[Shard, int]]:
    """Return the names of the pieces in a folder, with their shards and numbers."""
    return {name: (Shard(int(found[1]), int(found[2])), int(found[3]))
            for name, found in _named(store, folder) if found[3]}


def leftovers_of(store: Store, folder: str, shard: Shard) -> list[str]:
    """Return the names of what killed processes were writing of a shard's part."""
    stem = part_name(shard).removesuffix(".parquet")
    found = [(name, LEFTOVER.fullmatch(name)) for name in store.below(folder)]
    return [name for name, match in found if match and match[1] == stem]


def _named(store: Store, folder: str) -> list[tuple[str, re.Match[str]]]:
    found = [(name, NAME.fullmatch(name)) for name in sorted(store.below(folder))]
    return [(name, match) for name, match in found if match]


def write_part(path: Path, photographs: Iterable[Sequence[Row]], info: PartInfo, together: int = TOGETHER) -> None:
    """Write a part.

    Args:
        path: to write to.
        photographs: the rows of each, in the order of their names; they are taken one by one.
        info: what the part says of itself; `first` is filled in.
        together: photographs that a reader takes into memory at once.
    """
    waiting = iter(photographs)
    first = next(waiting, [])
    about = dataclasses.replace(info, first=first[0]["image"] if first else "")
    schema = SCHEMA.with_metadata({ABOUT: json.dumps(dataclasses.asdict(about))})
    with path.open("wb") as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        rows, count = list(first), 1
        for photograph in waiting:
            if count == together:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows, count = [], 0
            rows += photograph
            count += 1
        writer.write_table(pa.Table.from_pylist(rows, schema))


def read_info(store: Store, name: str) -> PartInfo:
    """Return what a part says of itself.

    Raises:
        ArtifactError: the file is damaged or not one of ours.
    """
    try:
        with store.open(name) as file:
            about = json.loads(pq.ParquetFile(file).schema_arrow.metadata[ABOUT])
        maker: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value
                                 for key, value in about["maker"].items()}
        return PartInfo(**{**about, "maker": PartMaker(**maker), "shard": Shard(**about["shard"])})
    except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{store}/{name} is damaged, or no part of a prediction", "what --shard writes",
                            "remove it, and run its shard again") from error


def photographs_in(store: Store, name: str) -> set[str]:
    """Return the names of the photographs of a part."""
    with store.open(name) as file:
        return set(pq.ParquetFile(file).read(["image"]).column("image").unique().to_pylist())


def merged(store: Store, parts: Mapping[str, PartInfo], columns: Sequence[str]) -> Iterator[list[Row]]:
    """Yield the rows of each photograph, in the order of the photographs, whichever parts they lie in.

    A part is opened when its first photograph comes, and a few of its photographs are in memory at a time.

    Args:
        store: where the parts are.
        parts: their names, and what they say of themselves.
        columns: to read; `image` is among them.
    """
    heap: list[tuple[list[str], int, list[Row], Iterator[list[Row]]]] = [
        (in_order(info.first), number, [], _photographs(store, name, columns))
        for number, (name, info) in enumerate(parts.items()) if info.first]
    heapq.heapify(heap)
    while heap:
        _, number, rows, following = heapq.heappop(heap)
        if rows:
            yield rows
        rows = next(following, [])
        if rows:
            heapq.heappush(heap, (in_order(rows[0]["image"]), number, rows, following))


def _photographs(store: Store, name: str, columns: Sequence[str]) -> Iterator[list[Row]]:
    with store.open(name) as file:
        metadata = pq.read_metadata(file)  # once: of a large part it takes as long as many groups of rows
    for group in range(metadata.num_row_groups):
        with store.open(name) as file:  # anew each time: there may be more parts than files that may be open
            rows = pq.ParquetFile(file, metadata=metadata).read_row_group(group, columns).to_pylist()
        for _, photograph in groupby(rows, key=lambda row: row["image"]):
            yield list(photograph)
