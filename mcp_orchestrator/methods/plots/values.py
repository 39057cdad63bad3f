"""Plots of a regression: predicted against actual values, and what is left over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_orchestrator.methods.plots.canvas import COLORS, FAINT, legend, number, png, sheet, short, tick

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

__all__ = ["predicted_actual", "residuals"]

DOTS = 2000
STRIPS = 15


def predicted_actual(actual: np.ndarray, predicted: np.ndarray, target: str) -> bytes:
    """Draw predicted against actual values; on the line they are equal."""
    left = actual - predicted
    spread = float(((actual - actual.mean()) ** 2).sum())
    fit = f"R² {number(1 - float((left**2).sum()) / spread)}, " if spread else ""
    subtitle = f"{fit}mean absolute error {number(float(abs(left).mean()))}, {len(actual):,} rows"
    name = short(target)
    figure, axes = sheet("Predicted against actual", subtitle, x=f"Actual {name}", y=f"Predicted {name}", left=0.9)
    some = _some(len(actual))
    low, high = float(min(actual.min(), predicted.min())), float(max(actual.max(), predicted.max()))
    edge = 0.03 * (high - low) or 1.0
    axes.plot([low, high], [low, high], color=FAINT, linewidth=1, linestyle=(0, (4, 3)), label="equal")
    axes.scatter(actual[some], predicted[some], **_dots(len(some)))
    _ticked(axes)
    axes.set_xlim(low - edge, high + edge)
    axes.set_ylim(low - edge, high + edge)
    legend(axes, loc="upper left")
    return png(figure)


def residuals(actual: np.ndarray, predicted: np.ndarray, target: str = "value") -> bytes:
    """Draw actual minus predicted over the predicted values, with the running median, and how they are distributed."""
    import numpy as np

    left = actual - predicted
    subtitle = f"Median {number(float(np.median(left)))}, standard deviation {number(float(left.std()))}"
    name = short(target)
    figure, axes = sheet("Residuals", subtitle, x=f"Predicted {name}", y="Actual minus predicted", left=0.9, right=1.35)
    some = _some(len(actual))
    axes.axhline(0, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.scatter(predicted[some], left[some], **_dots(len(some)))
    if len(left) >= 4 * STRIPS:
        strips = np.array_split(np.argsort(predicted, kind="stable"), STRIPS)
        middles = [(float(np.median(predicted[strip])), float(np.median(left[strip]))) for strip in strips]
        axes.plot(*zip(*middles, strict=True), color=COLORS[1], linewidth=2, label="running median")
        legend(axes, loc="upper left")
    _ticked(axes)
    reach = 1.08 * float(abs(left).max()) or 1.0
    axes.set_ylim(-reach, reach)
    box = axes.get_position()
    side = figure.add_axes((box.x1 + 0.015, box.y0, 0.16, box.height))
    side.hist(left, bins=30, range=(-reach, reach), orientation="horizontal", color=COLORS[0], alpha=0.55, linewidth=0)
    side.axhline(0, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    side.set_ylim(-reach, reach)
    side.set_xticks([])
    side.set_yticks([])
    for edge in side.spines.values():
        edge.set_visible(False)
    return png(figure)


def _ticked(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(tick)
    axes.yaxis.set_major_formatter(tick)


def _some(rows: int) -> np.ndarray:
    """Return which rows are drawn: all, or the same spread-out ones each time."""
    import numpy as np

    return np.unique(np.linspace(0, rows - 1, min(rows, DOTS)).astype(int))


def _dots(count: int) -> dict[str, Any]:
    return {
        "s": 22 if count <= 300 else 12,
        "color": COLORS[0],
        "alpha": 0.6 if count <= 300 else 0.35,
        "linewidths": 0,
    }
