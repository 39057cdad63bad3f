"""When what was done in a run: its steps as lanes of a timeline, attempt by attempt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby, pairwise

from mcp_orchestrator.core.rows import Approval, AttemptRow, RunRow, StepRow
from mcp_orchestrator.values import Lane, Mark, Span, Timeline

__all__ = ["LANES", "alone", "duration", "folded", "timeline"]

LANES = 100
SEEN = 0.01
INSTANT = 0.0005
UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms"))
ROUND = {"h": (1, 2, 3, 6, 12), "min": (1, 2, 5, 10, 15, 30)}
ITEM = re.compile(r"(?P<name>.+)\[(?P<number>\d+)\]")
TICKS = 6


def timeline(
    run: RunRow, steps: Sequence[StepRow], attempts: Iterable[AttemptRow], approvals: Iterable[Approval], now: int
) -> Timeline:
    """Return the timeline of a run from its rows; what has not ended goes on to ``now`` (microseconds)."""
    begin, end = run.created, run.ended or max(now, run.created)

    def at(moment: int | None) -> float:
        return (min(max(end if moment is None else moment, begin), end) - begin) / 1e6

    tried: dict[str, list[AttemptRow]] = {}
    for one in attempts:
        tried.setdefault(one.step, []).append(one)
    asked = {one.name: one for one in approvals}
    seconds = (end - begin) / 1e6
    lanes = [_lane(step, tried.get(step.name, []), asked.pop(step.name, None), at, begin) for step in steps]
    lanes += [_question(one, at) for one in asked.values()]
    waited = at(run.started)
    if waited > SEEN * seconds:
        queue = Span(kind="queued", begin=0.0, end=waited)
        lanes.insert(0, Lane(name="(in the queue)", status="queued", took=duration(waited), spans=[queue]))
    flat = [one for several in tried.values() for one in several]
    used = sum(one.cpu_seconds for one in flat)
    most = max((one.memory_mb for one in flat), default=0.0)
    facts = [
        str(run.status),
        duration(seconds),
        _counted(len(lanes) - (waited > SEEN * seconds), "step"),
        _counted(len(flat) + sum(one.name not in tried and alone(one, begin) for one in steps), "attempt"),
        f"{duration(used)} of processor" if used else "",
        f"at most {most:,.0f} MB" if most else "",
    ]
    return Timeline(
        title=f"{run.workflow} {run.id[:8]}",
        subtitle=", ".join(filter(None, facts)),
        seconds=seconds,
        ended=run.status.final,
        ticks=_ticks(seconds),
        lanes=lanes,
    )


def folded(whole: Timeline, most: int = LANES) -> Timeline:
    """Return a timeline of at most ``most`` lanes: the items of a map share one, and what is still too much is told."""
    if len(whole.lanes) <= most:
        return whole
    lanes: list[Lane] = []
    for name, group in groupby(whole.lanes, key=_family):
        several = list(group)
        lanes += several if name is None or len(several) == 1 else [_joined(name, several)]
    if len(lanes) > most:
        head = (most - 1) // 2
        tail = most - 1 - head
        left = len(lanes) - head - tail
        lanes = [*lanes[:head], Lane(name=f"({left} steps more)", status=""), *lanes[len(lanes) - tail :]]
    return whole.model_copy(update={"lanes": lanes})


def alone(step: StepRow, begin: int) -> bool:
    """Whether a step without attempts had one: of what is over within milliseconds, the step's own row tells all.

    A step that was copied ended before the ``begin`` of its run (microseconds), and had none here.
    """
    return step.component != "workflow" and step.ended is not None and step.ended >= begin and step.status != "skipped"


def duration(seconds: float) -> str:
    """Return a length of time in its natural unit."""
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    size, unit = next((size, unit) for size, unit in UNITS if seconds >= size)
    lesser = {"min": (1.0, "s"), "h": (60.0, "min"), "d": (3600.0, "h")}[unit]
    whole = int(seconds // size)
    return f"{whole} {unit} {int((seconds - whole * size) // lesser[0])} {lesser[1]}"


def _lane(
    step: StepRow, tries: list[AttemptRow], approval: Approval | None, at: Callable[[int | None], float], begin: int
) -> Lane:
    spans: list[Span] = []
    marks: list[Mark] = []
    tries = sorted(tries, key=lambda one: one.number)
    for one in tries:
        spans.append(
            Span(kind="waiting", begin=at(one.asked), end=at(one.ended if one.started is None else one.started))
        )
        if one.started is not None:
            spans.append(Span(kind=one.status, begin=at(one.started), end=at(one.ended)))
    for before, after in pairwise(tries):
        spans.append(Span(kind="pause", begin=at(before.ended or after.asked), end=at(after.asked)))
        marks.append(Mark(kind="retry", at=at(after.started or after.asked)))
    if approval is not None:
        question = _question(approval, at)
        spans, marks = [*spans, *question.spans], [*marks, *question.marks]
    elif step.ended is not None and step.ended < begin:
        marks.append(Mark(kind="copied", at=0.0))
    elif step.status in {"skipped", "held"}:
        marks.append(Mark(kind=step.status, at=at(step.ended or step.started)))
    elif not tries and at(step.ended) - at(step.started) < INSTANT:
        marks.append(Mark(kind="point", at=at(step.started)))
    elif not tries:
        spans.append(Span(kind=step.status, begin=at(step.started), end=at(step.ended)))
    took = at(step.ended) - at(min([step.started, *(one.asked for one in tries)]))
    return Lane(
        name=step.name,
        status=step.status,
        took="" if step.status == "skipped" or any(one.kind == "copied" for one in marks) else duration(took),
        note=f"{len(tries)} attempts" if len(tries) > 1 else "",
        spans=[one for one in spans if one.end > one.begin or one.kind not in {"waiting", "pause"}],
        marks=marks,
    )


def _question(approval: Approval, at: Callable[[int | None], float]) -> Lane:
    """Return the lane of a question to a person."""
    span = Span(kind="approval", begin=at(approval.asked), end=at(approval.decided))
    marks = [Mark(kind="asked", at=span.begin)]
    if approval.decided is not None:
        marks.append(Mark(kind=approval.status, at=span.end))
    took = duration(span.end - span.begin)
    return Lane(name=approval.name, status=approval.status, took=took, spans=[span], marks=marks)


def _family(lane: Lane) -> str | None:
    found = ITEM.fullmatch(lane.name)
    return None if found is None else found["name"]


def _joined(name: str, lanes: list[Lane]) -> Lane:
    """Return the lane that stands for the items of a map: all their spans, and how they ended by number."""
    ends: dict[str, int] = {}
    for one in lanes:
        ends[one.status] = ends.get(one.status, 0) + 1
    spans = [span for one in lanes for span in one.spans]
    took = max((one.end for one in spans), default=0.0) - min((one.begin for one in spans), default=0.0)
    return Lane(
        name=f"{name}[{len(lanes)} items]",
        status=max(ends, key=lambda one: (one == "failed", ends[one])),
        took=duration(took),
        note=", ".join(f"{count} {status}" for status, count in ends.items()),
        spans=spans,
        marks=[mark for one in lanes for mark in one.marks],
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _ticks(seconds: float) -> list[tuple[float, str]]:
    """Return round moments within so many seconds, and what to write at them."""
    if seconds <= 0:
        return [(0.0, "0")]
    size, unit = next(((size, unit) for size, unit in UNITS if seconds >= 2 * size), UNITS[-1])
    rough = seconds / size / TICKS
    power = 10.0 ** (len(str(int(rough))) - 1) if rough >= 1 else 1.0
    while power > rough and unit in {"s", "ms"}:
        power /= 10
    choices = ROUND.get(unit) or tuple(one * power for one in (1, 2, 5, 10))
    pace = next((one for one in choices if one >= rough), choices[-1])
    count = int(seconds / size / pace + 1e-9)
    return [(number * pace * size, f"{number * pace:g} {unit}" if number else "0") for number in range(count + 1)]
