"""What a click says beyond what the network makes of it.

The network follows a click closely, a few pixels around it. `carried_on` corrects places near it that the network
was as sure of: a step of kernel regression on the logits of the answer before, whose one sample is the click. `obey`
marks what was clicked on where the network does not: clicks of both kinds a pixel or two apart are one blur to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.platt import log_odds, sigmoid
from .guidance import Click

__all__ = ["carried_on", "obey"]

# Chosen on drawn surfaces and the demo: how much of the error is carried on, and how similar logits of a place must be.
GAIN, ALIKE = 0.7, 2.0
# What a click's own logit should be at least; logits farther from 0 than the most say no more.
SURE, MOST = 0.5, 6.0
# Reach in pixels of the network: as far as the nearest other click, within these; the middle one where there is none.
REACH = (16.0, 48.0, 200.0)
# What the pixel of a click becomes that the network does not follow.
OBEYED = 0.75


def carried_on(probability: np.ndarray, before: np.ndarray, click: Click, others: Sequence[Click]) -> np.ndarray:
    """Carry a correction on to places like the one clicked on.

    Args:
        probability: (h, w) float32, the network's answer to all clicks.
        before: (h, w) float32, the answer that `click` corrects.
        click: the last one, in pixels of these maps, within them.
        others: all before it.

    Returns:
        (h, w) float32, 0..1; `probability` itself where `before` was right about the click.
    """
    height, width = before.shape
    logits, x, y = _logits(before), min(int(click.x), width - 1), min(int(click.y), height - 1)
    sign = 1.0 if click.positive else -1.0
    error = sign * SURE - float(logits[y, x])
    if sign * error <= 0:
        return probability
    away = min((float(np.hypot(other.x - click.x, other.y - click.y)) for other in others), default=REACH[1])
    reach = float(np.clip(away, REACH[0], REACH[2]))
    across = np.exp(-0.5 * ((np.arange(width, dtype=np.float32) - x) / reach) ** 2)
    down = np.exp(-0.5 * ((np.arange(height, dtype=np.float32) - y) / reach) ** 2)
    alike = np.exp(-0.5 * ((logits - logits[y, x]) / ALIKE) ** 2)
    moved = _logits(probability) + GAIN * error * alike * down[:, None] * across[None]
    return sigmoid(moved).astype(np.float32)


def obey(probability: np.ndarray, clicks: Sequence[Click]) -> None:
    """Correct a map, (H, W) float32, in place where it contradicts clicks, in pixels of the map and within it.

    Only the pixel of a click is corrected: brushes of 3 and 5 pixels took more clicks. Of several on one pixel the
    last click counts.
    """
    for click in clicks:
        place = int(click.y), int(click.x)
        if (probability[place] > 0.5) != click.positive:
            probability[place] = OBEYED if click.positive else 1 - OBEYED


def _logits(probability: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.clip(log_odds(probability), -MOST, MOST)
    return found
