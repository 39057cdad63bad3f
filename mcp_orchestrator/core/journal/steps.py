"""What is written about steps and their attempts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from mcp_orchestrator.core.journal.events import emit
from mcp_orchestrator.core.journal.made import record
from mcp_orchestrator.core.tasks import Usage, WorkerRef
from mcp_orchestrator.errors import NotReady
from orchestrator_memory.door import now
from orchestrator_memory.sqlite import sqlite3

__all__ = ["Began", "Ended", "Noted", "begin", "explain", "finish", "hold", "note", "placed", "retry"]


@dataclass(slots=True, kw_only=True)
class Began:
    """An attempt that starts: ``number`` counts from 1, ``inputs`` is the digest of ``params`` (JSON).

    Its beginning is written with its end when that is given first (``over``), within milliseconds: one row of the step
    tells all of such an attempt.
    """

    name: str
    number: int
    position: int
    component: str
    capability: str
    inputs: str
    params: str
    asked: int
    worker: WorkerRef | None = None
    started: int | None = None
    over: bool = False
    written: bool = False

    def placed(self, worker: WorkerRef) -> None:
        """Note which worker has the attempt from now on."""
        self.worker, self.started = worker, now()

    @property
    def place(self) -> tuple[str, str, int | None]:
        """The executor, its worker as JSON, and since when it has the attempt."""
        one = self.worker
        if one is None:
            return "", "{}", self.started
        kept = {"place": one.place, "pid": one.pid, "started": one.started, "host": one.host} if one.pid else {}
        return one.executor, json.dumps(kept) if kept else "{}", self.started


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How an attempt ended, with its ``result`` as JSON."""

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
    began.written = not began.over
    if began.over:
        return
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
        "INSERT INTO attempt(run, step, number, status, asked, executor, worker, started) "
        "VALUES(?,?,?,'running',?,?,?,?) ON CONFLICT DO NOTHING",
        (run, one.name, one.number, one.asked, *one.place),
    )
    emit(db, run, one.name, "step_started", {"attempt": one.number} if one.number > 1 else {})


def placed(db: sqlite3.Connection, run: str, began: Began) -> None:
    """Write down which worker has an attempt, and since when."""
    if not began.over:
        db.execute(
            "UPDATE attempt SET executor=?, worker=?, started=? WHERE run=? AND step=? AND number=?",
            (*began.place, run, began.name, began.number),
        )


def finish(db: sqlite3.Connection, run: str, fence: int, began: Began, ended: Ended) -> None:
    """Write down how a step and its last attempt ended; a finished step keeps its answer for good.

    Raises:
        NotReady: the attempt is not the one that the journal waits for; nothing was changed.

    """
    at, name, number = now(), began.name, began.number
    if began.written:
        changed = db.execute(
            "UPDATE step SET status=?, reason=?, result=?, ended=? WHERE run=? AND name=? AND status='running' "
            "AND attempt=? AND (SELECT fence FROM run WHERE id=?)=?",
            (ended.status, ended.reason, ended.result, at, run, name, number, run, fence),
        )
    else:
        changed = db.execute(
            "INSERT INTO step(run, name, attempt, position, component, capability, inputs, params, started, status, "
            "reason, result, ended) SELECT ?,?,?,?,?,?,?,?,?,?,?,?,? WHERE (SELECT fence FROM run WHERE id=?)=? "
            "ON CONFLICT(run, name) DO UPDATE SET attempt=excluded.attempt, component=excluded.component, "
            "capability=excluded.capability, inputs=excluded.inputs, params=excluded.params, started=excluded.started, "
            "status=excluded.status, reason=excluded.reason, result=excluded.result, ended=excluded.ended "
            "WHERE status<>'done' OR inputs<>excluded.inputs",
            (
                *(run, name, number, began.position, began.component, began.capability, began.inputs, began.params),
                *(began.asked, ended.status, ended.reason, ended.result, at, run, fence),
            ),
        )
    if changed.rowcount != 1:
        raise NotReady(f"Attempt {number} of step {name} of run {run} is not expected any more; its end was not noted.")
    record(db, run, name, ended.result)
    if began.written or number > 1:
        _close(db, run, began, ended, at)
    emit(db, run, name, f"step_{ended.status}", {"reason": ended.reason} if ended.reason else {})


def retry(db: sqlite3.Connection, run: str, began: Began, ended: Ended) -> None:
    """Write down that an attempt failed and that another one follows."""
    _close(db, run, began, ended, now())
    db.execute("UPDATE step SET status='retry_wait', reason=? WHERE run=? AND name=?", (ended.reason, run, began.name))
    emit(db, run, began.name, "step_retry", {"attempt": began.number, "reason": ended.reason})


def hold(db: sqlite3.Connection, run: str, began: Began, ended: Ended) -> None:
    """Write down that an attempt was cut off and that none follows before a person says so."""
    _close(db, run, began, ended, now())
    db.execute("UPDATE step SET status='held', reason=? WHERE run=? AND name=?", (ended.reason, run, began.name))
    emit(db, run, began.name, "step_held", {"attempt": began.number, "reason": ended.reason})


def note(db: sqlite3.Connection, run: str, noted: Noted) -> None:
    """Write down a step that the workflow did by itself, or change the state of one; a done one stays as it is."""
    one = noted
    at = now()
    ended = None if one.status in {"running", "waiting", "held"} else at
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
            at,
            ended,
        ),
    )
    emit(db, run, one.name, f"step_{one.status}", {"reason": one.reason} if one.reason else {})


def explain(db: sqlite3.Connection, run: str, name: str, reason: str) -> None:
    """Give the reason for how a step ended."""
    db.execute("UPDATE step SET reason=? WHERE run=? AND name=?", (reason, run, name))


def _close(db: sqlite3.Connection, run: str, began: Began, ended: Ended, at: int) -> None:
    use = ended.usage
    db.execute(
        "INSERT INTO attempt(run, step, number, asked, executor, worker, started, status, error, cpu_seconds, "
        "memory_mb, ended) VALUES(?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET executor=excluded.executor, "
        "worker=excluded.worker, started=excluded.started, status=excluded.status, error=excluded.error, "
        "cpu_seconds=excluded.cpu_seconds, memory_mb=excluded.memory_mb, ended=excluded.ended",
        (
            *(run, began.name, began.number, began.asked, *began.place),
            *(ended.status, ended.reason, use.cpu_seconds, use.memory_mb, at),
        ),
    )
