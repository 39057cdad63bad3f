"""Runs, steps, attempts, events and approvals as the journal holds them."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from orchestrator_memory.sqlite import sqlite3

__all__ = ["Approval", "AttemptRow", "Decision", "Event", "RunRow", "Status", "StepRow", "of_row"]

JSON = frozenset({"spec", "result", "params", "policy", "data", "details", "worker"})


class Status(StrEnum):
    """The states of a run; the last five are final and never left."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    DEGRADED = "degraded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"

    @property
    def final(self) -> bool:
        """Whether the run has ended."""
        return self in FINAL

    @property
    def working(self) -> bool:
        """Whether a process should be at work on it."""
        return self in WORKING


FINAL = frozenset({Status.SUCCEEDED, Status.DEGRADED, Status.FAILED, Status.CANCELLED, Status.TIMED_OUT})
WORKING = frozenset({Status.QUEUED, Status.RUNNING, Status.CANCELLING})


class StepRow(BaseModel):
    """One step of a run.

    ``status`` is running, retry_wait, waiting (for a person), held (cut off, and not to be repeated without being
    asked), done, skipped, failed, cancelled or timed_out; ``params`` are its inputs, with data as references.
    """

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
    params: dict[str, Any] = Field(default_factory=dict[str, Any])

    @property
    def finished(self) -> bool:
        """Whether the step has an answer that stands for good."""
        return self.status in {"done", "skipped"}

    @property
    def seconds(self) -> float | None:
        """How long the step took, once it has ended."""
        return None if self.ended is None else max(0, self.ended - self.started) / 1e6


class AttemptRow(BaseModel):
    """One attempt of a step: where it ran, how it ended and what it used.

    ``status`` is running, done, failed, lost (its worker or its orchestrator died), timed_out or cancelled.
    ``asked`` is when it was ready to run, ``started`` when a worker had it.
    """

    step: str
    number: int
    status: str
    executor: str = ""
    worker: dict[str, Any] = Field(default_factory=dict[str, Any])
    error: str = ""
    cpu_seconds: float = 0.0
    memory_mb: float = 0.0
    asked: int
    started: int | None = None
    ended: int | None = None


class Approval(BaseModel):
    """A question to a person that a run waits for.

    ``status`` is asked, approved, refused, or withdrawn (its run ended without an answer).
    """

    run: str
    name: str
    question: str
    details: dict[str, Any] = Field(default_factory=dict[str, Any])
    status: str = "asked"
    decided_by: str = ""
    note: str = ""
    asked: int
    decided: int | None = None


class Decision(BaseModel):
    """What a person answered, who it was, and what else they said."""

    approved: bool
    by: str = ""
    note: str = ""


class Event(BaseModel):
    """Something that happened in a run; ``seq`` grows over all runs."""

    seq: int
    run: str
    step: str
    kind: str
    data: dict[str, Any]
    at: int


class RunRow(BaseModel):
    """A run.

    ``origin`` is the first of the runs that this one continues: what they leave behind (a version, an experiment) is
    the work of that one. ``subject`` is whose token it was asked with, empty where none was needed; ``approved``
    is by whom and how what it does was approved, empty where nobody had to be asked.
    """

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
    priority: int = 0
    fair: str = ""
    deadline: int | None = None
    parent: str | None = None
    forked_from: str | None = None
    fork_step: str | None = None
    origin: str | None = None
    created_by: str = ""
    subject: str = ""
    approved: str = ""
    fence: int = 0
    created: int
    started: int | None = None
    ended: int | None = None


def of_row(row: sqlite3.Row) -> dict[str, Any]:
    """Return a row's columns by name, those that hold JSON read and those that hold nothing left out."""
    return {
        name: json.loads(value) if name in JSON and isinstance(value, str) else value
        for name, value in zip(row.keys(), row, strict=True)
        if value is not None
    }
