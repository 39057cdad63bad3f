"""What is written about runs. Each function is one operation: a change, and the event that tells of it.

Every change of state is a compare-and-set, and whether it changed anything is looked at: a change that came too late
is refused, never lost in silence.
"""

from __future__ import annotations

import json
from typing import Any

from mcp_orchestrator.core.journal.events import emit
from mcp_orchestrator.core.rows import RunRow, Status, of_row
from mcp_orchestrator.errors import InvalidInput, NotReady, UnknownName
from orchestrator_memory.door import now
from orchestrator_memory.sqlite import sqlite3

__all__ = ["claim", "end", "find", "fork", "move", "progress", "release", "submit", "wish"]

END = (
    "UPDATE run SET status=?, result=?, error=?, error_code=?, ended=?, owner=NULL, wish=NULL, "
    "progress=CASE WHEN ? THEN 1 ELSE progress END WHERE id=? AND fence=? AND status NOT IN "
    "('succeeded', 'degraded', 'failed', 'cancelled', 'timed_out')"
)


def find(db: sqlite3.Connection, run: str) -> RunRow:
    """Return a run that is known to exist."""
    return RunRow(**of_row(db.execute("SELECT * FROM run WHERE id=?", (run,)).fetchone()))


def submit(db: sqlite3.Connection, run: str, workflow: str, spec: str, about: dict[str, Any]) -> RunRow:
    """Write down a new run, or return the one that was submitted before with the same key.

    Raises:
        InvalidInput: the key was used for something else.

    """
    if "parent" in about:  # what was approved of the whole was approved of its parts
        above = db.execute("SELECT approved FROM run WHERE id=?", (about["parent"],)).fetchone()
        about = {**about, "approved": above[0] if above else ""}
    names = ["id", "workflow", "spec", "status", "created", *about]
    values = [run, workflow, spec, Status.QUEUED, now(), *about.values()]
    marks = ",".join("?" * len(names))
    text = f"INSERT INTO run({','.join(names)}) VALUES({marks}) ON CONFLICT(key) DO NOTHING"
    if db.execute(text, values).rowcount == 1:
        emit(db, run, "", "run_submitted", {"workflow": workflow})
        return find(db, run)
    row = RunRow(**of_row(db.execute("SELECT * FROM run WHERE key=?", (about["key"],)).fetchone()))
    if (row.workflow, row.spec) != (workflow, json.loads(spec)):
        raise InvalidInput("key", f"{about['key']!r} was used before, for run {row.id}, with other values.")
    return row


def claim(db: sqlite3.Connection, run: str, owner: str, before: str | None) -> RunRow | None:
    """Take a run that ``before`` owned, and return it; None when it has changed hands or is no longer to be worked on.

    A run that was at work when its owner died counts how often that has happened since a step of it finished.
    """
    done = db.execute("SELECT count(*) FROM step WHERE run=? AND status IN ('done', 'skipped')", (run,)).fetchone()[0]
    changed = db.execute(
        "UPDATE run SET owner=?, fence=fence+1, started=coalesce(started, ?), finished=?, "
        "cut=CASE WHEN status='queued' THEN cut WHEN finished=? THEN cut+1 ELSE 1 END, "
        "status=CASE WHEN status='cancelling' THEN status ELSE 'running' END "
        "WHERE id=? AND owner IS ? AND status IN ('queued', 'running', 'cancelling')",
        (owner, now(), done, done, run, before),
    )
    if changed.rowcount != 1:
        return None
    row = find(db, run)
    db.execute("UPDATE attempt SET status='lost', ended=? WHERE run=? AND status='running'", (now(), run))
    emit(db, run, "", "run_started", {"cut": row.cut} if row.cut else {})
    return row


def end(db: sqlite3.Connection, run: str, fence: int, status: Status, given: dict[str, Any]) -> None:
    """Give a run its final state, with its ``result``, or ``error`` and ``error_code``.

    Raises:
        NotReady: somebody else owns the run now, or it has ended already.

    """
    result, error = given.get("result"), given.get("error")
    changed = db.execute(
        END,
        (
            status,
            None if result is None else json.dumps(result),
            error,
            given.get("error_code"),
            now(),
            status in {Status.SUCCEEDED, Status.DEGRADED},
            run,
            fence,
        ),
    )
    if changed.rowcount != 1:
        raise NotReady(f"Run {run} has ended or has another owner; its state was left as it is.")
    _settle(db, run, status)
    emit(db, run, "", f"run_{status}", {"error": error} if error else {})


def release(db: sqlite3.Connection, run: str, fence: int, status: Status) -> bool:
    """Let go of a run that is not finished: paused, waiting, or queued for whoever comes next."""
    changed = db.execute(
        "UPDATE run SET status=?, owner=NULL, wish=NULL WHERE id=? AND fence=? AND status='running'",
        (status, run, fence),
    )
    if changed.rowcount == 1:
        emit(db, run, "", f"run_{status}", {})
    return changed.rowcount == 1


def move(db: sqlite3.Connection, run: str, before: tuple[Status, ...], after: Status) -> bool:
    """Change the state of a run that is in one of the states ``before``; say whether it was."""
    marks = ",".join("?" * len(before))
    ended = now() if after.final else None
    changed = db.execute(
        f"UPDATE run SET status=?, ended=?, wish=NULL WHERE id=? AND status IN ({marks})",  # noqa: S608 - question marks
        (after, ended, run, *before),
    )
    if changed.rowcount == 1:
        if after.final:
            _settle(db, run, after)
        emit(db, run, "", f"run_{after}", {})
    return changed.rowcount == 1


def wish(db: sqlite3.Connection, run: str, wished: str | None) -> bool:
    """Note that a run is to ``pause``, or no longer; say whether it was there to be paused."""
    changed = db.execute(
        "UPDATE run SET wish=? WHERE id=? AND status IN ('queued', 'running')",
        (wished, run),
    )
    return changed.rowcount == 1


def fork(db: sqlite3.Connection, run: str, origin: str, spec: str, step: str | None) -> RunRow:
    """Write down a run that begins with the finished steps of an ended one, or with those before ``step``.

    Raises:
        UnknownName: the origin has no such step.
        NotReady: the origin has not ended.

    """
    first = find(db, origin)
    if not first.status.final:
        raise NotReady(f"Run {origin} is {first.status}; only one that has ended can be tried again.")
    names = {str(one[0]): int(one[1]) for one in db.execute("SELECT name, position FROM step WHERE run=?", (origin,))}
    if step is not None and step not in names:
        raise UnknownName("step", step, names)
    about: dict[str, Any] = {"forked_from": origin, "priority": first.priority, "fair": first.fair}
    if step is not None:
        about["fork_step"] = step
    elif json.loads(spec) == first.spec:
        about["origin"] = first.origin or origin
    about |= {"created_by": first.created_by, "subject": first.subject, "approved": first.approved}
    submit(db, run, first.workflow, spec, about)
    columns = "name, position, component, capability, inputs, status, reason, result, attempt, started, ended, params"
    db.execute(
        f"INSERT INTO step(run, {columns}) SELECT ?, {columns} FROM step "  # noqa: S608 - our own names
        "WHERE run=? AND position<? AND status IN ('done', 'skipped')",
        (run, origin, names[step] if step is not None else len(names)),
    )
    return find(db, run)


def progress(db: sqlite3.Connection, run: str, fraction: float, message: str) -> None:
    """Note how far a run is; progress never goes back."""
    changed = db.execute(
        "UPDATE run SET progress=max(progress, ?), message=? WHERE id=? AND status='running'", (fraction, message, run)
    )
    if changed.rowcount == 1:
        emit(db, run, "", "run_progress", {"fraction": round(fraction, 4), "message": message})


def _settle(db: sqlite3.Connection, run: str, status: Status) -> None:
    """Leave nothing of a run open that ends: what a dead process was at, and what people were asked."""
    cut = {Status.CANCELLED: "cancelled", Status.TIMED_OUT: "timed_out"}.get(status, "failed")
    steps = db.execute(
        "UPDATE step SET status=CASE WHEN status IN ('waiting', 'held') THEN 'cancelled' ELSE ? END, ended=?, "
        "reason=CASE WHEN reason='' THEN 'cut off when its process ended' ELSE reason END "
        "WHERE run=? AND status IN ('running', 'retry_wait', 'waiting', 'held') RETURNING name, status, reason",
        (cut, now(), run),
    ).fetchall()
    for name, became, reason in steps:
        emit(db, run, name, f"step_{became}", {"reason": reason})
    db.execute("UPDATE attempt SET status='lost', ended=? WHERE run=? AND status='running'", (now(), run))
    db.execute("UPDATE approval SET status='withdrawn' WHERE run=? AND status='asked'", (run,))
