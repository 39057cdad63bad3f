"""Plots of a ranking: features by importance, candidates by score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.plots.canvas import COLORS, FAINT, INK, MUTED, SMALL, number, png, sheet, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["importance", "leaderboard"]

ROWS = 15
LABEL = 28


def importance(
    names: Sequence[str], values: Sequence[float], spreads: Sequence[float] | None = None, *, metric: str = "score"
) -> bytes:
    """Draw how much the ``metric`` loses when a feature is shuffled, the most important features first.

    Raises:
        InvalidInput: there is no feature.

    """
    if not len(names):
        raise InvalidInput("names", "there is no feature to draw.")
    ranked = sorted(range(len(names)), key=lambda place: -values[place])[:ROWS]
    more = f", the first {len(ranked)} of {len(names)}" if len(ranked) < len(names) else ""
    labels = [short(names[place], LABEL) for place in ranked]
    figure, axes = _board("Feature importance", f"Loss of {short(metric)} when the feature is shuffled{more}", labels)
    lengths = [float(values[place]) for place in ranked]
    colors = [COLORS[0] if length > 0 else FAINT for length in lengths]
    errors = None if spreads is None else [float(spreads[place]) for place in ranked]
    axes.barh(
        range(len(ranked)),
        lengths,
        height=0.66,
        color=colors,
        xerr=errors,
        error_kw={"ecolor": MUTED, "elinewidth": 1.1, "capsize": 0},
    )
    tips = [length + (errors[place] if errors else 0) for place, length in enumerate(lengths)]
    low, high = min(*lengths, 0.0), max(*tips, 0.0)
    reach = high - low or 1.0
    for place, length in enumerate(lengths):
        at = max(tips[place], 0) + 0.012 * reach
        axes.text(at, place, number(length), va="center", size=SMALL, color=INK)
    axes.set_xlim(low - 0.02 * reach, high + 0.13 * reach)
    axes.axvline(0, color=FAINT, linewidth=1)
    _ranked(axes, labels)
    return png(figure)


def leaderboard(
    names: Sequence[str],
    scores: Sequence[float],
    errors: Sequence[float] | None = None,
    *,
    metric: str,
    greater_is_better: bool,
    baseline: float | None = None,
) -> bytes:
    """Draw candidates by score with their standard errors, the best first, and the baseline they must beat.

    Raises:
        InvalidInput: there is no candidate.

    """
    if not len(names):
        raise InvalidInput("names", "there is no candidate to draw.")
    ranked = sorted(range(len(names)), key=lambda place: -scores[place] if greater_is_better else scores[place])[:ROWS]
    labels = [short(names[place], LABEL) for place in ranked]
    better = "higher" if greater_is_better else "lower"
    spread = " ± standard error" if errors is not None else ""
    figure, axes = _board("Leaderboard", f"{short(metric)}{spread}, {better} is better", labels)
    values = [float(scores[place]) for place in ranked]
    wide = [float(errors[place]) if errors is not None else 0.0 for place in ranked]
    shown = [*values, *([baseline] if baseline is not None else [])]
    reach = max(shown) - min(shown) + 2 * max(wide) or 1.0
    for place, (value, error) in enumerate(zip(values, wide, strict=True)):
        color = COLORS[0] if place == 0 else MUTED
        axes.errorbar(value, place, xerr=error or None, fmt="o", color=color, markersize=6, elinewidth=1.4)
        axes.text(value + error + 0.02 * reach, place, number(value), va="center", size=SMALL, color=INK)
    if baseline is not None:
        axes.axvline(baseline, color=COLORS[1], linewidth=1.4, linestyle=(0, (4, 3)))
        right = baseline > sum(values) / len(values)
        axes.text(
            baseline + (-0.01 if right else 0.01) * reach,
            len(ranked) - 0.3,
            f"baseline {number(baseline)}",
            size=SMALL,
            color=COLORS[1],
            va="bottom",
            ha="right" if right else "left",
        )
    axes.set_xlim(min(shown) - max(wide) - 0.06 * reach, max(shown) + max(wide) + 0.14 * reach)
    _ranked(axes, labels, room=0.0 if baseline is None else 0.4)
    return png(figure)


def _board(title: str, subtitle: str, labels: Sequence[str]) -> tuple[Figure, Axes]:
    """Return a sheet that is as high as its rows and as wide to the left as its labels."""
    margin = 0.35 + 0.078 * max(map(len, labels))
    return sheet(title, subtitle, left=margin, width=4.6 + margin, height=1.35 + 0.29 * max(len(labels), 3))


def _ranked(axes: Axes, labels: Sequence[str], room: float = 0.0) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4 + room, -0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
