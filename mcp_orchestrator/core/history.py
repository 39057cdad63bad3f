"""All that can be read of a run: steps and attempts, what they used, what was asked, and which runs belong to it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, cast

from pydantic import BaseModel, Field

from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.rows import Approval, AttemptRow, RunRow, StepRow
from mcp_orchestrator.core.timeline import alone, timeline
from mcp_orchestrator.values import Timeline, without_secrets
from orchestrator_memory.door import now

__all__ = ["Attempt", "History", "Step", "Used", "history", "step_of", "timeline_of"]

REFERENCE = re.compile(r"(?:dataset|model|artifact)://[\w.@/-]+")
INHERITED = ("parent", "forked_from", "fork_step", "created_by", "approved", "deadline")


class Attempt(BaseModel):
    """One attempt of a step: where it ran, how long it waited and ran (seconds), what it used, how it ended."""

    step: str
    number: int
    status: str
    executor: str = ""
    worker: str = ""
    waited: float | None = None
    ran: float | None = None
    cpu_seconds: float = 0.0
    memory_mb: float = 0.0
    error: str = ""


class Used(BaseModel):
    """What a run used in total: seconds waited, run and computed, over all attempts; and the most memory of one."""

    attempts: int = 0
    retries: int = 0
    waited: float = 0.0
    ran: float = 0.0
    cpu_seconds: float = 0.0
    memory_mb: float = 0.0


class Step(BaseModel):
    """A step with its inputs, its answer and its attempts; times in microseconds UTC.

    Data are references, and URLs are without their secrets; ``uses`` and ``gave`` are the references that stand in the
    inputs, and those that are new in the answer.
    """

    name: str
    component: str
    capability: str
    status: str
    reason: str = ""
    started: int
    ended: int | None = None
    seconds: float | None = None
    params: dict[str, Any] = Field(default_factory=dict[str, Any])
    result: Any = None
    uses: list[str] = Field(default_factory=list[str])
    gave: list[str] = Field(default_factory=list[str])
    attempts: list[Attempt] = Field(default_factory=list[Attempt])


class History(BaseModel):
    """What is known of a run besides its row; ``about`` holds where it came from, as far as it came from anywhere."""

    about: dict[str, Any]
    children: list[str]
    forks: list[str]
    approvals: list[Approval]
    used: Used
    steps: list[Step]

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts of all steps, step by step."""
        return [one for step in self.steps for one in step.attempts]

    def facts(self) -> dict[str, Any]:
        """Return what a full report of the run adds to a short one, leaving out what there is nothing of."""
        parts: dict[str, Any] = {
            **self.about,
            "children": self.children,
            "forks": self.forks,
            "approvals": [one.model_dump(exclude={"run"}, exclude_none=True) for one in self.approvals],
            "attempts": [one.model_dump(exclude_defaults=True) for one in self.attempts],
            "resources": self.used.model_dump() if self.used.attempts else None,
        }
        return {name: value for name, value in parts.items() if value}


def history(journal: Journal, row: RunRow) -> History:
    """Return the history of a run."""
    tried: dict[str, list[Attempt]] = {}
    for one in journal.attempts(row.id):
        tried.setdefault(one.step, []).append(_attempt(one))
    steps = journal.steps(row.id)
    for one in steps:
        if one.name not in tried and alone(one, row.created):
            tried[one.name] = [_quick(one)]
    return History(
        about={name: value for name in INHERITED if (value := getattr(row, name))},
        children=[one.id for one in reversed(journal.runs(parent=row.id, most=1000))],
        forks=_forks(journal, row.id),
        approvals=journal.approvals(row.id),
        used=_used([one for several in tried.values() for one in several]),
        steps=[_step(one, tried.get(one.name, [])) for one in steps],
    )


def step_of(found: History, name: str) -> Step | None:
    """Return a step by its name."""
    return next((one for one in found.steps if one.name == name), None)


def timeline_of(journal: Journal, row: RunRow) -> Timeline:
    """Return the timeline of a run as it stands."""
    return timeline(row, journal.steps(row.id), journal.attempts(row.id), journal.approvals(row.id), now())


def _forks(journal: Journal, run: str) -> list[str]:
    rows = journal.door.read().execute("SELECT id FROM run WHERE forked_from=? ORDER BY created", (run,))
    return [str(row[0]) for row in rows]


def _step(row: StepRow, tried: list[Attempt]) -> Step:
    facts = without_secrets(row.model_dump(exclude={"inputs", "attempt"}))
    uses = list(dict.fromkeys(_references(row.params)))
    gave = [one for one in dict.fromkeys(_references(row.result)) if one not in uses]
    return Step(**facts, seconds=row.seconds, uses=uses, gave=gave, attempts=tried)


def _references(value: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """Yield the references that stand in a JSON value, in their order."""
    if isinstance(value, str):
        if REFERENCE.fullmatch(value):
            yield value
    elif isinstance(value, dict | list):
        parts = cast("dict[str, Any] | list[Any]", value)
        for part in parts.values() if isinstance(parts, dict) else parts:
            yield from _references(part)


def _attempt(row: AttemptRow) -> Attempt:
    """Return an attempt; one that has not begun, or not ended, has no time yet."""
    pid, place, host = (row.worker.get(name) for name in ("pid", "place", "host"))
    where = f"process {pid}" if pid else str(place or "")
    until = row.ended if row.started is None else row.started
    return Attempt(
        step=row.step,
        number=row.number,
        status=row.status,
        executor=row.executor,
        worker=f"{where} on {host}" if where and host else where,
        waited=_seconds(row.asked, until),
        ran=_seconds(row.started, row.ended),
        cpu_seconds=round(row.cpu_seconds, 3),
        memory_mb=round(row.memory_mb, 1),
        error=row.error,
    )


def _quick(step: StepRow) -> Attempt:
    """Return the attempt that only the row of its step tells of."""
    error = "" if step.status == "done" else step.reason
    return Attempt(step=step.name, number=step.attempt, status=step.status, ran=step.seconds, error=error)


def _used(tried: list[Attempt]) -> Used:
    return Used(
        attempts=len(tried),
        retries=sum(one.number > 1 for one in tried),
        waited=round(sum(one.waited or 0.0 for one in tried), 3),
        ran=round(sum(one.ran or 0.0 for one in tried), 3),
        cpu_seconds=round(sum(one.cpu_seconds for one in tried), 3),
        memory_mb=max((one.memory_mb for one in tried), default=0.0),
    )


def _seconds(begin: int | None, end: int | None) -> float | None:
    return None if begin is None or end is None else round(max(0, end - begin) / 1e6, 3)
