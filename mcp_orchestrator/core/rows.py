"""Runs, steps and events as the journal holds them."""

from __future__ import annotations

import json
import sqlite3
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

__all__ = ["Event", "RunRow", "Status", "StepRow", "run_of", "step_of"]


class Status(StrEnum):
    """The states of a run; the last four are final until somebody resumes it."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    DEGRADED = "degraded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the run has ended."""
        return self in {Status.SUCCEEDED, Status.DEGRADED, Status.FAILED, Status.CANCELLED}


class StepRow(BaseModel):
    """One step of a run as it was journaled."""

    name: str
    component: str
    capability: str
    inputs: str
    status: str
    reason: str = ""
    attempt: int = 1
    started: int
    ended: int | None = None
    result: Any = None

    @property
    def seconds(self) -> float | None:
        """How long the step took, once it has ended."""
        return None if self.ended is None else (self.ended - self.started) / 1e6


class Event(BaseModel):
    """Something that happened in a run; ``seq`` grows over all runs."""

    seq: int
    run: str
    step: str
    kind: str
    data: dict[str, Any]
    at: int


class RunRow(BaseModel):
    """A run as it was journaled."""

    id: str
    workflow: str
    spec: dict[str, Any]
    status: Status
    owner: str | None = None
    wish: str | None = None
    key: str | None = None
    result: dict[str, Any] | None = None
    error: str | None = None
    error_code: str | None = None
    cut: int = 0
    progress: float = 0.0
    message: str = ""
    created: int
    started: int | None = None
    ended: int | None = None


def run_of(row: sqlite3.Row) -> RunRow:
    """Return a row of the table ``run``."""
    values = dict(row)
    values["spec"] = json.loads(values["spec"])
    values["result"] = json.loads(values["result"]) if values["result"] else None
    return RunRow(**values)


def step_of(row: sqlite3.Row) -> StepRow:
    """Return a row of the table ``step``."""
    values = {key: value for key, value in dict(row).items() if key not in {"run", "position"}}
    values["result"] = json.loads(values["result"]) if values["result"] else None
    return StepRow(**values)
