"""Plot of a search: each trial's score, and the best so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods.plots.canvas import COLORS, FAINT, legend, number, png, sheet, short, tick

if TYPE_CHECKING:
    import numpy as np

__all__ = ["tuning"]


def tuning(scores: Sequence[float | None], *, metric: str, greater_is_better: bool) -> bytes:
    """Draw the score of each trial in order, None or NaN where it was stopped or failed, and the best up to there.

    Raises:
        InvalidInput: no trial has a score.

    """
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    values = np.asarray([np.nan if score is None else score for score in scores], dtype=float)
    known = np.isfinite(values)
    if not known.any():
        raise InvalidInput("scores", "no trial has a score.")
    numbers = np.arange(1, len(values) + 1)
    sign = 1 if greater_is_better else -1
    best = sign * np.fmax.accumulate(np.where(known, sign * values, np.nan))
    top = int(np.nanargmax(np.where(known, sign * values, np.nan)))
    ended = f", {int((~known).sum())} stopped early or failed" if not known.all() else ""
    subtitle = f"Best {short(metric)} {number(float(values[top]))} in trial {top + 1} of {len(values)}{ended}"
    figure, axes = sheet("Tuning history", subtitle, x="Trial", y=short(metric), left=0.9)
    low, high = _window(values[known], sign)
    seen = known & (values >= low) & (values <= high)
    axes.scatter(numbers[seen], values[seen], s=26, color=FAINT, alpha=0.8, linewidths=0, label="trial", zorder=2.5)
    cut = known & ~seen
    if cut.any():
        edge = np.where(values[cut] < low, low, high)
        axes.scatter(numbers[cut], edge, s=26, color=FAINT, marker="v" if sign > 0 else "^", label="beyond the scale")
    if not known.all():
        axes.scatter(
            numbers[~known],
            np.full(int((~known).sum()), low if sign > 0 else high),
            s=26,
            color=COLORS[1],
            marker="x",
            linewidths=1.2,
            label="stopped or failed",
            clip_on=False,
        )
    axes.step(numbers, best, where="post", color=COLORS[0], linewidth=2, label="best so far")
    axes.scatter([top + 1], [values[top]], s=54, color=COLORS[0], zorder=3, linewidths=0)
    room = 0.06 * (high - low)
    axes.set_ylim(low - room, high + room)
    axes.set_xlim(0.5 - 0.01 * len(values), len(values) + 0.5 + 0.01 * len(values))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(tick)
    legend(axes, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=4, borderpad=0.2, columnspacing=1.4)
    return png(figure)


def _window(values: np.ndarray, sign: int) -> tuple[float, float]:
    """Return the span to draw: all, but for a few trials so bad that the rest would become a line."""
    import numpy as np

    low, high = float(values.min()), float(values.max())
    worse, middle = (float(np.quantile(sign * values, share)) for share in (0.1, 0.5))
    far = worse - 3 * (float((sign * values).max()) - worse) - abs(middle - worse)
    if sign > 0:
        low = max(low, far)
    else:
        high = min(high, -far)
    return (low, high) if high > low else (low - abs(low) * 0.05 - 0.01, high + abs(high) * 0.05 + 0.01)
