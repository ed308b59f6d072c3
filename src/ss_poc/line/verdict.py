"""From the service's answer to accept or reject: by the rules of the line, or else by the service's own verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import ImageError
from ..core.images import decode_image
from ..measuring.judge import Found, Judgement, judge
from ..measuring.settings import PartRules

__all__ = ["decide"]


def decide(answer: Mapping[str, Any], rules: PartRules | None, data: bytes) -> Judgement:
    """Decide about a part.

    Args:
        answer: of `/predict`.
        rules: of the line; None where it has none: then a part with a defect is rejected, as the service has it.
        data: the photograph's file.

    Returns:
        The verdict and its reasons. Without rules the measurements are, for each class that was found, its number of
        objects and their area in pixels.
    """
    if rules:
        try:
            return judge(Found.in_answer(answer), rules, lambda: decode_image(data))
        except ImageError as error:  # larger than this machine takes, perhaps: the service could read it
            return Judgement("error", (error.what,))
    found = _found_in(answer)
    measured = tuple({"label": label, "objects": objects, "area": area} for label, (objects, area) in found.items())
    verdict = answer["verdict"]
    reasons = tuple(f"{label} was found" for label in verdict.get("labels", ()))
    return Judgement("reject" if verdict.get("defect") else "accept", reasons, measured, found)


def _found_in(answer: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """For each class that was found, in the model's order: number of objects and their area in pixels."""
    found = {}
    for label in answer["labels"]:
        areas = [item["area"] for item in answer["objects"] if item["label"] == label]
        if areas:
            found[label] = (len(areas), sum(areas))
    return found
