"""One sheet and one style for all plots: matplotlib's objects drawn by Agg, without pyplot and its global state."""

from __future__ import annotations

import io
import math
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLORS", "FAINT", "INK", "MUTED", "NORMAL", "SMALL", "legend", "number", "png", "sheet", "short", "tick"]

INK, MUTED, FAINT, GRID = "#1f2933", "#66737f", "#9aa5b1", "#e4e7eb"
COLORS = ("#2563eb", "#e8743b", "#0f9d76", "#8b5cf6", "#d6336c", "#b7791f", "#0891b2", "#6b7280")
DPI = 100
MINUS = "\N{MINUS SIGN}"
SMALL, NORMAL, LARGE = 8.5, 9.5, 12.0


def sheet(
    title: str,
    subtitle: str = "",
    *,
    x: str = "",
    y: str = "",
    width: float = 6.4,
    height: float = 4.8,
    left: float = 0.75,
    right: float = 0.3,
) -> tuple[Figure, Axes]:
    """Return a figure of ``width`` by ``height`` inches with titled, empty axes; ``left`` and ``right`` are margins."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    bottom, top = (0.65 if x else 0.4) / height, 1 - (0.85 if subtitle else 0.6) / height
    axes = figure.add_axes((left / width, bottom, 1 - (left + right) / width, top - bottom))
    figure.text(0.16 / width, 1 - 0.16 / height, title, size=LARGE, weight="bold", color=INK, va="top")
    if subtitle:
        figure.text(0.16 / width, 1 - 0.45 / height, subtitle, size=NORMAL, color=MUTED, va="top")
    axes.set_xlabel(x, size=NORMAL, color=INK, labelpad=6)
    axes.set_ylabel(y, size=NORMAL, color=INK, labelpad=6)
    axes.tick_params(labelsize=SMALL, length=0, pad=5, labelcolor=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def png(figure: Figure) -> bytes:
    """Return the drawn figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)  # the font lacks some scripts
        FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def legend(axes: Axes, **options: Any) -> None:  # noqa: ANN401 - matplotlib's own options
    """Add a legend with a quiet frame."""
    shown: dict[str, Any] = {"fontsize": SMALL, "labelcolor": INK, "borderpad": 0.6, "handlelength": 1.6, **options}
    box = axes.legend(frameon=True, framealpha=0.9, edgecolor="none", **shown)
    box.get_frame().set_linewidth(0)


def short(text: object, most: int = 24) -> str:
    """Return a label of at most ``most`` characters on one line, in which no character means anything to matplotlib."""
    line = " ".join(str(text).split())
    if len(line) > most:
        tail = most // 3
        line = f"{line[: most - tail - 1].rstrip()}…{line[-tail:].lstrip()}"
    return line.replace("$", r"\$")


def number(value: float, digits: int = 3) -> str:
    """Return a figure in as few characters as it takes."""
    if not math.isfinite(value):
        return "n/a"
    size = abs(value)
    if size and (size >= 100_000 or size < 0.5 * 10**-digits):
        return f"{value:.{digits - 1}g}".replace("-", MINUS)
    return f"{value:,.{max(0, digits - max(0, len(str(int(size))) - 1))}f}".replace("-", MINUS)


def tick(value: float, _place: float = 0) -> str:
    """Return the label of a tick, with k and M for thousands and millions."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 10 * size or (size > 1e3 and abs(value) >= size):
            return f"{value / size:g}{unit}".replace("-", MINUS)
    return f"{value:.6g}".replace("-", MINUS)
