"""Plot of a run's timeline; as a program of its own it reads a timeline as JSON and writes the PNG."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.methods.plots.canvas import COLORS, INK, MUTED, NORMAL, SMALL, legend, png, sheet, short
from mcp_orchestrator.values import Lane, Timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["timeline"]

NAMES = 36
CHART = 7.2
TALL, LOW, MANY = 0.29, 0.17, 30
ENTRY = 1.9
LOOKS: dict[str, tuple[str, str, float]] = {
    "queued": ("in the queue", "#dfe3e8", 0.5),
    "waiting": ("waits for resources", "#c3cad2", 0.5),
    "pause": ("pause before another attempt", "#eef0f3", 0.5),
    "approval": ("waits for a person", "#f3dfb5", 0.5),
    "done": ("runs", COLORS[0], 0.62),
    "running": ("still runs", "#7fa8f5", 0.62),
    "failed": ("failed", COLORS[4], 0.62),
    "lost": ("worker lost", "#7c2d5e", 0.62),
    "timed_out": ("out of time", COLORS[1], 0.62),
    "cancelled": ("cancelled", MUTED, 0.62),
}
SIGNS: dict[str, tuple[str, str, str]] = {
    "retry": ("another attempt", "|", "white"),
    "asked": ("asked", "D", COLORS[5]),
    "approved": ("approved", "D", COLORS[2]),
    "refused": ("refused", "X", COLORS[4]),
    "skipped": ("skipped", "_", MUTED),
    "held": ("held for a person", "s", COLORS[5]),
    "copied": ("copied from another run", "<", MUTED),
    "point": ("at once", ".", INK),
}


def timeline(whole: Timeline) -> bytes:
    """Draw each lane with its spans and marks; a timeline without a lane is an empty sheet with its title."""
    from matplotlib.ticker import FixedLocator

    lanes = whole.lanes
    labels = [short(one.name, NAMES) for one in lanes]
    row = TALL if len(lanes) <= MANY else max(LOW, TALL * MANY / len(lanes))
    left, right = (0.35 + 0.078 * max([4, *map(len, labels)]), 0.3 + 0.068 * max([0, *map(len, map(_told, lanes))]))
    width = left + CHART + right
    columns = int(width / ENTRY)
    kinds = _kinds(lanes)
    below = 0.5 + 0.2 * -(-len(kinds) // columns)
    height = 1.25 + below + row * max(len(lanes), 2)
    figure, axes = sheet(whole.title, whole.subtitle, left=left, right=right, width=width, height=height)
    axes.set_position((left / width, below / height, CHART / width, 1 - (0.85 + below) / height))
    end = whole.seconds or 1.0
    used: dict[str, Any] = {}
    for place, lane in enumerate(lanes):
        _draw(axes, lane, place, end, used)
        where = axes.get_yaxis_transform()
        axes.text(1.012, place, short(_told(lane), 60), transform=where, va="center", size=SMALL, color=MUTED)
    axes.set_yticks(range(len(lanes)), labels, size=SMALL if row >= LOW * 1.2 else SMALL - 1)
    axes.set_ylim(max(len(lanes), 2) - 0.4, -0.6)
    axes.set_xlim(0, end)
    axes.xaxis.set_major_locator(FixedLocator([at for at, _ in whole.ticks]))
    axes.set_xticklabels([label for _, label in whole.ticks])
    axes.tick_params(axis="x", labeltop=len(lanes) > MANY, labelcolor=INK)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    if not lanes:
        axes.text(0.5, 0.5, "No step has begun.", transform=axes.transAxes, ha="center", size=NORMAL, color=MUTED)
    if kinds:
        place = {
            "loc": "lower left",
            "bbox_to_anchor": (0.06 / width, 0.08 / height),
            "bbox_transform": figure.transFigure,
        }
        names = [(LOOKS.get(kind) or SIGNS[kind])[0] for kind in kinds]
        legend(axes, handles=[used[kind] for kind in kinds], labels=names, ncols=columns, columnspacing=1.4, **place)
    return png(figure)


def _draw(axes: Axes, lane: Lane, place: int, end: float, used: dict[str, Any]) -> None:
    """Draw a lane; ``used`` gets a handle for the legend of each kind that is drawn."""
    from matplotlib.patches import Patch

    least = end / 700  # a bar that can still be seen
    order = list(LOOKS)
    for span in sorted(lane.spans, key=lambda one: order.index(_look(one.kind))):
        _, color, height = LOOKS[_look(span.kind)]
        begin = min(span.begin, end - least)
        axes.barh(place, max(span.end - span.begin, least), left=begin, height=height, color=color, linewidth=0)
        used.setdefault(_look(span.kind), Patch(color=color))
    for mark in lane.marks:
        _, sign, color = SIGNS[_sign(mark.kind)]
        look: dict[str, Any] = {"marker": sign, "color": color, "linestyle": "none", "markersize": 6}
        if mark.kind == "retry":
            look |= {"markersize": 9, "markeredgewidth": 2.2, "color": INK}
        drawn = axes.plot([mark.at], [place], clip_on=False, zorder=3, **look)
        used.setdefault(_sign(mark.kind), drawn[0])


def _kinds(lanes: list[Lane]) -> list[str]:
    """Return the kinds of spans and marks that are drawn, in the order of the legend."""
    drawn = {_look(one.kind) for lane in lanes for one in lane.spans}
    drawn |= {_sign(one.kind) for lane in lanes for one in lane.marks}
    return [kind for kind in (*LOOKS, *SIGNS) if kind in drawn]


def _look(kind: str) -> str:
    return kind if kind in LOOKS else "done"


def _sign(kind: str) -> str:
    return kind if kind in SIGNS else "point"


def _told(lane: Lane) -> str:
    return f"{lane.took} ({lane.note})" if lane.note else lane.took or lane.status


if __name__ == "__main__":
    sys.stdout.buffer.write(timeline(Timeline.model_validate_json(sys.stdin.buffer.read())))
