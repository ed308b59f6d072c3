"""Accept, warn or reject: what was found on a photograph, measured and held against the rules of the part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from ..core.masks import decode_rle
from .alignment import NotAlignedError
from .objects import Objects, measure
from .regions import Regions, lay
from .settings import ClassLimits, Limits, LowLimits, PartRules

__all__ = ["Found", "Judgement", "judge"]

SEVERITY = {"accept": 0, "warn": 1, "reject": 2}
# So many objects of a class are told one by one, the largest.
MOST_TOLD = 100
# A region that follows its part may reach so far beyond the photograph, as a fraction of its size.
MOST_OUTSIDE = 0.01


@dataclass(frozen=True)
class Found:
    """What a model found on a photograph.

    Attributes:
        labels: one for each class.
        rles: COCO RLE of each class.
        defects: labels that the model's own verdict names; objects of others do not count.
    """

    labels: Sequence[str]
    rles: Sequence[Mapping[str, Any]]
    defects: Sequence[str]

    @classmethod
    def in_answer(cls, answer: Mapping[str, Any]) -> Found:
        """What an answer of `/predict` says."""
        return cls(answer["labels"], answer["rle"], answer["verdict"]["labels"])


@dataclass(frozen=True)
class Judgement:
    """What is decided about a part, and why.

    Attributes:
        verdict: accept, warn or reject; error where it cannot be judged.
        reasons: in words.
        measurements: a dict for each class that was found in the region: `label`, `objects` (their number), `area`
            and `length` (of all), `unit`, and `each`: of the largest ones `area`, `length`, `width`, `edge` and `bbox`
            ([x, y, width, height] in pixels).
        found: for each class that was found in the region the number of its objects and their area in pixels.
        regions: as they lie on the photograph; None where that is not known.
    """

    verdict: str
    reasons: tuple[str, ...] = ()
    measurements: tuple[Any, ...] = ()
    found: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    regions: Regions | None = None

    def told(self) -> dict[str, Any]:
        """What others are told: `verdict`, `reasons` and `measurements`."""
        return {"verdict": self.verdict, "reasons": list(self.reasons), "measurements": list(self.measurements)}


def judge(found: Found, rules: PartRules, photograph: Callable[[], np.ndarray]) -> Judgement:
    """Judge a part.

    Args:
        found: on its photograph.
        rules: of the part.
        photograph: gives the photograph, (H, W, 3) uint8; called only where the regions follow the part.

    Returns:
        The worst of what the limits say. A class that has no limits is rejected where it is found in the region.
    """
    size_hw = (int(found.rles[0]["size"][0]), int(found.rles[0]["size"][1]))
    unknown = [label for label in rules.classes if label not in found.labels]
    if unknown:
        return Judgement("error", (f"the rules are for {', '.join(unknown)}, which the model does not know: it knows "
                                   f"{', '.join(found.labels)}",))
    if rules.chart_hw not in (None, size_hw):
        return Judgement("error", (f"the photograph has {size_hw[1]}x{size_hw[0]} pixels, and that of the chart "
                                   f"{rules.chart_hw[1]}x{rules.chart_hw[0]}: its scale does not hold here",))
    try:
        regions = _laid(rules, size_hw, photograph)
    except NotAlignedError as error:
        return Judgement("error", (error.what,))
    objects = _measured(found, regions)
    verdicts, reasons, measurements = ["accept"], [], []
    for label, items in objects.items():
        values = _values(items, rules.mm_per_pixel or 1.0)
        unit = "mm" if rules.mm_per_pixel else "px"
        if items.count:
            measurements.append(_told(label, items, values, unit))
        for verdict, reason in _broken(label, rules.classes.get(label), values, unit):
            verdicts.append(verdict)
            reasons.append(reason)
    return Judgement(max(verdicts, key=lambda verdict: SEVERITY[verdict]), tuple(reasons), tuple(measurements),
                     {label: (items.count, items.area) for label, items in objects.items() if items.count}, regions)


def _laid(rules: PartRules, size_hw: tuple[int, int], photograph: Callable[[], np.ndarray]) -> Regions:
    reference = rules.reference
    if not reference:
        return lay(rules.region, rules.ignore, size_hw)
    regions = lay(rules.region, rules.ignore, size_hw, reference.size_hw, reference.find(photograph()))
    for polygon in regions.region:
        corners, size = np.reshape(polygon, (-1, 2)), np.array(size_hw[::-1])
        outside = float(np.maximum(-corners, corners - size).max())
        if outside > MOST_OUTSIDE * size.max():
            raise NotAlignedError(f"the region reaches {outside:.0f} px beyond the photograph: part of it is not seen",
                                  "the whole region in the picture", "see how the part lies")
    return regions


def _measured(found: Found, regions: Regions) -> dict[str, Objects]:
    """The objects of each class in the region."""
    objects = {label: Objects() for label in found.labels}
    counted: np.ndarray | None = None
    for label, rle in zip(found.labels, found.rles, strict=True):
        if label not in found.defects:
            continue
        if counted is None:
            counted, to_edge = regions.counted(), regions.to_edge()
        objects[label] = measure(decode_rle(rle, regions.size_hw) & counted, to_edge)
    return objects


def _values(items: Objects, scale: float) -> dict[str, list[float]]:
    """Measurements as limits see them, rounded as they are told; `scale` is a pixel's side in the unit."""
    each = items.measured
    lengths = [item.length * scale for item in each]
    plain: dict[str, list[float]] = {
        "count": [items.count], "total_area": [items.area * scale ** 2], "total_length": [sum(lengths)],
        "area": [item.area * scale ** 2 for item in each], "length": lengths,
        "width": [item.width * scale for item in each], "edge": [item.edge * scale for item in each]}
    return {name: [round(value, 4) for value in values] for name, values in plain.items()}


def _told(label: str, items: Objects, values: Mapping[str, list[float]], unit: str) -> dict[str, Any]:
    each = [{**{name: values[name][number] for name in ("area", "length", "width", "edge")}, "bbox": list(item.bbox)}
            for number, item in enumerate(items.measured[:MOST_TOLD])]
    return {"label": label, "objects": items.count, "area": values["total_area"][0],
            "length": values["total_length"][0], "unit": unit, "each": each}


def _broken(label: str, limits: ClassLimits | None, values: Mapping[str, list[float]],
            unit: str) -> list[tuple[str, str]]:
    """Verdict and reason of each limit of a class that is not kept."""
    if limits is None:
        return [("reject", f"{label} was found")] if values["count"][0] else []
    found = [_worst(getattr(limits, item.name), values[item.name]) for item in fields(limits)]
    return [(verdict, f"{label}: {item.name.replace('_', ' ')} {value:g}{_unit(item.name, unit)} is {side} {limit:g}"
                      f"{_unit(item.name, unit)} ({verdict})")
            for item, broken in zip(fields(limits), found, strict=True) if broken
            for verdict, value, side, limit in broken]


def _worst(limits: LowLimits, values: Sequence[float]) -> list[tuple[str, float, str, float]]:
    """Of each side on which limits are broken: the verdict, the worst value, the side and the limit."""
    if not values:
        return []
    found = []
    most, least = max(values), min(values)
    high = limits if isinstance(limits, Limits) else Limits()
    for verdict, limit in (("reject", high.reject), ("warn", high.warn)):
        if limit is not None and most > limit:
            found.append((verdict, most, "above", limit))
            break
    for verdict, limit in (("reject", limits.reject_below), ("warn", limits.warn_below)):
        if limit is not None and least < limit:
            found.append((verdict, least, "below", limit))
            break
    return found


def _unit(measure_name: str, unit: str) -> str:
    if measure_name == "count":
        return ""
    return " mm²" if unit == "mm" and measure_name.endswith("area") else f" {unit}"
