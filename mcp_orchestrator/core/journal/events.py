"""What is written about events and about questions to people.

The table of events is an outbox: an event is written in the transaction of the change that it tells of, so there is
none without the other; its sequence number lets a subscriber go on where it stopped.
"""

from __future__ import annotations

import json
from typing import Any

from mcp_orchestrator.core.rows import Approval, of_row
from mcp_orchestrator.errors import NotReady, UnknownName
from orchestrator_memory.door import now
from orchestrator_memory.sqlite import sqlite3

__all__ = ["ask", "decide", "emit"]


def emit(db: sqlite3.Connection, run: str, step: str, kind: str, data: dict[str, Any]) -> None:
    """Write down an event."""
    db.execute(
        "INSERT INTO event(run, step, kind, data, at) VALUES(?,?,?,?,?)",
        (run, step, kind, json.dumps(data) if data else "{}", now()),
    )


def ask(db: sqlite3.Connection, run: str, name: str, question: str, details: dict[str, Any]) -> None:
    """Write down a question to a person; asking it again changes nothing."""
    asked = db.execute(
        "INSERT INTO approval(run, name, question, details, asked) VALUES(?,?,?,?,?) ON CONFLICT DO NOTHING",
        (run, name, question, json.dumps(details), now()),
    )
    if asked.rowcount == 1:
        emit(db, run, name, "approval_asked", {"question": question})


def decide(db: sqlite3.Connection, run: str, name: str, status: str, said: tuple[str, str]) -> Approval:
    """Write down the answer to a question; ``said`` is by whom, and with which note.

    Raises:
        UnknownName: the run asks nothing under this name.
        NotReady: it was answered before.

    """
    changed = db.execute(
        "UPDATE approval SET status=?, decided_by=?, note=?, decided=? WHERE run=? AND name=? AND status='asked'",
        (status, *said, now(), run, name),
    )
    row = db.execute("SELECT * FROM approval WHERE run=? AND name=?", (run, name)).fetchone()
    if row is None:
        asked = [one[0] for one in db.execute("SELECT name FROM approval WHERE run=?", (run,))]
        raise UnknownName("question", name, asked, then=f"These are what run {run} asks." if asked else "")
    if changed.rowcount != 1:
        raise NotReady(f"{name!r} of run {run} was {row['status']} by {row['decided_by']} already.")
    emit(db, run, name, f"approval_{status}", {"by": said[0], "note": said[1]})
    return Approval(**of_row(row))
