"""Names of the pictures in a data set that was made of good photographs alone: they tell where a picture comes from.

    <workpiece>/<photograph>.jpg              a good photograph, as the user has it
    <workpiece>/<photograph>~drawn1.png       the same with defects drawn onto it
    labelled~/<photograph>.jpg                a photograph on which the user labelled a defect; it never trains
"""

from __future__ import annotations

import re

__all__ = ["ANOMALY", "DRAWN", "LABELLED", "is_drawn", "is_labelled"]

ANOMALY = "anomaly"
DRAWN, LABELLED = "~drawn", "labelled~"


def is_drawn(name: str) -> bool:
    """Whether the defects on a picture of that name are drawn."""
    return re.search(rf"{DRAWN}\d+[.]png$", name) is not None


def is_labelled(name: str) -> bool:
    """Whether the user labelled the defects on a photograph of that name."""
    return name.startswith(f"{LABELLED}/")
