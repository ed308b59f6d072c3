"""From the service's answer to accept or reject: the one place that decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Judgement", "found_in_answer", "judge"]


@dataclass(frozen=True)
class Judgement:
    """What is decided about a part, what was measured, and why it was decided so."""

    verdict: str
    measurements: tuple[Any, ...] = ()
    reasons: tuple[str, ...] = ()


def judge(answer: Mapping[str, Any]) -> Judgement:
    """Decide about a part: one with a defect is rejected, as the service's own verdict has it.

    Args:
        answer: of `/predict`.

    Returns:
        The verdict, for each class that was found its number of objects and their area in pixels, and the reasons.
    """
    measured = tuple({"label": label, "objects": objects, "area": area}
                     for label, (objects, area) in found_in_answer(answer).items())
    verdict = answer["verdict"]
    reasons = tuple(f"{label} was found" for label in verdict.get("labels", ()))
    return Judgement("reject" if verdict.get("defect") else "accept", measured, reasons)


def found_in_answer(answer: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """For each class that was found, in the model's order: number of objects and their area in pixels."""
    found = {}
    for label in answer["labels"]:
        areas = [item["area"] for item in answer["objects"] if item["label"] == label]
        if areas:
            found[label] = (len(areas), sum(areas))
    return found
