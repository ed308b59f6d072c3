"""Platt scaling: log-odds are stretched and shifted until a probability means what it says (Platt 1999)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["EPSILON", "IDENTITY", "Calibration", "log_odds", "sigmoid"]

# Probabilities nearer to 0 or 1 count as this near.
EPSILON = 1e-6


@dataclass(frozen=True)
class Calibration:
    """What log-odds are multiplied with, and what is then added."""

    factor: float = 1.0
    offset: float = 0.0

    def apply(self, probability: np.ndarray) -> np.ndarray:
        """Calibrate probabilities, of any shape, in 0..1."""
        return sigmoid(self.factor * log_odds(probability) + self.offset)


IDENTITY = Calibration()


def sigmoid(odds: np.ndarray) -> np.ndarray:
    """Turn log-odds into probabilities, 0..1."""
    found: np.ndarray = 1 / (1 + np.exp(-odds))
    return found


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Turn probabilities, 0..1, into log-odds, which EPSILON keeps finite."""
    clipped = np.clip(probability, EPSILON, 1 - EPSILON)
    odds: np.ndarray = np.log(clipped / (1 - clipped))
    return odds
