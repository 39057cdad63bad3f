"""What is written about steps and their attempts."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass, field
from typing import Any

from mcp_orchestrator.core.journal.events import emit
from mcp_orchestrator.core.tasks import Usage, WorkerRef
from mcp_orchestrator.errors import NotReady
from orchestrator_memory.door import now

__all__ = ["Began", "Ended", "Noted", "begin", "explain", "finish", "note", "placed", "retry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """An attempt that starts: ``number`` counts from 1, ``inputs`` is the digest of ``params`` (JSON)."""

    name: str
    number: int
    position: int
    component: str
    capability: str
    inputs: str
    params: str
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An attempt that has ended, with its ``result`` as JSON."""

    name: str
    number: int
    status: str
    reason: str = ""
    result: str | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A step that the workflow does by itself: a note, a question, a sub-workflow."""

    name: str
    position: int
    status: str
    reason: str = ""
    result: Any = None
    component: str = "workflow"
    capability: str = ""
    inputs: str = ""
    params: dict[str, Any] = field(default_factory=dict[str, Any])


def begin(db: sqlite3.Connection, run: str, began: Began) -> None:
    """Write down that an attempt of a step starts."""
    one = began
    db.execute(
        "INSERT INTO step(run, name, attempt, position, component, capability, inputs, params, status, started) "
        "VALUES(?,?,?,?,?,?,?,?,'running',?) ON CONFLICT(run, name) DO UPDATE SET attempt=excluded.attempt, "
        "status='running', component=excluded.component, capability=excluded.capability, inputs=excluded.inputs, "
        "params=excluded.params, started=excluded.started, ended=NULL, result=NULL, reason='' "
        "WHERE status<>'done' OR inputs<>excluded.inputs",
        (run, one.name, one.number, one.position, one.component, one.capability, one.inputs, one.params, one.asked),
    )
    db.execute(
        "INSERT INTO attempt(run, step, number, status, asked) VALUES(?,?,?,'running',?) ON CONFLICT DO NOTHING",
        (run, one.name, one.number, one.asked),
    )
    emit(db, run, one.name, "step_started", {"attempt": one.number} if one.number > 1 else {})


def placed(db: sqlite3.Connection, run: str, began: Began, worker: WorkerRef, at: int) -> None:
    """Write down which worker has an attempt, and since when."""
    db.execute(
        "UPDATE attempt SET executor=?, worker=?, started=? WHERE run=? AND step=? AND number=?",
        (worker.executor, json.dumps(asdict(worker)), at, run, began.name, began.number),
    )


def finish(db: sqlite3.Connection, run: str, fence: int, ended: Ended) -> None:
    """Write down how a step and its last attempt ended; a finished step keeps its answer for good.

    Raises:
        NotReady: the attempt is not the one that the journal waits for; nothing was changed.

    """
    at, name, number = now(), ended.name, ended.number
    changed = db.execute(
        "UPDATE step SET status=?, reason=?, result=?, ended=? WHERE run=? AND name=? AND status='running' "
        "AND attempt=? AND (SELECT fence FROM run WHERE id=?)=?",
        (ended.status, ended.reason, ended.result, at, run, name, number, run, fence),
    )
    if changed.rowcount != 1:
        raise NotReady(f"Attempt {number} of step {name} of run {run} is not expected any more; its end was not noted.")
    _close(db, run, ended, at)
    emit(db, run, name, f"step_{ended.status}", {"reason": ended.reason} if ended.reason else {})


def retry(db: sqlite3.Connection, run: str, ended: Ended) -> None:
    """Write down that an attempt failed and that another one follows."""
    _close(db, run, ended, now())
    db.execute("UPDATE step SET status='retry_wait', reason=? WHERE run=? AND name=?", (ended.reason, run, ended.name))
    emit(db, run, ended.name, "step_retry", {"attempt": ended.number, "reason": ended.reason})


def note(db: sqlite3.Connection, run: str, noted: Noted) -> None:
    """Write down a step that the workflow did by itself, or change the state of one; a done one stays as it is."""
    one = noted
    ended = None if one.status in {"running", "waiting", "held"} else now()
    db.execute(
        "INSERT INTO step(run, name, position, component, capability, inputs, params, status, reason, result, started, "
        "ended) VALUES(?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(run, name) DO UPDATE SET status=excluded.status, "
        "reason=excluded.reason, result=excluded.result, ended=excluded.ended WHERE status<>'done'",
        (
            run,
            one.name,
            one.position,
            one.component,
            one.capability or one.name,
            one.inputs,
            json.dumps(one.params),
            one.status,
            one.reason,
            None if one.result is None else json.dumps(one.result),
            now(),
            ended,
        ),
    )
    emit(db, run, one.name, f"step_{one.status}", {"reason": one.reason} if one.reason else {})


def explain(db: sqlite3.Connection, run: str, name: str, reason: str) -> None:
    """Give the reason for how a step ended."""
    db.execute("UPDATE step SET reason=? WHERE run=? AND name=?", (reason, run, name))


def _close(db: sqlite3.Connection, run: str, ended: Ended, at: int) -> None:
    use = ended.usage
    db.execute(
        "UPDATE attempt SET status=?, error=?, cpu_seconds=?, memory_mb=?, ended=?, started=coalesce(started, asked) "
        "WHERE run=? AND step=? AND number=?",
        (ended.status, ended.reason, use.cpu_seconds, use.memory_mb, at, run, ended.name, ended.number),
    )
