"""Parts joined into the files that a run without shards writes: COCO json, csv of run lengths, Parquet; with part rules
csv of verdicts and measurements too.

    python -m ss_poc.predict collect out
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..core.coco import coco_categories
from ..core.errors import ArtifactError
from ..core.files import write_csv, write_long_json
from ..core.run import RLE_COLUMNS
from ..core.text_table import counted
from ..inference.reading import Unread
from .parts import PartInfo, merged, parts_in, pieces_in, read_info, write_part
from .rows import SCHEMA, Row
from .shards import Shard
from .store import Store

__all__ = ["PARTS", "Joined", "collect"]

PARTS = "parts"
MOST_NAMED = 10
OBJECT = ("area", "length", "width", "edge")
MEASUREMENT_COLUMNS = ("image", "label", *OBJECT, "unit", "x", "y", "bbox_width", "bbox_height")


@dataclass
class Joined:
    """What came out: photographs that were read, by (height, width), those of them with something marked, and those
    that were not read.

    With part rules, `judged` counts the verdicts.
    """

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    defects: int = 0
    judged: Counter[str] = field(default_factory=Counter)
    unread: list[Unread] = field(default_factory=list)

    @property
    def images(self) -> int:
        """Number of photographs that were read."""
        return self.sizes.total()


def collect(store: Store, folder: str = PARTS) -> Joined:
    """Join the parts of all shards: `coco.json`, `rle.csv` and `predictions.parquet`, row for row what one run writes.

    A few photographs of each part are in memory at a time.

    Args:
        store: where the parts are, and where the files go.
        folder: of the parts, in it.

    Raises:
        ArtifactError: a part is missing, damaged or of another model, or a photograph is in two parts.
    """
    parts = _checked(store, folder)
    about = next(iter(parts.values()))
    maker = about.maker
    joined = Joined()
    for rows in _once(store, parts, ["image", "height", "width", "annotation", "error", "judgement"]):
        if rows[0]["error"] is not None:
            joined.unread.append(Unread(rows[0]["image"], rows[0]["error"]))
        else:
            joined.sizes[rows[0]["height"], rows[0]["width"]] += 1
            joined.defects += any(row["annotation"] is not None for row in rows)
            joined.judged.update([rows[0]["judgement"]] if maker.judged_by else [])
    with store.writing("rle.csv") as path:
        write_csv(path, RLE_COLUMNS, ([row[name] for name in RLE_COLUMNS]
                                      for rows in _read(store, parts, [*RLE_COLUMNS, "error"]) for row in rows))
    if maker.judged_by:
        _write_judgements(store, parts)
    with store.writing("coco.json") as path:
        write_long_json(path, {"images": _images(store, parts),
                               "categories": coco_categories(maker.category_ids, maker.labels, maker.colors),
                               "annotations": _annotations(store, parts)})
    with store.writing("predictions.parquet") as path:
        write_part(path, merged(store, parts, SCHEMA.names), about)
    return joined


def _checked(store: Store, folder: str) -> dict[str, PartInfo]:
    found = parts_in(store, folder)
    if not found:
        raise ArtifactError(f"there is no part in {store}/{folder}", "what --shard writes",
                            "name the folder that is the --output of the shards")
    counts = sorted({shard.count for shard in found.values()})
    if len(counts) > 1:
        raise ArtifactError(f"{store}/{folder} has parts of {' and of '.join(map(str, counts))} shards",
                            "parts of one number of shards", "remove those that you do not mean")
    missing = sorted(set(range(1, counts[0] + 1)) - {shard.number for shard in found.values()})
    if missing:
        begun = {shard.number for shard, _ in pieces_in(store, folder).values()}
        raise ArtifactError(f"{counted(len(missing), 'shard')} of {counts[0]} missing: " + _some(
            f"{number}{' (begun)' if number in begun else ''}" for number in missing), "a part of each shard",
            f"run them: --shard {Shard(missing[0], counts[0])}")
    parts = {f"{folder}/{name}": read_info(store, f"{folder}/{name}") for name in found}
    _check_makers(store, parts)
    return parts


def _check_makers(store: Store, parts: Mapping[str, PartInfo]) -> None:
    first = next(iter(parts.values()))
    for name, info in parts.items():
        difference = first.maker.difference(info.maker)
        if difference:
            raise ArtifactError(f"{store}/{name} was made otherwise than the first part: {difference}",
                                "parts of one model, with one engine and threshold",
                                f"remove it, and run --shard {info.shard} again as the others were run")
    lists = {info.digest: info for info in parts.values()}
    if len(lists) > 1:
        raise ArtifactError("the shards did not see the same photographs: "
                            + _some(f"{info.shard} saw {info.listed}" for info in lists.values()),
                            "shards of one folder, which stays as it is",
                            "run all shards again: only photographs that are new to them are predicted")


def _some(items: Iterator[str]) -> str:
    named = list(items)
    return ", ".join(named[:MOST_NAMED]) + (", …" if len(named) > MOST_NAMED else "")


def _once(store: Store, parts: Mapping[str, PartInfo], columns: list[str]) -> Iterator[list[Row]]:
    """The rows of each photograph, after it was seen that none comes twice."""
    twice, before = [], ""
    for rows in merged(store, parts, columns):
        if rows[0]["image"] == before:
            twice.append(before)
        before = rows[0]["image"]
        yield rows
    if twice:
        raise ArtifactError(f"{counted(len(twice), 'photograph')} in two parts: {_some(iter(twice))}",
                            "each photograph in one part", "remove the parts that do not belong together")


def _read(store: Store, parts: Mapping[str, PartInfo], columns: list[str]) -> Iterator[list[Row]]:
    """The rows of each photograph that could be read."""
    return (rows for rows in merged(store, parts, columns) if rows[0]["error"] is None)


def _write_judgements(store: Store, parts: Mapping[str, PartInfo]) -> None:
    with store.writing("verdicts.csv") as path:
        write_csv(path, ("image", "verdict", "reasons"), (
            (rows[0]["image"], rows[0]["judgement"], "; ".join(json.loads(rows[0]["reasons"])))
            for rows in _read(store, parts, ["image", "error", "judgement", "reasons"])))
    with store.writing("measurements.csv") as path:
        write_csv(path, MEASUREMENT_COLUMNS, (
            (row["image"], of_class["label"], *(item[name] for name in OBJECT), of_class["unit"], *item["bbox"])
            for rows in _read(store, parts, ["image", "error", "measurements"]) for row in rows if row["measurements"]
            for of_class in [json.loads(row["measurements"])] for item in of_class["each"]))


def _images(store: Store, parts: Mapping[str, PartInfo]) -> Iterator[dict[str, Any]]:
    columns = ["image", "height", "width", "error", "judgement", "reasons", "probability"]
    for number, rows in enumerate(_read(store, parts, columns), start=1):
        first = rows[0]
        judged = {"verdict": first["judgement"], "reasons": json.loads(first["reasons"])} \
            if first.get("judgement") else {}  # parts of earlier versions have no such column
        if first.get("probability") is not None:
            judged["probability"] = first["probability"]
        yield {"id": number, "file_name": first["image"], "width": first["width"], "height": first["height"], **judged}


def _annotations(store: Store, parts: Mapping[str, PartInfo]) -> Iterator[dict[str, Any]]:
    number = 0
    for image, rows in enumerate(_read(store, parts, ["image", "annotation", "error", "measurements"]), start=1):
        for row in rows:
            if row["annotation"] is not None:
                number += 1
                measured = {"measurements": json.loads(row["measurements"])} if row.get("measurements") else {}
                yield {**json.loads(row["annotation"]), "id": number, "image_id": image, **measured}
