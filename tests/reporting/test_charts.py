"""ss_poc.reporting.charts: labels are shown as they are, whatever they hold."""

from __future__ import annotations

import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

from ss_poc.reporting import charts

LABELS = ("$_$", "a\\b", "<b>&amp;", "_hidden", "긁힘 자국", "%d {} $x$")
LONG = "very long " * 30
BINS = 100


def drawn(kind: str, labels: tuple[str, ...]) -> str:
    count, colors = len(labels), ["#ff0000"] * len(labels)
    pixels = np.full((count, BINS), 60.0)
    return {
        "precision_recall": lambda: charts.precision_recall(pixels, 2 * pixels, labels, colors, [0.5] * count),
        "calibration": lambda: charts.calibration(pixels, 2 * pixels, labels, colors),
        "confusion": lambda: charts.confusion(np.ones((count + 1, count + 1)), labels),
        "splits": lambda: charts.splits([3] * count, [2] * count, labels)}[kind]()


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()).strip() for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("kind", ["precision_recall", "calibration", "confusion", "splits"])
def test_labels_are_shown_as_they_are(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shown = texts(drawn(kind, LABELS))
    assert [text for text in shown if text in LABELS] == [*LABELS] * (2 if kind == "confusion" else 1)


@pytest.mark.parametrize("kind", ["precision_recall", "calibration", "confusion", "splits"])
def test_a_long_label_leaves_room_for_the_chart(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns where nothing is left for the axes
        shown = texts(drawn(kind, (LONG, "pit")))
    assert "pit" in shown and any(text.startswith("very long very") and "…" in text for text in shown)
    assert max(map(len, shown)) < 60  # the longest is the name of an axis
