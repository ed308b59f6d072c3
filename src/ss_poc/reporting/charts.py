"""Charts of a report as SVG text, drawn by matplotlib without a display and without its global state."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

__all__ = ["calibration", "confusion", "curves", "operating", "precision_recall", "roc", "score_histogram", "splits"]

# Of kinds of photographs, in a model of good ones alone.
KIND_COLORS = {"good": "#0d9488", "drawn defects": "#ea580c", "labelled defects": "#dc2626"}
INK, GRID = "#334155", "#e2e8f0"
# Characters of a label in a chart.
LONGEST = 28
# Text stays text: it is searched, read aloud and drawn by the reader's own fonts, Korean ones too.
STYLE: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "ss-poc", "font.family": "sans-serif", "font.size": 9,
         "text.parse_math": False,  # a class may be called "$_$"
         "axes.edgecolor": "#94a3b8", "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
         "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
         "grid.color": GRID, "axes.axisbelow": True, "legend.frameon": False}


def _axes(columns: int = 1, width: float = 4.6, height: float = 3.0) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(width * columns, height), layout="constrained")
    return figure, list(np.atleast_1d(figure.subplots(1, columns)))


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Korean is drawn by the reader's own fonts: what matplotlib's font lacks does not matter.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg"):]


def _short(labels: Sequence[str]) -> list[str]:
    """Labels with the middle of long ones left out: they would leave no room for the chart."""
    return [label if len(label) <= LONGEST else f"{label[:LONGEST - 11]}…{label[-10:]}" for label in labels]


def curves(log: Mapping[str, Sequence[float]]) -> str:
    """Loss, validation scores and learning rate over the epochs; `log` holds the columns of log.out."""
    with matplotlib.rc_context(STYLE):
        figure, (left, middle, right) = _axes(3, 3.4)
        epochs = log["epoch"]
        left.plot(epochs, log["loss"], color="#2563eb", label="training")
        left.plot(epochs, log["val_loss"], color="#ea580c", label="validation")
        left.set(title="loss", xlabel="epoch")
        left.legend()
        middle.plot(epochs, log["val_dice"], color="#0d9488", label="Dice")
        middle.plot(epochs, log["val_iou"], color="#7c3aed", label="IoU")
        middle.set(title="validation, best threshold a class", xlabel="epoch", ylim=(0, 1))
        middle.legend()
        right.plot(epochs, log["lr"], color="#64748b")
        right.set(title="learning rate", xlabel="epoch", ylim=(0, None))
        return _svg(figure)


def precision_recall(true_at: np.ndarray, all_at: np.ndarray, labels: Sequence[str], colors: Sequence[str],
                     thresholds: Sequence[float]) -> str:
    """Precision over recall of the pixels of each class, (C, bins) counted by probability; a dot at its threshold."""
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = _axes(1, 5.2, 3.8)
        lines, named = [], []
        for channel, label in enumerate(_short(labels)):
            hits, marked = (np.cumsum(counts[channel][::-1])[::-1] for counts in (true_at, all_at))
            if not hits[0]:
                continue
            shown = marked > 0
            recall, precision = hits / hits[0], hits / np.maximum(marked, 1)
            lines += axes.plot(recall[shown], precision[shown], color=colors[channel])
            named.append(label)
            at = min(len(hits) - 1, int(round(thresholds[channel] * len(hits))))
            if marked[at]:
                axes.plot(recall[at], precision[at], "o", color=colors[channel], markersize=6)
        axes.set(xlabel="recall: fraction of the labelled pixels that is marked",
                 ylabel="precision: fraction of the marked\npixels that is labelled", xlim=(0, 1.02), ylim=(0, 1.02))
        # Named here: matplotlib leaves out of a legend what is labelled "_…".
        axes.legend(lines, named, loc="lower left", fontsize=8)
        return _svg(figure)


def calibration(true_at: np.ndarray, all_at: np.ndarray, labels: Sequence[str], colors: Sequence[str]) -> str:
    """Part of the pixels that is labelled over their probability: on the diagonal the model means what it says."""
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = _axes(1, 4.6, 3.8)
        axes.plot([0, 1], [0, 1], color="#94a3b8", linestyle="--", linewidth=1)
        lines = []
        for channel in range(len(labels)):
            tens = [counts[channel].reshape(10, -1).sum(axis=1) for counts in (true_at, all_at)]
            enough = tens[1] >= 50
            lines += axes.plot((np.arange(10) + 0.5)[enough] / 10, (tens[0] / np.maximum(tens[1], 1))[enough], "o-",
                               color=colors[channel], markersize=4)
        axes.set(xlabel="probability the model gives", ylabel="fraction that is labelled", xlim=(0, 1), ylim=(0, 1))
        axes.legend(lines, _short(labels), fontsize=8)
        return _svg(figure)


def confusion(counts: np.ndarray, labels: Sequence[str]) -> str:
    """Where the pixels of each label go: rows sum to 1. The last row and column are background."""
    names = [*_short(labels), "background"]
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.6 + 0.5 * len(names)
    with matplotlib.rc_context({**STYLE, "axes.grid": False}):
        figure, (axes,) = _axes(1, side + 0.8, side)
        axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
        for row in range(len(names)):
            for column in range(len(names)):
                if counts[row].sum():
                    part = parts[row, column]
                    text = f"{part:.2f}" if part >= 0.005 or not counts[row, column] else "<.01"
                    axes.text(column, row, text, ha="center", va="center", fontsize=8,
                              color="white" if part > 0.55 else INK)
        axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="marked as", ylabel="labelled")
        return _svg(figure)


def operating(points: Sequence[Sequence[int]], defective: int, clean: int, chosen: tuple[int, int]) -> str:
    """Found defective images over flagged clean ones; points are (false alarms, missed)."""
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = _axes(1, 4.6, 3.4)
        alarms = np.array([point[0] for point in points]) / max(1, clean)
        found = 1 - np.array([point[1] for point in points]) / max(1, defective)
        axes.step(alarms, np.maximum.accumulate(found), where="post", color="#2563eb")
        axes.plot(chosen[0] / max(1, clean), 1 - chosen[1] / max(1, defective), "o", color="#dc2626", markersize=8,
                  label="as it is served")
        axes.set(xlabel="false alarms: fraction of the clean images called defective",
                 ylabel="fraction of the defective\nimages found", xlim=(-0.02, 1), ylim=(0, 1.03))
        axes.legend(loc="lower right")
        return _svg(figure)


def score_histogram(scores: Mapping[str, np.ndarray], threshold: float) -> str:
    """How many photographs of each kind have which score, 0 to 1 in steps of 0.04; a line at the threshold."""
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = _axes(1, 5.2, 3.0)
        steps = np.linspace(0, 1, 26)
        for kind, found in scores.items():
            axes.hist(np.clip(found, 0, 1), steps, weights=np.full(len(found), 1 / len(found)), alpha=0.55,
                      color=KIND_COLORS[kind], label=f"{kind} ({len(found)})")
        if threshold <= 1:
            axes.axvline(threshold, color=INK, linestyle="--", linewidth=1, label="threshold of the verdict")
        axes.set(xlabel="score: highest probability on the photograph", ylabel="fraction of the photographs",
                 xlim=(0, 1))
        axes.legend(fontsize=8)
        return _svg(figure)


def roc(scores: Mapping[str, np.ndarray], areas: Mapping[str, float]) -> str:
    """Defective photographs found over good ones flagged; `areas` names the AUROC of each kind of defect."""
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = _axes(1, 4.6, 3.4)
        axes.plot([0, 1], [0, 1], color="#94a3b8", linestyle="--", linewidth=1)
        for kind, area in areas.items():
            labels = np.repeat([0, 1], [len(scores["good"]), len(scores[kind])])
            flagged, found, _ = roc_curve(labels, np.concatenate([scores["good"], scores[kind]]))
            axes.plot(flagged, found, color=KIND_COLORS[kind], label=f"{kind}: AUROC {area:.3f}")
        axes.set(xlabel="fraction of the good photographs that is flagged",
                 ylabel="fraction of the defective\nphotographs that is flagged", xlim=(-0.02, 1), ylim=(0, 1.03))
        axes.legend(loc="lower right", fontsize=8)
        return _svg(figure)


def splits(train: Sequence[int], valid: Sequence[int], labels: Sequence[str]) -> str:
    """Images of each class that train and that validate."""
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = _axes(1, 5.2, 1.4 + 0.32 * len(labels))
        places = np.arange(len(labels))
        axes.barh(places, train, color="#2563eb", label="training")
        axes.barh(places, valid, left=train, color="#ea580c", label="validation")
        axes.set_yticks(places, _short(labels))
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set(xlabel="images")
        # Beside the axes: inside, a long bar lies under it.
        figure.legend(loc="outside upper right", ncols=2, fontsize=8)
        return _svg(figure)
