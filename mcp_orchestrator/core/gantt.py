"""A timeline as text: a line a step, bars of thin characters, as wide as wanted."""

from __future__ import annotations

from mcp_orchestrator.core.timeline import LANES, folded
from mcp_orchestrator.values import Lane, Timeline

__all__ = ["WIDTH", "gantt", "wide"]

WIDTH = 100
NAMES = 28
CHART = 20
BARS = {"queued": "░", "waiting": "░", "pause": "┄", "approval": "┈"}
ENDS = {"failed": "✗", "lost": "†", "timed_out": "◷", "cancelled": "⊘", "running": "▶"}
MARKS = {
    "retry": "↻",
    "asked": "◇",
    "approved": "◆",
    "refused": "✗",
    "skipped": "╌",
    "held": "‖",
    "copied": "↩",
    "point": "•",
}
MEANING = {
    "░": "waits",
    "┄": "pauses before another attempt",
    "┈": "waits for a person",
    "━": "runs",
    "▶": "still runs",
    "✗": "failed or refused",
    "†": "worker lost",
    "◷": "out of time",
    "⊘": "cancelled",
    "↻": "another attempt",
    "◇": "asked",
    "◆": "approved",
    "╌": "skipped",
    "‖": "held for a person",
    "↩": "copied from another run",
    "•": "at once",
}


def gantt(whole: Timeline, width: int = WIDTH, most: int = LANES) -> str:
    """Return a timeline as lines of at most ``width`` characters (never below 50), with a legend of what it shows."""
    shown = folded(whole, most)
    took = max([4, *(len(_took(one)) for one in shown.lanes)])
    named = min(max([4, *(len(one.name) for one in shown.lanes)]), NAMES)
    chart = max(max(width, 50) - named - took - 4, CHART)
    head = f"{'step':<{named}}  {_axis(shown, chart)}  {'took':>{took}}"
    lines = [
        f"{short(one.name, named):<{named}}  {_bar(one, shown.seconds, chart)}  {_took(one):>{took}}".rstrip()
        for one in shown.lanes
    ]
    drawn = set("".join(lines))
    legend = wide([f"{sign} {meaning}" for sign, meaning in MEANING.items() if sign in drawn], max(width, 50))
    return "\n".join([f"{shown.title}: {shown.subtitle}", "", head, *lines, "", *legend]).rstrip()


def wide(words: list[str], width: int) -> list[str]:
    """Return words in lines of at most ``width`` characters, none of them broken."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 3 + len(word) <= width:
            lines[-1] += f"   {word}"
        else:
            lines.append(word)
    return lines


def short(text: str, most: int) -> str:
    """Return a name of at most ``most`` characters; of a longer one, its beginning and its end."""
    line = " ".join(text.split())
    tail = most // 2
    return line if len(line) <= most else f"{line[: most - tail - 1]}…{line[-tail:]}"


def _took(lane: Lane) -> str:
    return f"{lane.took} ({lane.note})" if lane.note and len(lane.note) < NAMES else lane.took


def _axis(shown: Timeline, chart: int) -> str:
    """Return the line of the ticks, each beginning at its place, as far as they do not touch."""
    cells = [" "] * chart
    free = 0
    for at, label in shown.ticks:
        place = min(int(at / shown.seconds * chart), chart - 1) if shown.seconds else 0
        if place >= free and place + len(label) + 1 <= chart:
            cells[place : place + len(label) + 1] = f"╷{label}"
            free = place + len(label) + 2
    return "".join(cells)


def _bar(lane: Lane, seconds: float, chart: int) -> str:
    cells = [" "] * chart

    def place(moment: float) -> int:
        return min(int(moment / seconds * chart + 1e-9), chart - 1) if seconds else 0

    for span in sorted(lane.spans, key=lambda one: one.kind not in BARS):
        first = place(span.begin)
        last = max(place(span.end - 1e-9 * seconds), first)
        cells[first : last + 1] = BARS.get(span.kind, "━") * (last + 1 - first)
    for mark in lane.marks:
        cells[place(mark.at)] = MARKS.get(mark.kind, "•")
    for span in lane.spans:
        if span.kind in ENDS:
            cells[max(place(span.end - 1e-9 * seconds), place(span.begin))] = ENDS[span.kind]
    return "".join(cells)
