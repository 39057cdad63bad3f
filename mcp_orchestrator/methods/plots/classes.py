"""Plots of a classifier: curves over all thresholds, whether probabilities mean what they say, what is taken for what.

Classes are given by their codes 0, 1, 2..., which index ``classes`` and the columns of the probabilities.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.methods.plots.canvas import (
    COLORS,
    FAINT,
    INK,
    MUTED,
    NORMAL,
    SMALL,
    legend,
    number,
    png,
    sheet,
    short,
)

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

    from mcp_orchestrator.methods.judgement.reliability import Reliability

__all__ = ["calibration", "confusion", "precision_recall", "roc"]

CURVES = 7
POINTS = 400
CELLS = 12


def roc(codes: np.ndarray, probabilities: np.ndarray, classes: Sequence[Any]) -> bytes:
    """Draw the share of hits against the share of false alarms, of the second of two classes or of each of several."""
    from sklearn.metrics import auc, roc_curve

    figure, axes = sheet(
        "ROC curve",
        _about(codes, classes),
        x="False positive rate",
        y="True positive rate",
    )
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)), label="chance (AUC 0.5)")
    for place, (label, truth, scores) in enumerate(_sides(codes, probabilities, classes)):
        false, true, _ = roc_curve(truth, scores)
        name = f"{label} (AUC {number(auc(false, true))})"
        axes.plot(*_thinned(false, true), color=COLORS[place], linewidth=2, label=name)
    _unit(axes)
    legend(axes, loc="lower right")
    return png(figure)


def precision_recall(codes: np.ndarray, probabilities: np.ndarray, classes: Sequence[Any]) -> bytes:
    """Draw the share of alarms that are right against the share of hits."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure, axes = sheet("Precision and recall", _about(codes, classes), x="Recall", y="Precision")
    for place, (label, truth, scores) in enumerate(_sides(codes, probabilities, classes)):
        precision, recall, _ = precision_recall_curve(truth, scores)
        average = number(float(average_precision_score(truth, scores)))
        thin = _thinned(recall, precision)
        axes.plot(*thin, color=COLORS[place], linewidth=2, label=f"{label} (AP {average})", drawstyle="steps-post")
        if len(classes) == 2:
            share = float(truth.mean())
            chance = f"chance ({number(share)})"
            axes.axhline(share, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), label=chance)
    _unit(axes)
    legend(axes, loc="lower left")
    return png(figure)


def calibration(found: Reliability, what: str = "the predicted class") -> bytes:
    """Draw how often something happened against how probable it was said to be, with 95 % intervals."""
    subtitle = f"Probability of {short(what)}; expected calibration error {number(found.calibration_error)}"
    figure, axes = sheet("Calibration", subtitle, x="Predicted probability", y="Observed frequency")
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)), label="perfect")
    said = [one.said for one in found.bins]
    came = [one.happened.value for one in found.bins]
    below = [max(0.0, one.happened.value - one.happened.low) for one in found.bins]
    above = [max(0.0, one.happened.high - one.happened.value) for one in found.bins]
    axes.errorbar(
        said, came, yerr=[below, above], color=COLORS[0], linewidth=2, elinewidth=1.2, marker="o", markersize=5
    )
    axes.plot([], [], color=COLORS[0], marker="o", markersize=5, linewidth=2, label="model, 95 % interval")
    most = max(one.rows for one in found.bins)
    axes.bar(
        [one.low for one in found.bins],
        [0.16 * one.rows / most for one in found.bins],
        width=[one.high - one.low for one in found.bins],
        align="edge",
        color=MUTED,
        alpha=0.22,
        linewidth=0,
        label=f"share of the {found.rows:,} rows",
    )
    _unit(axes)
    legend(axes, loc="upper left")
    return png(figure)


def confusion(codes: np.ndarray, predicted: np.ndarray, classes: Sequence[Any]) -> bytes:
    """Draw what each class is taken for: counts, shaded by their share of the class; rare classes are put together."""
    import numpy as np

    counts, labels = _counted(codes, predicted, classes)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right = number(100 * float((np.asarray(codes) == np.asarray(predicted)).mean()))
    names = [short(label, 16) for label in labels]
    margin = 0.85 + 0.075 * max(map(len, names))
    slanted = len(names) > 6 or max(map(len, names)) > 9
    side = 3.6 if len(names) <= 8 else 5.2
    low = 0.55 + (0.055 * max(map(len, names)) + 0.1 if slanted else 0.1)
    width, height = side * 1.25 + margin + 0.3, side + low + 0.9
    figure, axes = sheet(
        "Confusion matrix", f"{right} % of {len(codes):,} rows are right", width=width, height=height, left=margin
    )
    axes.set_position((margin / width, low / height, side * 1.25 / width, side / height))
    axes.grid(visible=False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    for place in range(1, len(names)):
        axes.axhline(place - 0.5, color="white", linewidth=1.5)
        axes.axvline(place - 0.5, color="white", linewidth=1.5)
    size = SMALL if len(names) <= 10 else 7.5
    for row, column in np.argwhere(counts):
        color = "white" if shares[row, column] > 0.66 else INK
        axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", size=size, color=color)
    axes.set_xticks(range(len(names)), names, rotation=35 if slanted else 0, ha="right" if slanted else "center")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("Predicted", size=NORMAL, color=INK)
    axes.set_ylabel("Actual", size=NORMAL, color=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return png(figure)


def _sides(
    codes: np.ndarray, probabilities: np.ndarray, classes: Sequence[Any]
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Give label, truth and probability: of the second of two classes, or of each class, the most frequent first."""
    import numpy as np

    counts = np.bincount(codes, minlength=len(classes))
    places = [1] if len(classes) == 2 else np.argsort(-counts, kind="stable")[:CURVES].tolist()
    for place in places:
        if 0 < counts[place] < len(codes):
            yield short(classes[place]), np.asarray(codes) == place, np.asarray(probabilities)[:, place]


def _about(codes: np.ndarray, classes: Sequence[Any]) -> str:
    rows = f"{len(codes):,} rows"
    if len(classes) == 2:
        return f"{short(classes[1])} against {short(classes[0])}, {rows}"
    shown = f"the {CURVES} most frequent of {len(classes)} classes" if len(classes) > CURVES else "each class"
    return f"{shown[0].upper()}{shown[1:]} against the rest, {rows}"


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    if len(x) <= POINTS:
        return x, y
    places = np.unique(np.linspace(0, len(x) - 1, POINTS).astype(int))
    return x[places], y[places]


def _counted(codes: np.ndarray, predicted: np.ndarray, classes: Sequence[Any]) -> tuple[np.ndarray, list[str]]:
    """Count pairs of actual and predicted class; beyond so many classes, the rare ones share a last row and column."""
    import numpy as np

    labels = [str(label) for label in classes]
    if len(labels) > CELLS:
        frequent = np.sort(np.argsort(-np.bincount(codes, minlength=len(labels)), kind="stable")[: CELLS - 1])
        place = np.full(len(labels), CELLS - 1)
        place[frequent] = np.arange(CELLS - 1)
        codes, predicted = place[codes], place[predicted]
        labels = [*(labels[one] for one in frequent), f"{len(labels) - CELLS + 1} others"]
    size = len(labels)
    return np.bincount(np.asarray(codes) * size + np.asarray(predicted), minlength=size**2).reshape(size, size), labels


def _unit(axes: Axes) -> None:
    axes.set_xlim(-0.015, 1.015)
    axes.set_ylim(-0.015, 1.03)
