"""Part rules: by what a part is accepted or rejected, as a yaml has them; `read_rules` checks a whole file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import yaml

from ..core import yaml_settings as schema
from ..core.errors import ConfigError, SegmentError
from ..core.yaml_settings import Reader, entry, read_yaml
from .alignment import Reference
from .chart import millimetres_of
from .regions import Polygon

__all__ = ["ClassLimits", "Limits", "PartRules", "part_rules", "read_rules"]


# A polygon encloses at least this fraction of the photograph.
LEAST_AREA = 1e-6


@dataclass(frozen=True, kw_only=True)
class LowLimits:
    """Limits that a measurement may not be below."""

    warn_below: float | None = entry(schema.number(0), "warn below this", None)
    reject_below: float | None = entry(schema.number(0), "reject below this", None)


@dataclass(frozen=True, kw_only=True)
class Limits(LowLimits):
    """Limits of one measurement."""

    warn: float | None = entry(schema.number(0), "warn above this", None)
    reject: float | None = entry(schema.number(0), "reject above this", None)


@dataclass(frozen=True, kw_only=True)
class ClassLimits:
    """Limits of one class: of all its objects together, then of each of them."""

    count: Limits = entry(schema.block(Limits), "number of objects", Limits())
    total_area: Limits = entry(schema.block(Limits), "area of all objects", Limits())
    total_length: Limits = entry(schema.block(Limits), "length of all objects", Limits())
    area: Limits = entry(schema.block(Limits), "area of an object", Limits())
    length: Limits = entry(schema.block(Limits), "length of an object", Limits())
    width: Limits = entry(schema.block(Limits), "mean width of an object", Limits())
    edge: LowLimits = entry(schema.block(LowLimits), "distance of an object to the edge of the region", LowLimits())


@dataclass(frozen=True, kw_only=True)
class ChartSettings:
    """A photograph of a chessboard, by the same camera in the same place."""

    photograph: Path = entry(schema.file, "the photograph of the chart")
    corners: str = entry(schema.text(r"([3-9]|[1-9]\d)x([3-9]|[1-9]\d)", "inner corners, such as 9x6"),
                         "number of inner corners, such as 9x6")
    square_mm: float = entry(schema.number(0.001, 10_000), "side of a square in millimetres")


@dataclass(frozen=True, kw_only=True)
class AlignSettings:
    """A photograph of a part that the regions were drawn on."""

    reference: Path = entry(schema.file, "the photograph of the reference part")
    inliers: int = entry(schema.whole(8, 1000), "features that must agree at least", 25)
    error: float = entry(schema.number(0.1, 3), "pixels by which they may miss in the mean", 2.0)


def _polygon(reader: Reader, node: yaml.Node, place: str) -> Polygon | None:
    before = len(reader.problems)
    corners = schema.each(schema.each(schema.number(0, 1)))(reader, node, place)
    if len(reader.problems) > before:
        return None
    if len(corners) < 3 or any(len(corner) != 2 for corner in corners):
        reader.note(place, "is no polygon", "at least three corners [x, y], each from 0 to 1")
    elif cv2.contourArea(np.array(corners, np.float32)) < LEAST_AREA:
        reader.note(place, "encloses nothing", "corners that do not lie on one line")
    found: Polygon = corners
    return found


@dataclass(frozen=True, kw_only=True)
class RuleSettings:
    """What the yaml holds."""

    region: tuple[Polygon, ...] = entry(schema.each(_polygon), "polygons in which objects count", ())
    ignore: tuple[Polygon, ...] = entry(schema.each(_polygon), "polygons in which they do not", ())
    mm_per_pixel: float | None = entry(schema.number(1e-6, 1000), "millimetres a pixel", None)
    calibration: ChartSettings | None = entry(schema.block(ChartSettings), "a photograph that tells them", None)
    align: AlignSettings | None = entry(schema.block(AlignSettings), "how the regions follow the part", None)
    classes: Mapping[str, ClassLimits] | None = entry(schema.named(ClassLimits), "limits of each class", None)


@dataclass(frozen=True)
class PartRules:
    """Part rules, ready to judge by.

    Attributes:
        region, ignore: polygons on the photograph, or on that of the reference.
        classes: limits of each class that has some.
        mm_per_pixel: None where lengths and areas are in pixels.
        chart_hw: (height, width) of the photograph that told it; None where none did.
        reference: what the regions follow; None where they lie still.
        digest: hex digest of all of it.
    """

    region: tuple[Polygon, ...]
    ignore: tuple[Polygon, ...]
    classes: Mapping[str, ClassLimits]
    mm_per_pixel: float | None
    chart_hw: tuple[int, int] | None
    reference: Reference | None

    @property
    def digest(self) -> str:
        """Whether two are the same, as hex digits."""
        plain = (self.region, self.ignore, sorted(self.classes.items()), self.mm_per_pixel, self.chart_hw)
        digest = hashlib.blake2b(repr(plain).encode(), digest_size=8)
        if self.reference:
            digest.update(repr((self.reference.size_hw, self.reference.inliers, self.reference.error)).encode())
            digest.update(self.reference.points.tobytes() + self.reference.descriptors.tobytes())
        return digest.hexdigest()


def read_rules(source: Path, environment: Mapping[str, str] = os.environ) -> PartRules:
    """Read and check a yaml of part rules.

    Raises:
        ConfigError: what is wrong with it, all at once, each with its line.
    """
    made: list[PartRules] = []
    read_yaml(RuleSettings, source, lambda settings, reader: made.extend(_made(settings, reader, "")), environment)
    return made[0]


def part_rules(reader: Reader, node: yaml.Node, place: str) -> PartRules | None:
    """Part rules within another yaml, or the name of a file that holds them."""
    if isinstance(node, yaml.ScalarNode):
        source = schema.file(reader, node, place)
        try:
            return read_rules(source, reader.environment)
        except ConfigError as error:
            reader.note(place, error.what, error.expected)
            return None
    settings = reader.mapping(RuleSettings, node, place)
    return next(iter(_made(settings, reader, f"{place}.")), None) if settings else None


def _made(settings: RuleSettings, reader: Reader, place: str) -> list[PartRules]:
    """Rules of settings, as a list of one; empty, and noted, where something is wrong. `place` ends with a dot."""
    before = len(reader.problems)
    for label, limits in (settings.classes or {}).items():
        for item in fields(limits):
            _check_order(getattr(limits, item.name), reader, f"{place}classes.{label}.{item.name}")
    if settings.mm_per_pixel and settings.calibration:
        reader.note(f"{place}mm_per_pixel", "is given, and calibration too", "one of them")
    if settings.align and not (settings.region or settings.ignore):
        reader.note(f"{place}align", "is given, and no region that could follow the part", "region or ignore")
    scale, chart_hw, reference = settings.mm_per_pixel, None, None
    try:
        if settings.calibration:
            columns, rows = map(int, settings.calibration.corners.split("x"))
            scale, chart_hw = millimetres_of(settings.calibration.photograph, (columns, rows),
                                             settings.calibration.square_mm)
    except SegmentError as error:
        reader.note(f"{place}calibration", f"cannot be used: {error.what}", _advice(error))
    try:
        if settings.align:
            reference = Reference.read(settings.align.reference, settings.align.inliers, settings.align.error)
    except SegmentError as error:
        reader.note(f"{place}align", f"cannot be used: {error.what}", _advice(error))
    if len(reader.problems) > before:
        return []
    return [PartRules(settings.region, settings.ignore, settings.classes or {}, scale, chart_hw, reference)]


def _advice(error: SegmentError) -> str:
    return "; ".join(text for text in (error.expected, error.fix) if text)


def _check_order(limits: LowLimits, reader: Reader, place: str) -> None:
    high, low = limits if isinstance(limits, Limits) else Limits(), limits
    if high.warn is not None and high.reject is not None and high.warn > high.reject:
        reader.note(place, f"warns above {high.warn:g} and rejects above {high.reject:g}", "to warn first")
    if low.warn_below is not None and low.reject_below is not None and low.warn_below < low.reject_below:
        reader.note(place, f"warns below {low.warn_below:g} and rejects below {low.reject_below:g}", "to warn first")
